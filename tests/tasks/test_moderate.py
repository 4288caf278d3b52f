"""Verdicts: what fits the schema becomes columns, everything else a classed failure and never `safe`."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import ItemError
from pipeline.tasks import TASKS, TaskOptions
from pipeline.tasks.moderate import LABELS, score_columns
from tests.tasks.completions import completion, failure, parsed

MODERATE = TASKS["moderate"](TaskOptions())
SCORES = {"sexual": 0.01, "violence": 0.9, "violence/graphic": None, "self-harm": 0}
UNSAFE: dict[str, Any] = {
    "verdict": "unsafe",
    "labels": ["violence"],
    "scores": SCORES,
    "reason": "A man strikes another with a stick.",
}
SAFE: dict[str, Any] = {"verdict": "safe", "labels": [], "scores": dict.fromkeys(LABELS, 0.0), "reason": "A lawn."}


def test_an_answer_becomes_columns() -> None:
    assert parsed(MODERATE, json.dumps(UNSAFE)) == {
        "verdict": "unsafe",
        "labels": ["violence"],
        "score_sexual": 0.01,
        "score_violence": 0.9,
        "score_violence_graphic": None,
        "score_self_harm": 0.0,
        "reason": "A man strikes another with a stick.",
    }
    assert parsed(MODERATE, json.dumps(SAFE))["verdict"] == "safe"


def test_column_types() -> None:
    assert [(column.name, column.type) for column in MODERATE.columns] == [
        ("verdict", "string"),
        ("labels", "list<string>"),
        ("score_sexual", "float"),
        ("score_violence", "float"),
        ("score_violence_graphic", "float"),
        ("score_self_harm", "float"),
        ("reason", "string"),
    ]
    assert (MODERATE.max_side, MODERATE.max_tokens) == (768, 400)


@pytest.mark.parametrize(
    "text",
    [
        "```json\n" + json.dumps(UNSAFE, indent=2) + "\n```",
        "\n\n  " + json.dumps(UNSAFE) + "  \n",
        json.dumps(UNSAFE).replace("a stick", "a\tstick\n"),
        f"The verdict is:\n{json.dumps(UNSAFE)}\nI hope this is of use.",
        json.dumps(UNSAFE)[:-1] + ",}",
    ],
    ids=["fence", "blanks", "raw control characters", "words around it", "comma"],
)
def test_what_models_wrap_around_json_is_tolerated(text: str) -> None:
    assert parsed(MODERATE, text)["labels"] == ["violence"]


@pytest.mark.parametrize(
    "text",
    ["safe", json.dumps(UNSAFE)[:-1], "{'verdict': 'safe'}", "The verdict is: {", "[" * 100_000, "{" + "1" * 5000],
)
def test_what_is_not_json(text: str) -> None:
    error = failure(MODERATE, text)
    assert error.kind == "invalid_json"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_json(number: float) -> None:
    error = failure(MODERATE, json.dumps(_with({"scores": {**SCORES, "sexual": number}})))
    assert error.kind == "invalid_json"


def _with(change: dict[str, Any], base: dict[str, Any] = UNSAFE) -> dict[str, Any]:
    return {**base, **change}


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ([], "answer"),
        ("safe", "answer"),
        (None, "answer"),
        ({}, "verdict"),
        (_with({"verdict": "SAFE"}), "verdict"),
        (_with({"verdict": "maybe"}), "verdict"),
        (_with({"labels": ["gore"]}), "labels"),
        (_with({"labels": "violence"}), "labels"),
        (_with({"labels": None}), "labels"),
        (_with({"scores": {"violence": 0.9}}), "scores.self-harm"),
        (_with({"scores": {**SCORES, "gore": 0.9}}), "scores.gore"),
        (_with({"scores": {**SCORES, "sexual": 1.01}}), "scores.sexual"),
        (_with({"scores": {**SCORES, "sexual": -0.01}}), "scores.sexual"),
        (_with({"scores": {**SCORES, "sexual": "0.5"}}), "scores.sexual"),
        (_with({"scores": {**SCORES, "sexual": True}}), "scores.sexual"),
        (_with({"scores": None}), "scores"),
        (_with({"reason": None}), "reason"),
        (_with({"note": "x"}), "note"),
        (_with({"verdict": "safe"}), "contradicts"),
    ],
)
def test_what_does_not_fit_names_the_field(value: object, field: str) -> None:
    error = failure(MODERATE, json.dumps(value))
    assert error.kind == "schema_mismatch"
    assert field in error.message


def test_a_long_wrong_answer_is_not_echoed() -> None:
    wrong = _with({"verdict": "x" * 5000, "labels": ["y" * 5000] * 50, "z" * 5000: 1})
    assert len(failure(MODERATE, json.dumps(wrong)).message) < 260


def test_unsafe_without_a_label_is_kept() -> None:
    """A picture can be harmful in a way that no configured label names."""
    assert parsed(MODERATE, json.dumps(_with({"labels": []})))["verdict"] == "unsafe"


def test_unsure_may_have_labels_or_not() -> None:
    for labels in ([], ["violence"]):
        assert parsed(MODERATE, json.dumps(_with({"verdict": "unsure", "labels": labels})))["labels"] == labels


def test_labels_come_out_in_the_configured_order_and_once() -> None:
    answer = parsed(MODERATE, json.dumps(_with({"labels": ["self-harm", "violence", "self-harm"]})))
    assert answer["labels"] == ["violence", "self-harm"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from(["safe", "unsafe", *LABELS]),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["verdict", "labels", "scores", "reason", *LABELS]), inner, max_size=6)
        ),
        max_leaves=20,
    )
)
def test_no_json_is_ever_mistaken_for_safe(value: object) -> None:
    try:
        answer = MODERATE.parse(completion(json.dumps(value)))
    except ItemError as error:
        kind = error.kind
    else:
        assert isinstance(value, dict)
        assert answer["verdict"] == value["verdict"]
        kind = "schema_mismatch"
    assert kind in {"schema_mismatch", "invalid_json", "refusal", "empty", "repetition"}


def test_a_refused_picture_is_never_safe() -> None:
    assert failure(MODERATE, "I'm sorry, but I can't assist with that.").kind == "refusal"
    assert failure(MODERATE, json.dumps(SAFE), "content_filter").kind == "content_filter"
    assert failure(MODERATE, json.dumps(SAFE), "length").kind == "cut"


def test_the_schema_is_strict_and_shown_to_the_model() -> None:
    schema = MODERATE.schema
    assert schema is not None
    assert schema["additionalProperties"] is False
    assert schema["properties"]["scores"]["additionalProperties"] is False
    assert set(schema["required"]) == {"verdict", "labels", "scores", "reason"}
    assert schema["properties"]["scores"]["required"] == list(LABELS)
    assert json.dumps(schema, ensure_ascii=False) in MODERATE.instructions, "some servers do not show it"


def test_own_labels_and_prompt() -> None:
    task = TASKS["moderate"](TaskOptions(prompt="Is this allowed?", labels=("Schädlich", "weapons & ammo")))
    assert [column.name for column in task.columns][2:4] == ["score_schädlich", "score_weapons_ammo"]
    assert task.instructions.startswith("Is this allowed?\n\nThe labels are: ")
    value = {**SAFE, "scores": {"Schädlich": 0.5, "weapons & ammo": None}}
    assert parsed(task, json.dumps(value, ensure_ascii=False))["score_schädlich"] == 0.5


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (("self-harm", "self_harm"), "score_self_harm"),
        (("a", "A"), "score_a"),
        (("a", "a"), "score_a"),
        ((), "at least one"),
        (("!?",), "no letter"),
    ],
)
def test_labels_that_cannot_be_columns_are_refused_at_once(labels: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TASKS["moderate"](TaskOptions(labels=labels))


@given(st.lists(st.text(), max_size=6))
def test_score_columns_are_unique_or_refused(labels: list[str]) -> None:
    try:
        columns = score_columns(tuple(labels))
    except ValueError:
        return
    assert len(set(columns.values())) == len(labels)
