"""Patterns of a schema are searched within a bound; with those that need none answers are judged as by jsonschema."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tasks import patterns
from pipeline.tasks.patterns import EndlessSearchError, bounded, occurs
from tests.tasks.test_fields import fields, mismatch

ENDLESS = "^(a|aa)+$"
LOOP = "a" * 60 + "!"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "SECONDS", 0.05)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("part", "value"),
    [
        ({"type": "string", "pattern": ENDLESS}, LOOP),
        ({"patternProperties": {ENDLESS: {}}}, {LOOP: 1}),
        ({"patternProperties": {ENDLESS: {}}, "additionalProperties": False}, {LOOP: 1}),
        ({"propertyNames": {"pattern": ENDLESS}}, {LOOP: 1}),
    ],
)
def test_a_pattern_that_is_never_done_is_a_mismatch(part: dict[str, Any], value: Any) -> None:
    said = mismatch(fields([], a=part), {"a": value})
    assert f"the pattern {ENDLESS!r} takes for ever" in said


@pytest.mark.usefixtures("hurried")
def test_additional_names_are_searched_within_the_bound() -> None:
    schema = {"patternProperties": {ENDLESS: {}}, "additionalProperties": False}
    with pytest.raises(EndlessSearchError):
        list(patterns._additional(None, False, {LOOP: 1}, schema))


def test_an_ordinary_pattern_is_found_anywhere_in_a_text() -> None:
    assert occurs("[0-9]+", "No. 12")
    assert not occurs("^[0-9]+$", "No. 12")


NAMES = st.sampled_from(["a1", "a", "b", "zz"])
SCHEMA = {
    "properties": {"b": {"type": "string", "pattern": "^[ab]*$"}},
    "patternProperties": {"[0-9]$": {"type": "integer"}, "^z": {"pattern": "c"}},
}


@given(
    st.dictionaries(NAMES, st.sampled_from(["", "ab", "c", 1, None])),
    st.sampled_from([None, True, False, {"type": "string"}]),
)
def test_the_same_answers_fit(value: dict[str, Any], additional: Any) -> None:
    schema = SCHEMA if additional is None else {**SCHEMA, "additionalProperties": additional}
    theirs = [list(error.path) for error in jsonschema.Draft202012Validator(schema).iter_errors(value)]
    ours = [list(error.path) for error in bounded(jsonschema.Draft202012Validator)(schema).iter_errors(value)]
    assert sorted(map(str, ours)) == sorted(map(str, theirs))
