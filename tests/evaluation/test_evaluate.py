from __future__ import annotations

import time

import pytest

from pipeline.core.errors import ConfigError
from pipeline.evaluation.answers import Answer
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.labels import Label
from pipeline.evaluation.metrics import METRICS
from pipeline.evaluation.resampling import draws
from tests.evaluation.scripted import SAMPLES, run, sample_set, up_to


def test_figures_over_all_by_category_language_and_tag() -> None:
    evaluation = evaluate(SAMPLES, run(SAMPLES, 0, up_to(0.06)))
    figures = {(one.task, one.metric, one.group): one for one in evaluation.figures}
    assert figures["ocr", "cer", "all"].samples == 23
    assert figures["ocr", "cer", "language: he"].samples == 1
    assert figures["ocr", "cer", "category: sign"].samples == 3
    assert figures["caption", "keywords", "tag: photo"].samples == 10
    assert ("ocr", "wer", "language: ja") not in figures
    assert all(one.metric in METRICS for one in evaluation.figures)
    for one in evaluation.figures:
        assert one.low - 1e-9 <= one.value <= one.high + 1e-9


def test_intervals_hold_what_they_promise_and_are_the_same_each_time() -> None:
    labels = [Label(f"{number:03}", verdict="safe") for number in range(100)]
    answers = [
        Answer("m", "moderate", label.id, "", "safe" if number % 5 else "unsafe") for number, label in enumerate(labels)
    ]
    figures = [one for one in evaluate(labels, answers).figures if one.metric == "verdict"]
    assert figures == [one for one in evaluate(labels, answers).figures if one.metric == "verdict"]
    assert figures[0].value == pytest.approx(0.8)
    assert figures[0].low == pytest.approx(0.8 - 1.96 * 0.04, abs=0.015)
    assert figures[0].high == pytest.approx(0.8 + 1.96 * 0.04, abs=0.015)


def test_a_row_that_failed_has_the_worst_scores() -> None:
    label = Label("a", text="A text", captions=("A cat.",), must_contain=("text",), verdict="unsafe", answers={"q": 4})
    answers = [
        Answer(task, kind, "a", "a.png", None, "refusal: no")
        for task, kind in (("c", "caption"), ("o", "ocr"), ("m", "moderate"), ("q", "ask"))
    ]
    scores = {name: value for one in evaluate([label], answers).samples for name, value in one.scores.items()}
    assert scores == {
        "answered": 0, "chrf": 0, "keywords": 0, "facts": 0, "cer": 1, "wer": 1, "verdict": 0, "exact": 0, "numeric": 0,
    }  # fmt: skip
    assert evaluate([label], answers).flips == {"m": {("unsafe", "failed"): 1}}


def test_a_short_text_weighs_less_than_a_long_one() -> None:
    labels = [Label("long", text="a" * 300), Label("short", text="b" * 20)]
    answers = [Answer("ocr", "ocr", "long", "", "a" * 300), Answer("ocr", "ocr", "short", "", "b" * 10 + "x" * 90)]
    figure = next(one for one in evaluate(labels, answers).figures if (one.metric, one.group) == ("cer", "all"))
    assert figure.value == pytest.approx((20 / 120) / (300 / 400 + 20 / 120))


def test_labels_of_other_pictures_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"x\.png"):
        evaluate([Label("a")], [Answer("ocr", "ocr", "x.png", "", "text")])


def test_a_hundred_samples_of_three_tasks_take_under_two_seconds_of_this_processor() -> None:
    labels = sample_set(100, 1)
    answers = [one for one in run(labels, 0, up_to(0.06)) if one.task != "ask"]
    began = time.process_time()
    evaluation = evaluate(labels, answers)
    assert time.process_time() - began < 2
    assert len(evaluation.samples) == 300


def test_the_draws_that_are_kept_are_small_and_always_the_same() -> None:
    assert draws(5000).nbytes * (draws.cache_info().maxsize or 10**6) < 100_000_000
    drawn = draws(33)
    draws.cache_clear()
    assert (draws(33) == drawn).all()
    assert (drawn.sum(axis=1) == 33).all()
