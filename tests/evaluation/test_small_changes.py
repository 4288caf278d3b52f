"""Short answers, short texts, small groups and lost labels: what is counted, what is noise, what is a problem."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.evaluation.answers import Answer
from pipeline.evaluation.baseline import baseline_of
from pipeline.evaluation.compare import compare
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.labels import Label
from pipeline.evaluation.results import Comparison
from tests.evaluation.scripted import SAMPLES, compared, run, told, up_to, with_texts
from tests.evaluation.test_compare import BEFORE, alarms


def digits(size: int, wrong: int) -> Comparison:
    labels = [Label(f"q{number:03}", answers={"ask": number % 10}) for number in range(size)]
    before = [Answer("ask", "ask", one.id, "", str(one.answers["ask"])) for one in labels]
    now = [replace(one, text=str((int(one.text or "") + 3) % 10)) for one in before[:wrong]]
    return compared(labels, before, [*now, *before[wrong:]])


@pytest.mark.parametrize(("size", "wrong"), [(3, 3), (5, 3), (20, 5), (33, 5), (60, 6)])
def test_short_answers_that_turn_wrong_are_counted(size: int, wrong: int) -> None:
    assert digits(size, wrong).regressed
    assert digits(size, size).regressed
    assert not digits(size, 1).regressed
    assert not alarms(digits(size, 1))


@pytest.mark.parametrize(("size", "unsure"), [(20, 5), (60, 6)])
def test_safe_pictures_that_become_unsure_are_counted(size: int, unsure: int) -> None:
    labels = [Label(f"m{number:03}", verdict="safe") for number in range(size)]
    before = [Answer("moderate", "moderate", one.id, "", "safe") for one in labels]
    now = [replace(one, text="unsure") for one in before]
    assert compared(labels, before, [*now[:unsure], *before[unsure:]]).regressed
    assert not compared(labels, before, [*now[:1], *before[1:]]).regressed


def test_two_short_answers_exchanged() -> None:
    labels = [Label(f"q{number}", answers={"ask": value}) for number, value in enumerate([7, 12, *range(20, 50)])]
    before = run(labels, 0, lambda text, _: text, flips=0)
    swapped = with_texts(before, {("ask", "q0"): "12", ("ask", "q1"): "7"})
    assert set(alarms(compared(labels, before, swapped))) == {("ask", "q0"), ("ask", "q1")}


def test_a_sign_with_two_wrong_letters_is_noise_and_another_sign_is_not() -> None:
    labels = [Label("sign", text="Museum")]
    before = run(labels, 0, lambda text, _: text)
    assert not compared(labels, before, with_texts(before, {("ocr", "sign"): "Mnseun"})).regressed
    assert compared(labels, before, with_texts(before, {("ocr", "sign"): "Closed"})).regressed


def test_a_bad_text_that_stays_bad_is_no_collapse() -> None:
    labels = [Label("sign", text="Museum")]
    before = with_texts(run(labels, 0, lambda text, _: text), {("ocr", "sign"): "qqqqqq"})
    assert not compared(labels, before, with_texts(before, {("ocr", "sign"): "qqqqqqqqqqqqzzzz"})).regressed


def test_labels_that_are_gone_are_a_problem() -> None:
    bare = [replace(label, text=None) if label.id == "syn-table" else label for label in SAMPLES]
    comparison = compare(evaluate(bare, BEFORE), baseline_of(evaluate(SAMPLES, BEFORE), {}))
    assert comparison.regressed
    cer = [problem for problem in comparison.problems if "cer" in problem]
    assert all(word in cer[0] for word in ("ocr", "1 sample ", "syn-table", "--update-baseline"))
    others = [replace(one, task=f"{one.task}-2") for one in BEFORE]
    assert "Nothing" in compared(SAMPLES, BEFORE, others).problems[0]


def test_groups_of_one_raise_no_alarm() -> None:
    labels = [replace(label, tags=(f"own-{label.id}",)) for label in SAMPLES]
    baseline = baseline_of(evaluate(labels, run(labels, 0, up_to(0.06))), {})
    for seed in range(1, 11):
        comparison = compare(evaluate(labels, run(labels, seed, up_to(0.06))), baseline)
        assert not comparison.regressed, told(comparison)
