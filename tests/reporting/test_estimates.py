"""What is left will take so much: from formulas, from what was learned, or unknown; never a guess without a name."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.types import Usage
from pipeline.prompts.order import Order
from pipeline.reporting.estimates import Past, Picture, Text, Tokens, cost, seconds, tokens
from pipeline.reporting.totals import TaskTotals

TEXT, PICTURE = Text(fixed=200, row=50), Picture(750, 10)
TEXT_FIRST = Order(False, 1000, 1100, "", ("a",))
PICTURES_FIRST = Order(True, 3000, 1600, "", ("a", "b", "c"))
NOTHING = Past(TaskTotals(0), None, None)


def record(**values: Any) -> dict[str, Any]:
    return {"answers": 10, "estimated": 7500, "counted": 9000, "scale": 1.2, "text_tokens": 300.0, **values}


def past(latest: dict[str, Any] | None = None, **totals: Any) -> Past:
    return Past(TaskTotals(10, **totals), latest, None)


def ask(past: Past = NOTHING, *, picture: Picture = PICTURE, order: Order = TEXT_FIRST, caches: bool = True) -> Tokens:
    return tokens(100, TEXT, picture, past, order, 300, caches=caches)


def test_without_a_past_the_formulas_count() -> None:
    found = ask()
    assert (found.prompt, found.image, found.cached) == (100_000, 75_000, 20_000)
    assert (found.completion, found.completion_is) == (30_000, "at most")


def test_pictures_first_are_cached_for_all_questions_but_the_first() -> None:
    assert ask(order=PICTURES_FIRST).cached == 50_000
    assert ask(order=PICTURES_FIRST, caches=False).cached == 0


def test_what_was_learned_goes_before_the_formula() -> None:
    found = ask(past(record(), prompt_tokens=9_999_999, cached_tokens=999_999, completion_tokens=250))
    assert (found.image, found.prompt) == (90_000, 120_000)
    assert found.cached == round(120_000 * 999_999 / 9_999_999)
    assert (found.completion, found.completion_is) == (2500, "about")


def test_without_a_formula_the_pictures_of_earlier_answers_count() -> None:
    found = ask(past(record(scale=None)), picture=Picture(None, 0))
    assert (found.image, found.prompt) == (90_000, 120_000)
    found = ask(past(record(counted=None, text_tokens=None), prompt_tokens=8000), picture=Picture(None, 0))
    assert (found.image, found.prompt) == (None, 80_000)
    assert found.sources["prompt"] == "earlier answers"


def test_what_nobody_knows_is_unknown() -> None:
    for order in (TEXT_FIRST, PICTURES_FIRST):
        found = ask(picture=Picture(None, 0), order=order)
        assert (found.image, found.prompt, found.cached) == (None, None, None)
        assert "images.family" in found.sources["image"]
    assert ask(past(prompt_tokens=8000), picture=Picture(None, 0), order=PICTURES_FIRST).cached is None


def test_failures_that_never_reached_the_model_are_no_part_of_a_mean() -> None:
    found = ask(past(completion_tokens=250, failures={"not_found": 90}))
    assert found.completion == 2500


def test_money_is_the_price_or_what_earlier_answers_cost() -> None:
    def price(model: str, usage: Usage) -> float | None:
        return None if model == "mine" else (usage.prompt_tokens or 0) - (usage.cached_tokens or 0)

    assert cost("theirs", ask(), price, NOTHING, 100) == 80_000
    assert cost("mine", ask(), price, NOTHING, 100) is None
    assert cost("mine", ask(), price, past(cost_usd=0.5), 100) == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("calls", "rate", "expected"),
    [
        ([(0, None)], None, 0.0),
        ([(100, None)], None, None),
        ([(100, None)], 60, 100.0),
        ([(100, 2.0)], None, 20.0),
        ([(100, 2.0), (50, None)], None, 30.0),
        ([(100, 2.0)], 60, 100.0),
        ([(100, 20.0)], 60, 200.0),
    ],
    ids=["nothing", "unknown", "rate", "latency", "of another task", "the rate bounds", "the latency bounds"],
)
def test_time_is_what_bounds_it(calls: list[tuple[int, float | None]], rate: float | None, expected: float) -> None:
    assert seconds(calls, 10, rate)[0] == expected
