"""The one JSON value of an answer: what is plain is taken, what would be a guess is not."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import ItemError
from pipeline.tasks.json_text import read_json

VALUE: dict[str, Any] = {"total": 12.5, "lines": [{"item": "Tea, green", "n": 2}], "paid": True, "note": None}
TEXT = json.dumps(VALUE)


def refused(text: str) -> str:
    with pytest.raises(ItemError) as caught:
        read_json(text)
    assert caught.value.kind == "invalid_json"
    assert len(caught.value.message) < 260
    return caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"  \n{TEXT}\n",
        f"\ufeff{TEXT}",
        f"```json\n{TEXT}\n```",
        f"```\n{TEXT}\n```",
        f"Here is the answer:\n\n{TEXT}",
        f"Here is the answer:\n```json\n{TEXT}\n```\nI hope this helps!",
        f"{TEXT}\n\nThe total was hard to read.",
        f"NaN stands for nothing: {TEXT}",
        json.dumps(VALUE, indent=2).replace("null\n", "null,\n").replace("}\n  ]", "},\n  ]"),
        f"The answer: {TEXT[:-1]} , }}",
    ],
)
def test_what_models_wrap_around_it(text: str) -> None:
    assert read_json(text) == VALUE


def test_raw_control_characters_keep_their_meaning() -> None:
    assert read_json('{"a": "one\ntwo\tthree"}') == {"a": "one\ntwo\tthree"}
    assert read_json('Yes: {"a": "x,}\n,]"}') == {"a": "x,}\n,]"}, "within a text no comma is surplus"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "twelve",
        TEXT[:-1],
        TEXT[:-30],
        "{'total': 1}",
        "{total: 1}",
        '{"a": 1 "b": 2}',
        '{"a": 1,, "b": 2}',
        '{"a": [,]}',
        '{"a": [1,,]}',
        "{,}",
        '{"a": }',
        '{"a":,}',
        '{"a": {"b": 1}, "c": oops}',
        '{"a": 1} {"a": 2}',
        '{"a": 1}\nor\n{"a": 2}',
        'either {"a": 1} or [2]',
        '[{"a": 1}] is all',
        '{"a": {"total": 1}',
        "[" * 100_000,
        '{"a":' * 50_000,
        '{"a": 1' + "0" * 5000 + "}",
    ],
)
def test_what_would_have_to_be_guessed_is_refused(text: str) -> None:
    refused(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"total": 1, "total": 2}', '"total" stands twice'),
        ('{"a": {"b": 1, "b": 1}}', '"b" stands twice'),
        ('Here: {"a": 1, "a": 2}', '"a" stands twice'),
        ('{"a": 1, "a": 2,}', '"a" stands twice'),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "Infinity"),
        ('The sum: {"a": NaN,}', "NaN"),
        ('{"a": 1e999}', "too large"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_has_no_certain_meaning_is_refused_by_its_name(text: str, said: str) -> None:
    assert said in refused(text)


def test_half_an_emoji_breaks_no_file() -> None:
    value = read_json(r'{"a": "x\ud83dy", "b\udc00": ["\ud83d\ude00"]}')
    assert value == {"a": "x\ufffdy", "b\ufffd": ["\U0001f600"]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(alphabet=st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_every_json_value_comes_through(value: object, indent: int | None, ascii_only: bool) -> None:
    assert read_json(json.dumps(value, indent=indent, ensure_ascii=ascii_only)) == value


@given(st.dictionaries(st.text(alphabet=st.characters(exclude_categories=["Cs"])), JSON, max_size=4), st.data())
def test_a_value_is_never_other_than_the_whole(value: dict[str, Any], data: st.DataObject) -> None:
    """Whatever is cut off at its end: either all of it is there, or it is refused."""
    text = json.dumps(value, indent=1)
    cut = text[: data.draw(st.integers(0, len(text)))]
    try:
        found = read_json(cut)
    except ItemError:
        return
    assert found == value


@pytest.mark.parametrize(
    "text", ["{" + "," * 60_000 + "}", "[," * 30_000, '{"a":' + " " * 60_000 + ",}", '"' * 60_001, ", " * 30_000 + "{",
             "`" * 60_000, "```\n" * 20_000, "{" * 30_000 + "}" * 30_000]
)  # fmt: skip
def test_no_text_takes_time(text: str) -> None:
    started = time.process_time()
    refused(text)
    assert time.process_time() - started < 0.3
