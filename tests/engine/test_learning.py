"""What is learned of image tokens from the answers: measured where the server counts them, else inferred."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.types import Usage
from pipeline.engine.learning import TokenLearner, TokenRecord


def learned(answers: list[tuple[int | None, Usage]]) -> TokenRecord:
    learner = TokenLearner()
    for estimated, usage in answers:
        learner.add("caption", "m", estimated, usage)
    return learner.records()["caption", "m"]


def test_what_the_server_counts_is_taken_from_it() -> None:
    record = learned([(100, Usage(400, image_tokens=120)), (300, Usage(660, image_tokens=360))])
    assert record == TokenRecord(2, 400, 1060, True, 480, 1.2, (280 + 300) / 2)


def test_a_server_that_counts_pictures_but_no_prompts() -> None:
    record = learned([(100, Usage(image_tokens=110)), (100, Usage(image_tokens=110))])
    assert (record.counted, record.scale, record.text_tokens) == (220, 1.1, None)


def test_a_count_is_preferred_to_what_could_be_inferred() -> None:
    prompts = [(x, Usage(50 + 9 * x)) for x in (100, 200, 300, 400)]
    record = learned([*prompts, (100, Usage(250, image_tokens=200))])
    assert (record.measured, record.answers, record.estimated, record.scale) == (True, 1, 100, 2.0)


def test_text_and_scale_are_told_apart_by_pictures_of_different_sizes() -> None:
    record = learned([(x, Usage(250 + x + x // 4)) for x in (64, 100, 1200, 800, 480)])
    assert not record.measured
    assert record.scale == pytest.approx(1.25)
    assert record.text_tokens == pytest.approx(250)
    assert (record.answers, record.estimated, record.counted) == (5, 2644, 3305)
    assert record.prompt_tokens == 5 * 250 + 3305


def test_pictures_that_cost_the_same_leave_only_the_sum() -> None:
    record = learned([(256, Usage(300 + n)) for n in range(50)])
    assert record == TokenRecord(50, 12_800, 50 * 300 + 1225, False, None, None, None)


def test_two_answers_prove_nothing() -> None:
    record = learned([(100, Usage(400)), (200, Usage(900))])
    assert (record.scale, record.counted, record.text_tokens) == (None, None, None)


def test_texts_that_differ_more_than_the_pictures_leave_the_scale_unknown() -> None:
    noise = random.Random(3)
    record = learned([(500 + n % 3, Usage(1000 + noise.randrange(2000))) for n in range(200)])
    assert record.scale is None


def test_prompts_that_shrink_as_pictures_grow_are_no_scale() -> None:
    assert learned([(x, Usage(5000 - x)) for x in (100, 200, 300, 400)]).scale is None


def test_texts_that_differ_a_little_do_not_hide_the_scale() -> None:
    noise = random.Random(5)
    answers = [
        (x := noise.randrange(100, 2000), Usage(noise.randrange(200, 300) + round(0.9 * x))) for _ in range(2000)
    ]
    record = learned(answers)
    assert record.scale == pytest.approx(0.9, abs=0.01)
    assert record.text_tokens == pytest.approx(250, abs=5)


def test_answers_with_a_number_missing_are_not_counted() -> None:
    learner = TokenLearner()
    learner.add("caption", "m", None, Usage(400, image_tokens=100))
    learner.add("caption", "m", 100, Usage())
    assert learner.records() == {}


def test_nothing_is_divided_by_nothing() -> None:
    assert learned([(0, Usage(10, image_tokens=0))]).scale is None


def test_tasks_and_models_are_learned_apart() -> None:
    learner = TokenLearner()
    for task, model, counted in (("ocr", "b", 300), ("caption", "b", 200), ("caption", "a", 100)):
        learner.add(task, model, 100, Usage(image_tokens=counted))
    records = learner.records()
    assert list(records) == [("caption", "a"), ("caption", "b"), ("ocr", "b")]
    assert [record.scale for record in records.values()] == [1.0, 2.0, 3.0]


def test_a_long_text_and_many_answers_cost_no_precision() -> None:
    # Sums of squares would be of the order of 1e19 here, what tells the pictures apart 1e5: beyond a double's digits.
    text = 10_000_000
    answers = [(text + n % 2, Usage(3 * text + 2 * (n % 2))) for n in range(100_000)]
    assert learned(answers).scale == pytest.approx(2, rel=1e-6)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 20_000), st.integers(0, 400)), min_size=3, max_size=40))
def test_it_is_the_least_squares_line(points: list[tuple[int, int]]) -> None:
    record = learned([(x, Usage(100 + 2 * x + extra)) for x, extra in points])
    if record.scale is None:
        return
    line = statistics.linear_regression([x for x, _ in points], [100 + 2 * x + extra for x, extra in points])
    assert record.scale == pytest.approx(line.slope, rel=1e-6)
    assert record.text_tokens == pytest.approx(line.intercept, rel=1e-6, abs=1e-3)
