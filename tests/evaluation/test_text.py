from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.evaluation.text import cer, told, wer
from tests.evaluation.scripted import SAMPLES

_TEXTS = st.text(st.sampled_from("aäbc ße\n\tשלוםمرحباनमस्ते漢字かなé\u0301"), max_size=24)


def edits(left: list[str], right: list[str]) -> int:
    """Levenshtein distance by the textbook's table."""
    row = list(range(len(right) + 1))
    for place, one in enumerate(left, start=1):
        before, row[0] = row[0], place
        for column, other in enumerate(right, start=1):
            before, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, before + (one != other))
    return row[-1]


@settings(max_examples=1000, deadline=None)
@given(_TEXTS, _TEXTS)
@example("", "a")
@example(" ", "\n")
def test_rates_agree_with_an_independent_computation(reference: str, text: str) -> None:
    left, right = (" ".join(unicodedata.normalize("NFC", one).split()) for one in (reference, text))
    if left:
        assert cer(reference, text) == pytest.approx(edits(list(left), list(right)) / len(left))
        assert wer(reference, text) == pytest.approx(edits(left.split(), right.split()) / len(left.split()))
    else:
        assert cer(reference, text) == wer(reference, text) == (1.0 if right else 0.0)


@pytest.mark.parametrize("label", [one for one in SAMPLES if one.text], ids=lambda one: one.id)
def test_composed_and_decomposed_texts_are_equal(label) -> None:
    assert cer(label.text, unicodedata.normalize("NFD", label.text), label.languages) == 0
    assert wer(label.text, unicodedata.normalize("NFD", label.text).replace("\n", " \n ")) == 0
    if facts := [fact for fact in label.must_contain if fact in label.text]:
        assert told(facts, unicodedata.normalize("NFD", label.text)) == 1


def test_each_letter_counts_in_every_script() -> None:
    for right, wrong in (("שלום", "שלוס"), ("مرحبا", "مرحبه"), ("नमस्ते", "नमस्तो"), ("漢字", "漢子"), ("größe", "große")):
        assert cer(right, wrong) == pytest.approx(1 / len(unicodedata.normalize("NFC", right)))


def test_blanks_say_nothing_where_words_are_written_without() -> None:
    assert cer("漢字\n かな", "漢字かな", ["zh-Hant", "ja"]) == 0
    assert cer("a b", "ab", ["en"]) == pytest.approx(1 / 3)


def test_case_counts_in_texts_but_not_in_facts() -> None:
    assert cer("Total", "total") == pytest.approx(0.2)
    assert told(["TOTAL: 5", "Straße", "nowhere"], "the total:\n5 STRASSE") == pytest.approx(2 / 3)


def test_more_made_up_than_stands_there_exceeds_one() -> None:
    assert cer("ab", "abababab") == 3


def test_a_longer_number_does_not_tell_a_shorter_one() -> None:
    assert told(["1.20", "12", "9"], "TOTAL 11.20, 512, 120, 19 and 91") == 0
    assert told(["1.20", "12", "9", "v2"], "(1.20) x12, 9. v2") == 1
    assert told(["12"], "512 or 12") == 1
