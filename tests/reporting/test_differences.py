"""Where two texts differ, word by word or character by character, and what is said of what is left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.reporting.differences import Pieces, differences
from pipeline.reporting.visible import LONGEST, shortened, visible


def changed(pieces: Pieces) -> list[str]:
    return [piece.text for piece in pieces if piece.changed]


@pytest.mark.parametrize(
    ("before", "after", "gone", "come"),
    [
        ("a black cat", "a white cat", ["black"], ["white"]),
        ("the Kentish Petition", "the Kentlsh Petition", ["i"], ["l"]),
        ("one two three", "one three", ["two "], []),
        ("今日は雨です", "今日は雪です", ["雨"], ["雪"]),
        ("שלום עולם", "שלום לכם", ["עולם"], ["לכם"]),
        ("first\nsecond", "first second", ["↵\n"], [" "]),
        ("नमस्ते", "नमस्तो", ["स्ते"], ["स्तो"]),
        ("same", "same", [], []),
        ("", "something", [], ["something"]),
    ],
)
def test_what_changed_is_marked_and_nothing_else(before: str, after: str, gone: list[str], come: list[str]) -> None:
    old, new = differences(before, after)
    assert (changed(old), changed(new)) == (gone, come)


@given(st.text(max_size=120), st.text(max_size=120))
def test_the_pieces_are_the_texts(before: str, after: str) -> None:
    pieces = differences(before, after)
    for text, side in zip((before, after), pieces, strict=True):
        assert "".join(one.text.replace("↵\n", "\n") if one.changed else one.text for one in side) == text
    same = ["".join(one.text for one in side if not one.changed) for side in pieces]
    assert same[0] == same[1]


def test_of_a_long_text_the_difference_is_shown_and_the_rest_counted() -> None:
    words = " ".join(f"word{number}" for number in range(5_000))
    old, new = differences(words, words.replace("word4000 ", "WORD "))
    assert changed(old) == ["word4000"]
    assert changed(new) == ["WORD"]
    assert sum(len(piece.text) for piece in new) < 800
    assert new[0].text.endswith("equal characters … ")
    assert new[-1].text.endswith("equal characters …")


def test_texts_that_differ_everywhere_are_compared_as_far_as_they_are_shown() -> None:
    old, new = differences("a" + "b " * 3_000 + "e", "c" + "d " * 4_000 + "f")
    assert sum(len(piece.text) for piece in old) < LONGEST + 100
    assert old[-1].text == f" … and {6_002 - LONGEST:,} more characters, not compared"
    assert new[-1].text == f" … and {8_002 - LONGEST:,} more characters, not compared"


def test_what_cannot_be_seen_is_written_out_and_scripts_keep_their_joiners() -> None:
    assert visible("a\0b\u202ec\ud800\r\n") == "a⟨U+0000⟩b⟨U+202E⟩c⟨U+D800⟩⟨U+000D⟩\n"
    persian = "می\u200cخواهم\u200f\t!"
    assert visible(persian) == persian


def test_a_long_text_ends_with_how_much_is_missing() -> None:
    assert shortened("x" * LONGEST) == "x" * LONGEST
    assert shortened("x" * (LONGEST + 1_234)) == "x" * LONGEST + " … and 1,234 more characters"
