from __future__ import annotations

import pytest

from pipeline.evaluation.ask import ask_scores, number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.5", 1234.5), ("1.234,5", 1234.5), ("12 %", 12), ("EUR 1,5", 1.5), ("1,234", 1234),
        ("1.234.567", 1234567), ("-3", -3), ("−3", -3), ("1e6", 1e6), (".5", 0.5), ("0,250", 0.25),
        ("3 of 4", None), ("none", None), (True, None), (7, 7), ("1e999", None),
    ],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(text: object, value: float | None) -> None:
    assert number(text) == value


def test_text_and_numbers() -> None:
    assert ask_scores("Nottingham", " nottingham.", {"answer": " nottingham."}) == {"exact": 1}
    assert ask_scores("Nottingham", "Leeds", {"answer": "Leeds"}) == {"exact": 0}
    assert ask_scores("Platform 9", "Gate 9", {"answer": "Gate 9"}) == {"exact": 0}
    assert ask_scores(880000, "about 878,000", {"answer": "about 878,000"}) == {"exact": 0, "numeric": 1}
    assert ask_scores(880000, "870000", {"answer": "870000"}) == {"exact": 0, "numeric": 0}
    assert ask_scores("12", None, {}) == {"exact": 0, "numeric": 0}


def test_each_field_counts() -> None:
    expected = {"total": 12.5, "shop": "Café", "paid": True, "items": ["a", "b"]}
    given = {"total": 12.51, "shop": "Cafe\u0301", "paid": False, "items": ["a", "b"]}
    assert ask_scores(expected, "...", given) == {"exact": 0, "fields": 0.75}
    assert ask_scores(expected, "...", {**given, "paid": True}) == {"exact": 1, "fields": 1}
    assert ask_scores(expected, None, {}) == {"exact": 0, "fields": 0}
    assert ask_scores({"note": None}, "...", {"note": None})["exact"] == 1
