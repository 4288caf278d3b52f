from __future__ import annotations

import pytest

from pipeline.evaluation.captions import chrf, keywords


def test_the_closest_reference_counts() -> None:
    assert chrf(["A dog runs.", "A cat sleeps."], "A cat sleeps.") == pytest.approx(1)
    assert chrf(["A dog runs."], "") == 0
    assert chrf(["Ein Mädchen"], "Ein Ma\u0308dchen") == pytest.approx(1)


def test_of_alternatives_one_suffices_and_each_subject_is_to_be_named() -> None:
    assert keywords([("cat", "tabby")], [], "A TABBY on a sofa") == 1
    assert keywords([("cat", "tabby"), ("sofa",)], [], "A cat") == 0.5
    assert keywords([("cat",)], [], "a cathedral") == 0
    assert keywords([("coin",), ("galaxy",), ("glass",)], [], "coins, galaxies and glasses") == 1


def test_without_subjects_the_content_words_of_the_references_are_to_be_named() -> None:
    assert keywords([], ["A red house on the hill.", "The house"], "a house, red") == pytest.approx(2 / 3)
    assert keywords([], ["山の上の家"], "写真：山の上の家") == 1
    assert keywords([], [], "anything") is None
