from __future__ import annotations

import math
import random
import warnings

import numpy as np
import pytest
from sklearn import metrics as independent

from pipeline.evaluation.labels import VERDICTS
from pipeline.evaluation.moderation import agreement, flip_matrix, one_hot, rates


@pytest.mark.parametrize("block", range(10))
def test_rates_agree_with_scikit_learn(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        chance = random.Random(seed)
        kinds = chance.sample(VERDICTS, chance.randint(1, 3))
        expected = [chance.choice(kinds) for _ in range(chance.randint(1, 30))]
        given = [one if chance.random() < 0.6 else chance.choice(VERDICTS) for one in expected]
        pairs = list(zip(expected, given, strict=True))
        ours = {name: float(value[0]) for name, value in rates(one_hot(pairs).sum(0, keepdims=True)).items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # kappa divides by zero where it has no value
            labels = {"labels": ["unsafe"], "average": "micro", "zero_division": np.nan}
            theirs = {
                "precision": independent.precision_score(expected, given, **labels),
                "recall": independent.recall_score(expected, given, **labels),
                "f1": independent.f1_score(expected, given, **labels),
                "kappa": independent.cohen_kappa_score(expected, given),
            }
        assert ours == pytest.approx(theirs, nan_ok=True), (seed, pairs)


def test_an_unsafe_picture_whose_row_failed_was_missed() -> None:
    counts = one_hot([("unsafe", "failed"), ("unsafe", "unsafe"), ("safe", "safe")]).sum(0, keepdims=True)
    found = rates(counts)
    assert found["recall"][0] == 0.5
    assert found["precision"][0] == 1
    assert found["kappa"][0] < 1


def test_kappa_has_no_value_where_all_are_alike() -> None:
    assert math.isnan(rates(one_hot([("safe", "safe")] * 5).sum(0, keepdims=True))["kappa"][0])


def test_unsure_is_half_a_step_and_flips_are_counted() -> None:
    assert [agreement("safe", given) for given in (*VERDICTS, "failed")] == [1, 0.5, 0, 0]
    assert agreement("unsure", "unsafe") == 0.5
    assert flip_matrix([("safe", "unsafe"), ("safe", "safe"), ("safe", "unsafe")]) == {
        ("safe", "safe"): 1,
        ("safe", "unsafe"): 2,
    }
