"""What becomes of a row over several attempts, answers and runs; and what it costs the others."""

from __future__ import annotations

import anyio

from pipeline.core.errors import CallError
from pipeline.core.outcomes import Failure, Row
from pipeline.core.types import RowId
from pipeline.engine.retry import RetryPolicy
from tests.engine.fake_rooms import FakeSource
from tests.engine.fakes import PRICE, FakeProvider, World, ok, spent, status
from tests.support.virtual_time import run_virtual


def test_a_resumed_row_goes_on_where_it_was() -> None:
    world = World(FakeSource({1: 1}))
    world.ledger.lives[RowId("caption", 1, 0)] = spent(3, 1, 2 * PRICE)
    run_virtual(world.flow().run)
    row = world.outcome("caption/1-0")
    assert (row.envelope.attempts, row.envelope.cost_usd) == (4, 3 * PRICE)
    assert world.provider.bodies == [b"caption/1-0+"]


def test_calls_that_wait_to_be_retried_do_not_hold_up_the_others() -> None:
    def script(name: str, number: int):  # type: ignore[no-untyped-def]
        waits = int(name.split("-")[1]) % 10 == 0 and number == 1
        return CallError("http_5xx", "busy", 500, retry_after=10.0) if waits else ok()

    def seconds(script) -> float:  # type: ignore[no-untyped-def]
        world = World(FakeSource({1: 2000}), provider=FakeProvider(script, lambda: 1.0), concurrency=8)

        async def main() -> float:
            await world.flow().run()
            return anyio.current_time()

        taken = run_virtual(main)
        assert sum(isinstance(one, Row) for one in world.ledger.committed) == 2000
        return taken

    # A tenth more requests; the waits themselves must cost nothing.
    assert seconds(script) <= seconds(lambda name, number: ok()) / 0.85


def test_one_straggler_holds_nobody() -> None:
    world = World(FakeSource({1: 200}), concurrency=4)
    slow = iter([60.0])
    world.provider.latency = lambda: next(slow, 0.1)
    times: list[float] = []
    add = world.ledger.add

    def timing(outcome):  # type: ignore[no-untyped-def]
        times.append(anyio.current_time())
        return add(outcome)

    world.ledger.add = timing  # type: ignore[method-assign]
    run_virtual(world.flow().run)
    assert len(times) == 200
    assert times[-2] < 15


def test_repairs_are_asked_once_and_paid_for() -> None:
    world = World(
        FakeSource({1: 2}), provider=FakeProvider(lambda name, n: ok("cut" if n == 1 or "1-1" in name else "ok"))
    )
    run_virtual(world.flow().run)
    good, bad = world.outcome("caption/1-0"), world.outcome("caption/1-1")
    assert isinstance(good, Row)
    assert (good.envelope.attempts, good.envelope.cost_usd) == (2, 2 * PRICE)
    assert isinstance(bad, Failure)
    assert (bad.problem.kind, bad.envelope.raw_text, bad.envelope.cost_usd) == ("cut", "cut", 2 * PRICE)
    assert world.provider.asked == {"caption/1-0": 2, "caption/1-1": 2}
    assert b"caption/1-0+" in world.provider.bodies


def test_no_repair_when_none_is_allowed_and_none_for_a_refusal() -> None:
    world = World(
        FakeSource({1: 2}),
        provider=FakeProvider(lambda name, n: ok("cut" if "1-0" in name else "refusal")),
        settings={"repairs": 0},
    )
    run_virtual(world.flow().run)
    assert world.provider.asked == {"caption/1-0": 1, "caption/1-1": 1}
    generous = World(FakeSource({1: 1}), provider=FakeProvider(lambda name, n: ok("refusal")))
    run_virtual(generous.flow().run)
    assert generous.provider.asked == {"caption/1-0": 1}
    assert generous.outcome("caption/1-0").envelope.raw_text == "refusal"


def test_a_repair_that_fails_leaves_the_paid_answer_as_the_failure() -> None:
    world = World(
        FakeSource({1: 1}),
        provider=FakeProvider(lambda name, n: ok("cut") if n == 1 else status(500)),
        policy=RetryPolicy(attempts=2),
    )
    run_virtual(world.flow().run)
    failure = world.outcome("caption/1-0")
    assert isinstance(failure, Failure)
    assert (failure.problem.kind, failure.envelope.raw_text, failure.envelope.cost_usd) == ("cut", "cut", PRICE)
    assert failure.envelope.attempts == 3


def test_a_200_without_a_completion_is_journaled_and_tried_again() -> None:
    world = World(FakeSource({1: 1}), provider=FakeProvider(lambda name, n: ok("unreadable" if n < 3 else "ok")))
    run_virtual(world.flow().run)
    row = world.outcome("caption/1-0")
    assert isinstance(row, Row)
    assert row.envelope.attempts == 3
    received = [frame.body for frame in world.ledger.frames if frame.problem is None]
    assert received == [b"unreadable", b"unreadable", b"ok"]
