"""What raises an alarm by itself over the repository's own sample set, and what does not."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from pipeline.evaluation.answers import Answer
from pipeline.evaluation.labels import Label
from pipeline.evaluation.results import Comparison
from tests.evaluation.scripted import SAMPLES, compared, run, sample_set, told, up_to, with_texts

BEFORE = run(SAMPLES, 0, up_to(0.06))
NOW = run(SAMPLES, 1, up_to(0.06))
TEXTS = {(one.task, one.key): one.text or "" for one in NOW}


def alarms(comparison: Comparison) -> dict[tuple[str, str], str]:
    return {(one.now.task, one.now.key): one.metric for one in comparison.moved if one.alarming}


def changed(texts: dict[tuple[str, str], str]) -> Comparison:
    return compared(SAMPLES, BEFORE, with_texts(NOW, texts))


@pytest.mark.parametrize("language", ["he", "ar", "sa", "ja", "ru", "fr", "de"])
@pytest.mark.parametrize("how", ["empty", "garbled", "shuffled"])
def test_a_language_that_is_dropped(language: str, how: str) -> None:
    chance = random.Random(5)
    keys = [label.id for label in SAMPLES if language in label.languages and label.text]
    spoiled = {}
    for key in keys:
        text = TEXTS["ocr", key]
        garbled = "".join(chance.choice("#?lI1|~ ") for _ in text)
        shuffled = "".join(chance.sample(text, len(text)))
        spoiled["ocr", key] = {"empty": "", "garbled": garbled, "shuffled": shuffled}[how]
    comparison = changed(spoiled)
    assert comparison.regressed
    assert alarms(comparison) == {("ocr", key): "cer" for key in keys}


@pytest.mark.parametrize("key", ["sign-give-way", "person-admiral", "syn-letter-exif6", "doc-huck-finn-page"])
def test_one_picture_read_as_garbage(key: str) -> None:
    turned = "".join(random.Random(1).choice("oeaxz.,'- ") for _ in range(60))
    assert alarms(changed({("ocr", key): turned})) == {("ocr", key): "cer"}


def test_half_of_a_page_left_out() -> None:
    text = TEXTS["ocr", "syn-german-french"]
    assert alarms(changed({("ocr", "syn-german-french"): text[: len(text) // 2]})) == {
        ("ocr", "syn-german-french"): "cer"
    }


@pytest.mark.parametrize(
    ("task", "one", "other"),
    [
        ("ocr", "sign-wet-paint", "sign-give-way"),
        ("ocr", "syn-table", "syn-receipt"),
        ("caption", "photo-cat", "photo-rocket"),
        ("caption", "photo-coins", "person-astronaut"),
        ("caption", "sign-give-way", "syn-table"),
    ],
)
def test_two_answers_exchanged(task: str, one: str, other: str) -> None:
    comparison = changed({(task, one): TEXTS[task, other], (task, other): TEXTS[task, one]})
    assert set(alarms(comparison)) == {(task, one), (task, other)}


def test_two_answers_exchanged_of_a_provider_without_noise() -> None:
    texts = {(one.task, one.key): one.text or "" for one in BEFORE}
    pair = ("caption", "photo-coffee"), ("caption", "photo-galaxies")
    swapped = with_texts(BEFORE, {pair[0]: texts[pair[1]], pair[1]: texts[pair[0]]})
    assert set(alarms(compared(SAMPLES, BEFORE, swapped))) == set(pair)


def test_verdicts_turned_into_their_opposite_and_into_unsure() -> None:
    comparison = changed({("moderate", "photo-cat"): "unsafe (violence)", ("moderate", "photo-retina"): "unsure"})
    assert alarms(comparison) == {("moderate", "photo-cat"): "verdict"}
    moved = {one.now.key: one.verdict for one in comparison.moved if one.now.task == "moderate"}
    assert moved["photo-retina"] == "same"
    assert comparison.flips["moderate"]["safe", "unsafe"] == 1


def test_an_answer_that_is_another_and_one_spelled_differently() -> None:
    labels = [replace(label, answers={"ask": "Nottingham 23"}) for label in SAMPLES[:20]]
    before = run(labels, 0, lambda text, _: text)
    key = labels[3].id
    assert alarms(compared(labels, before, with_texts(before, {("ask", key): "Leicester, page 7"}))) == {
        ("ask", key): "exact"
    }
    assert not compared(labels, before, with_texts(before, {("ask", key): "Notingham 23"})).regressed


def failed(answers: list[Answer], task: str, keys: list[str], failure: str) -> list[Answer]:
    return [
        replace(one, text=None, fields={}, failure=failure) if one.task == task and one.key in keys else one
        for one in answers
    ]


def test_rows_that_fail_now_are_a_regression() -> None:
    comparison = compared(SAMPLES, BEFORE, failed(NOW, "ocr", ["syn-table"], "cut: the answer ends in mid-sentence"))
    assert alarms(comparison) == {("ocr", "syn-table"): "answered"}
    assert comparison.regressed
    assert not comparison.problems


@pytest.mark.parametrize("kind", ["timeout", "http_5xx", "http_429", "connection", "fetch_timeout"])
def test_rows_that_fail_in_passing_are_to_be_run_again(kind: str) -> None:
    comparison = compared(SAMPLES, BEFORE, failed(NOW, "ocr", ["syn-table", "syn-receipt"], f"{kind}: nobody there"))
    assert not alarms(comparison)
    assert [change for change in comparison.changes if change.verdict == "worse"] == []
    (problem,) = comparison.problems
    assert kind in problem
    assert "syn-table" in problem
    assert "again" in problem
    assert comparison.regressed


def test_a_failure_that_is_answered_now_is_better() -> None:
    comparison = compared(SAMPLES, failed(BEFORE, "ocr", ["syn-table"], "empty: no text"), NOW)
    assert [(one.now.key, one.verdict) for one in comparison.moved if one.verdict != "same"] == [
        ("syn-table", "better")
    ]
    assert comparison.improved


def test_missing_rows_are_a_regression_and_new_ones_are_not() -> None:
    fewer = [one for one in NOW if one.key != "photo-cat"]
    assert set(compared(SAMPLES, BEFORE, fewer).missing) == {(task, "photo-cat") for task in ("caption", "moderate")}
    assert compared(SAMPLES, BEFORE, fewer).regressed
    grown = compared(SAMPLES, [one for one in BEFORE if one.key != "photo-cat"], NOW)
    assert not grown.regressed, told(grown)
    assert ("caption", "photo-cat") in grown.added


@pytest.mark.parametrize("size", [3, 5, 20])
def test_an_improvement_is_seen_also_with_few_samples(size: int) -> None:
    labels = sample_set(size, 9)
    before = run(labels, 0, up_to(0.06, 0.3))
    comparison = compared(labels, before, run(labels, 0, up_to(0.06)))
    assert comparison.improved, told(comparison)
    assert ("cer", "all", "better") in {(one.metric, one.group, one.verdict) for one in comparison.changes}


def test_a_question_asked_differently_is_said() -> None:
    before = [replace(one, request_sha256="a") for one in BEFORE]
    now = [replace(one, request_sha256="b") for one in with_texts(NOW, {("ocr", "syn-table"): ""})]
    moved = {one.now.key: one.asked_differently for one in compared(SAMPLES, before, now).moved if one.alarming}
    assert moved == {"syn-table": True}


def test_two_answers_exchanged_that_are_much_alike() -> None:
    labels = [Label(f"door-{number}", text=f"Room {number}7, floor {number}") for number in range(1, 9)]
    before = run(labels, 0, lambda text, _: text)
    swapped = with_texts(before, {("ocr", "door-2"): labels[4].text or "", ("ocr", "door-5"): labels[1].text or ""})
    assert alarms(compared(labels, before, swapped)) == {("ocr", "door-2"): "cer", ("ocr", "door-5"): "cer"}
