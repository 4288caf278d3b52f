from __future__ import annotations

import json

import pytest

from pipeline.evaluation.answers import Answer
from pipeline.evaluation.ask import ask_scores, number
from pipeline.evaluation.labels import Label
from pipeline.tasks.fields import read_schema
from tests.evaluation.scripted import compared


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.5", 1234.5), ("1.234,5", 1234.5), ("12 %", 12), ("EUR 1,5", 1.5), ("1,234", 1234),
        ("1.234.567", 1234567), ("-3", -3), ("−3", -3), ("1e6", 1e6), (".5", 0.5), ("0,250", 0.25),
        ("3 of 4", None), ("none", None), (True, None), (7, 7), ("1e999", None), ("9" * 400, None), (10**400, None),
        ("9" * 9000, None),
    ],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(text: object, value: float | None) -> None:
    assert number(text) == value


def test_text_and_numbers() -> None:
    assert ask_scores("Nottingham", " nottingham.", {"answer": " nottingham."}) == {"exact": 1}
    assert ask_scores("Nottingham", "Leeds", {"answer": "Leeds"}) == {"exact": 0}
    assert ask_scores("Platform 9", "Gate 9", {"answer": "Gate 9"}) == {"exact": 0}
    assert ask_scores(880000, "about 880,000", {"answer": "about 880,000"}) == {"exact": 0, "numeric": 1}
    assert ask_scores("007", "7", {"answer": "7"}) == {"exact": 0, "numeric": 1}
    assert ask_scores(1240.5, "1,240.50", {"answer": "1,240.50"}) == {"exact": 1, "numeric": 1}
    assert ask_scores("12", None, {}) == {"exact": 0, "numeric": 0}


def test_each_field_counts() -> None:
    expected = {"total": 12.5, "shop": "Café", "paid": True, "items": ["a", "b"]}
    given = {"total": "12,50", "shop": "Cafe\u0301", "paid": False, "items": ["a", "b"]}
    assert ask_scores(expected, "...", given) == {"exact": 0, "fields": 0.75}
    assert ask_scores(expected, "...", {**given, "paid": True}) == {"exact": 1, "fields": 1}
    assert ask_scores(expected, None, {}) == {"exact": 0, "fields": 0}
    assert ask_scores({"note": None}, "...", {"note": None})["exact"] == 1


def test_only_what_is_read_off_a_scale_may_be_a_little_off_and_only_as_a_number() -> None:
    assert ask_scores(12.5, "12.6", {"answer": "12.6"}) == {"exact": 0, "numeric": 1}
    assert ask_scores(12.5, "12.7", {"answer": "12.7"}) == {"exact": 0, "numeric": 0}
    assert ask_scores(2024, "2010", {"answer": "2010"}) == {"exact": 0, "numeric": 0}
    assert ask_scores("2024", "2025", {"answer": "2025"}) == {"exact": 0, "numeric": 0}
    assert ask_scores({"year": 2024, "total": 12.5}, "", {"year": 2025, "total": 12.51})["fields"] == 0
    assert ask_scores(10**17 + 1, str(10**17), {"answer": str(10**17)}) == {"exact": 0, "numeric": 0}


@pytest.mark.parametrize("given", ["9" * 400, "3." + "1" * 400, "1e400", "[" * 1500, "9" * 9000])
def test_answers_beyond_all_sizes_are_only_not_equal(given: str) -> None:
    for expected in (3, 3.25, 10**400, "3"):
        assert set(ask_scores(expected, given, {"answer": given}).values()) == {0}
    assert ask_scores({"items": ["a"], "n": 2}, given, {"items": given, "n": given}) == {"exact": 0, "fields": 0}


SCHEMA = {
    "type": "object",
    "properties": {
        "shop": {"type": "string"},
        "total": {"type": "number"},
        "amounts": {"type": "array", "items": {"type": "number"}},
        "items": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": {"type": "string"}, "price": {"type": "number"}}},
        },
        "address": {
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        },
    },
}
ANSWER = {
    "shop": "Müller", "total": 12.5, "amounts": [1, 2.5], "items": [{"name": "Brötchen", "price": 1}],
    "address": {"street": "x", "city": "y"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("expected", "right"),
    [
        (ANSWER, 1),
        ({"address": {"city": "Y", "street": "x"}}, 1),
        ({"amounts": [1.0, 2.5]}, 1),
        ({"items": [{"price": 1.0, "name": "Bro\u0308tchen"}]}, 1),
        ({"address": {"street": "x"}}, 0),
        ({"amounts": [1]}, 0),
        ({"amounts": [1, 2.51]}, 0),
        ({"items": [{"name": "Brötchen", "price": 2}]}, 0),
        ({"address": ["x", "y"]}, 0),
    ],
)
def test_lists_and_objects_are_held_against_what_their_columns_hold(expected: dict[str, object], right: int) -> None:
    cells = read_schema(json.dumps(SCHEMA)).read(ANSWER)
    assert isinstance(cells["address"], str), "a column of JSON text"
    assert ask_scores(expected, "...", cells) == {"exact": right, "fields": right}


def test_null_says_no_more_than_leaving_out() -> None:
    cells = read_schema(json.dumps(SCHEMA)).read({"address": {"street": "x", "city": None}})
    assert ask_scores({"address": {"street": "x"}}, "...", cells)["exact"] == 1


def test_an_answer_nested_beyond_all_sense_is_a_sample_that_fell() -> None:
    labels = [Label("a", answers={"ask": "Nottingham Forest"})]
    right, deep = (
        [Answer("ask", "ask", "a", "", text, fields={"answer": text})] for text in ("Nottingham Forest", "[" * 100_000)
    )
    assert [one.metric for one in compared(labels, right, deep).moved if one.alarming] == ["exact"]
