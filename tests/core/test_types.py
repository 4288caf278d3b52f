"""The arithmetic of money: what is not known never becomes 0."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core import outcomes, types
from pipeline.core.outcomes import Life, Spent

_costs = st.none() | st.integers(0, 1000).map(float)


def test_an_answer_adds_up() -> None:
    spent = Spent().plus(0.25, 1).plus(0.5, 3)
    assert spent == Spent(attempts=3, answers=2, cost_usd=0.75)


def test_an_unknown_price_makes_the_sum_unknown() -> None:
    assert Spent().plus(None, 1).cost_usd is None
    assert Spent().plus(0.5, 1).plus(None, 2).cost_usd is None
    assert Spent().plus(None, 1).plus(0.5, 2).cost_usd is None
    assert Spent().plus(0.0, 1).cost_usd == 0.0


@settings(deadline=None, derandomize=True)
@given(costs=st.lists(_costs, max_size=6))
def test_a_sum_is_known_when_every_price_is(costs: list[float | None]) -> None:
    spent = Spent()
    for attempts, cost in enumerate(costs, start=1):
        spent = spent.plus(cost, attempts)
    known = [cost for cost in costs if cost is not None]
    assert spent.cost_usd == (sum(known) if len(known) == len(costs) else None)
    assert (spent.attempts, spent.answers) == (len(costs), len(costs))


def test_a_new_question_has_spent_nothing() -> None:
    assert Life() == Life(Spent(0, 0, 0.0), None, None)


@pytest.mark.parametrize(
    "value",
    [found for room in (types, outcomes) for found in vars(room).values() if dataclasses.is_dataclass(found)],
    ids=lambda found: found.__name__,
)
def test_what_flows_is_frozen(value: type) -> None:
    assert value.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(value)
