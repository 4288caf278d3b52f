"""Twenty repeats of an unchanged run raise no alarm; a true rise of five points is caught. The noise is seeded."""

from __future__ import annotations

import pytest

from pipeline.evaluation.baseline import baseline_of
from pipeline.evaluation.compare import compare
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.labels import Label
from tests.evaluation.scripted import (
    SAMPLES,
    Noise,
    compared,
    exactly_up_to,
    now_and_then,
    run,
    sample_set,
    told,
    up_to,
)

SETS = {
    "20 long": sample_set(20, 1, short=0),
    "25 half short": sample_set(25, 3, short=0.5),
    "60 mixed": sample_set(60, 5),
    "the repository's": list(SAMPLES),
}
REPEATS = 20
RISES = {
    "up to": (up_to(0.06), up_to(0.06, 0.055)),  # some cancel out: 5.5 points drawn are 5.1 measured
    "rounded up": (exactly_up_to(0.06), exactly_up_to(0.06, 0.05)),
}


@pytest.mark.parametrize("labels", SETS.values(), ids=SETS)
@pytest.mark.parametrize(
    "noise",
    [up_to(0.06), exactly_up_to(0.06), now_and_then(0.3, 0.06)],
    ids=["up to", "rounded up", "now and then"],
)
def test_repeats_of_an_unchanged_run_raise_no_alarm(labels: list[Label], noise: Noise) -> None:
    baseline = baseline_of(evaluate(labels, run(labels, 0, noise)), {})
    alarms = {
        seed: told(comparison)
        for seed in range(1, REPEATS + 1)
        if (comparison := compare(evaluate(labels, run(labels, seed, noise)), baseline)).regressed
    }
    assert not alarms


@pytest.mark.parametrize("noises", RISES.values(), ids=RISES)
@pytest.mark.parametrize("name", SETS)
def test_a_rise_of_five_points_is_caught(name: str, noises: tuple[Noise, Noise]) -> None:
    labels, (noise, worse) = SETS[name], noises
    baseline = baseline_of(evaluate(labels, run(labels, 0, noise)), {})
    caught = 0
    for seed in range(1, REPEATS + 1):
        comparison = compare(evaluate(labels, run(labels, seed, worse)), baseline)
        caught += any(
            (change.metric, change.group, change.verdict) == ("cer", "all", "worse") for change in comparison.changes
        )
        assert not any(change.verdict == "better" and change.task == "ocr" for change in comparison.changes)
    assert caught >= REPEATS - 1


def test_equal_answers_change_nothing() -> None:
    for labels in SETS.values():
        answers = run(labels, 3, up_to(0.06))
        comparison = compared(labels, answers, answers)
        assert not comparison.regressed
        assert not comparison.moved
        assert {change.verdict for change in comparison.changes} == {"same"}
