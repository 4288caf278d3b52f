"""A bound on what a run may cost, and servers that are getting ready or refuse everything in the same words."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import anyio
import pytest

from pipeline.core.errors import CallError, ServerError
from pipeline.core.outcomes import Failure, Life, Spent
from pipeline.core.types import Completion, Reply, RowId, Usage
from pipeline.engine.breaker import REFUSED_IN_A_ROW, STARTING_PATIENCE_S, Breaker
from pipeline.engine.purse import GAPS
from tests.engine.fake_rooms import FakeSource
from tests.engine.fakes import PRICE, FakeProvider, World, ok, status
from tests.support.virtual_time import run_virtual


@pytest.mark.parametrize("spent", [0.0, 1.0])
def test_a_bound_overshoots_by_the_calls_in_flight_at_most(spent: float) -> None:
    world = World(
        FakeSource({1: 100}),
        provider=FakeProvider(latency=lambda: 1.0),
        settings={"max_cost_usd": 5 * PRICE, "spent_usd": spent},
    )
    run_virtual(world.flow().run)
    cost = spent + sum(one.envelope.cost_usd or 0.0 for one in world.ledger.committed)
    assert 5 * PRICE <= cost <= (5 + world.concurrency) * PRICE
    assert world.stop.budget_reached
    assert world.stop.error is None


def test_money_spent_on_unusable_answers_counts() -> None:
    world = World(
        FakeSource({1: 100}), provider=FakeProvider(lambda name, number: ok("cut")), settings={"max_cost_usd": 2.0}
    )
    run_virtual(world.flow().run)
    answers = len(world.provider.answered)
    assert 2.0 / PRICE <= answers <= 2.0 / PRICE + world.concurrency
    assert world.stop.budget_reached


def test_what_a_row_had_cost_before_is_not_counted_twice() -> None:
    world = World(FakeSource({1: 3}), settings={"max_cost_usd": 10.0, "spent_usd": 9.0})
    world.ledger.lives[RowId("caption", 1, 0)] = Life(Spent(1, 1, 9.0))
    run_virtual(world.flow().run)
    assert len(world.ledger.committed) == 3
    assert not world.stop.budget_reached


class Forgetful(FakeProvider):
    """Says nothing of the tokens of answers that are `silent`; `dear` ones cost twice as much."""

    def read(self, body: bytes, notes: Mapping[str, str] | None = None) -> Completion:
        completion = super().read(body, notes)
        return replace(completion, usage=Usage() if body == b"silent" else Usage(1 if body == b"dear" else 0, 0))

    def cost(self, model: str, usage: Usage) -> float | None:
        return None if usage.prompt_tokens is None else PRICE * (1 + usage.prompt_tokens)


def answered_for(words: str, prices: float, concurrency: int = 1) -> World:
    """A run over the answers that `words` name, the last of them for ever, with so many prices to spend."""
    answers = words.split()
    world = World(
        FakeSource({1: 100}),
        provider=Forgetful(lambda name, number: ok(answers[min(len(world.provider.answered), len(answers) - 1)])),
        concurrency=concurrency,
        settings={"max_cost_usd": prices * PRICE},
    )
    return world


@pytest.mark.parametrize(
    ("words", "prices", "answers"),
    [
        ("ok silent ok", 4, 4),
        ("dear ok silent ok", 6, 4),
        ("ok silent silent silent silent ok", 10, 10),
        ("silent silent silent silent ok", 10, 10),
        ("silent dear ok", 5, 3),
        ("silent silent ok", 2, 3),
    ],
)
def test_a_lone_answer_without_tokens_is_charged_as_the_dearest(words: str, prices: float, answers: int) -> None:
    world = answered_for(words, prices)
    run_virtual(world.flow().run)
    assert (world.stop.error, world.stop.budget_reached) == (None, True)
    assert len(world.provider.answered) == len(world.ledger.committed) == answers


@pytest.mark.parametrize(("words", "before"), [("silent", 0), ("ok ok ok silent", 3), ("silent ok silent", 2)])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_row_of_answers_without_tokens_ends_the_run(words: str, before: int, concurrency: int) -> None:
    world = answered_for(words, 1000, concurrency)
    with pytest.raises(ServerError, match="did not say how many tokens its last 5 answers took"):
        run_virtual(world.flow().run)
    answered = len(world.provider.answered)
    assert before + GAPS <= answered == len(world.ledger.committed) < before + GAPS + concurrency


def test_a_model_that_turns_out_to_have_no_price_ends_the_run() -> None:
    class Unpriced(FakeProvider):
        def cost(self, model: str, usage: Usage) -> float | None:
            return None

    world = World(FakeSource({1: 100}), provider=Unpriced(latency=lambda: 1.0), settings={"max_cost_usd": 10.0})
    with pytest.raises(ServerError, match=r"none is known for model-of-caption.*Name the price in provider\.prices"):
        run_virtual(world.flow().run)
    assert GAPS <= len(world.ledger.committed) < GAPS + world.concurrency


def test_an_answer_without_tokens_ends_nothing_where_there_is_no_bound() -> None:
    world = answered_for("silent", 1)
    del world.settings["max_cost_usd"]
    run_virtual(world.flow().run)
    assert len(world.ledger.committed) == 100


def starting() -> CallError:
    return CallError("http_5xx", "the server answered 503: the deployment is scaling up", 503, starting=True)


def test_a_server_that_gets_ready_for_ten_minutes_costs_no_attempt() -> None:
    world = World(FakeSource({1: 20}))

    def script(name: str, number: int) -> object:
        return starting() if anyio.current_time() < 600 else ok()

    world.provider.script = script  # type: ignore[assignment]
    run_virtual(world.flow().run)
    assert len(world.ledger.committed) == 20
    assert {one.envelope.attempts for one in world.ledger.committed} == {1}
    assert sum(world.provider.asked.values()) < 20 + 100, "one canary at a time, and ever more seldom"


def test_a_server_that_never_gets_ready_ends_the_run() -> None:
    world = World(FakeSource({1: 20}), provider=FakeProvider(lambda name, number: starting()))

    async def main() -> float:
        with pytest.raises(ServerError, match="getting ready for 60 min"):
            await world.flow().run()
        return anyio.current_time()

    assert run_virtual(main) == pytest.approx(STARTING_PATIENCE_S, abs=120)
    assert world.ledger.committed == []


def refusing() -> CallError:
    return CallError("connection", "cannot reach the server: refused", reached=False)


def test_a_server_that_by_turns_refuses_and_starts_is_waited_for_no_longer_than_one_that_starts() -> None:
    turns = itertools.cycle([refusing(), starting(), starting(), refusing()])
    world = World(FakeSource({1: 20}), provider=FakeProvider(lambda name, number: next(turns)))

    async def main() -> float:
        with pytest.raises(ServerError, match=r"Nothing is lost"):
            await world.flow().run()
        return anyio.current_time()

    assert run_virtual(main) == pytest.approx(STARTING_PATIENCE_S, abs=120)
    assert world.ledger.committed == []
    assert world.ledger.frames == [], "and no attempt was counted"


def test_an_answer_ends_the_wait_for_a_server_that_by_turns_refuses_and_starts() -> None:
    turns = itertools.cycle([starting(), refusing()])
    away = [(0, 3000), (3100, 6100)]

    def script(name: str, number: int) -> Reply | Exception:
        now = anyio.current_time()
        return next(turns) if any(begin <= now < end for begin, end in away) else ok()

    world = World(FakeSource({1: 2000}), provider=FakeProvider(script, lambda: 1.0))

    async def main() -> float:
        await world.flow().run()
        return anyio.current_time()

    assert run_virtual(main) > 6100
    assert [one.envelope.attempts for one in world.ledger.committed] == [1] * 2000


def test_the_longer_patience_holds_from_the_first_sign_on() -> None:
    row = RowId("caption", 1, 0)
    for patience_s in (900.0, 7200.0):
        longest_s = max(patience_s, STARTING_PATIENCE_S)
        breaker = Breaker(patience_s=patience_s)
        assert breaker.outage(row, refusing(), 0.0)
        assert breaker.outage(row, starting(), 10.0)
        assert breaker.outage(row, refusing(), longest_s - 1)
        with pytest.raises(ServerError, match=f"not answered for {longest_s:.0f} seconds"):
            breaker.outage(row, refusing(), longest_s)
    breaker = Breaker(patience_s=900.0)
    assert breaker.outage(row, starting(), 0.0)
    breaker.answered()
    assert breaker.outage(row, refusing(), 10.0)
    with pytest.raises(ServerError, match="not answered for 900 seconds"):
        breaker.outage(row, refusing(), 910.0)


def test_the_same_words_for_many_rows_in_a_row_are_the_configuration() -> None:
    world = World(FakeSource({1: 500}))

    def script(name: str, number: int) -> object:
        return ok() if len(world.provider.answered) < 30 else status(400, "no such adapter")

    world.provider.script = script  # type: ignore[assignment]
    with pytest.raises(ServerError, match=r"no such adapter\. This looks like the configuration"):
        run_virtual(world.flow().run)
    failed = [one for one in world.ledger.committed if isinstance(one, Failure)]
    assert len(failed) <= REFUSED_IN_A_ROW + world.concurrency
    assert sum(world.provider.asked.values()) <= 30 + REFUSED_IN_A_ROW + world.concurrency


def test_different_words_or_an_answer_in_between_are_the_rows() -> None:
    def script(name: str, number: int) -> object:
        row = int(name.rpartition("-")[2])
        if row % 8 == 0:
            return ok()
        return status(400, "refused" if row < 200 else f"refused {row}")

    world = World(FakeSource({1: 400}), provider=FakeProvider(script))  # type: ignore[arg-type]
    run_virtual(world.flow().run)
    assert len(world.ledger.committed) == 400
