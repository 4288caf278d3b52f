"""What becomes of a row over several attempts, answers and runs; and what it costs the others."""

from __future__ import annotations

import anyio
import pytest

from pipeline.core.errors import CallError, ServerError
from pipeline.core.outcomes import Failure, Row
from pipeline.core.types import Reply, RowId
from pipeline.engine.retry import RetryPolicy
from pipeline.engine.shutdown import Stop
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


def _one_form_only(code: int) -> FakeProvider:
    """The third picture's answer is cut, and every question in another form is refused with this status."""

    def script(name: str, number: int):  # type: ignore[no-untyped-def]
        return ok("cut" if name.endswith("-2") else "ok") if number == 1 else status(code, "stream=true is needed")

    return FakeProvider(script)


def test_a_repair_whose_form_is_refused_ends_its_row_with_the_paid_answer() -> None:
    world = World(FakeSource({1: 100}), provider=_one_form_only(422))
    run_virtual(world.flow().run)
    failure = world.outcome("caption/1-2")
    assert isinstance(failure, Failure)
    assert (failure.problem.kind, failure.envelope.raw_text, failure.envelope.cost_usd) == ("cut", "cut", PRICE)
    assert not failure.retryable
    assert sum(isinstance(one, Row) for one in world.ledger.committed) == 99
    assert world.provider.asked["caption/1-2"] == 2


@pytest.mark.parametrize("proven", [False, True])
def test_a_resume_that_begins_with_refused_repairs_ends_those_rows_alone(proven: bool) -> None:
    """What a drain left between answer and repair comes first: its refusals say nothing of the configuration."""

    def script(name: str, number: int):  # type: ignore[no-untyped-def]
        return status(422) if int(name.partition("-")[2]) < 60 else ok()

    world = World(FakeSource({1: 70}), provider=FakeProvider(script), concurrency=1, settings={"proven": proven})
    for number in range(60):
        world.ledger.lives[RowId("caption", 1, number)] = spent(1, 1, PRICE)
    run_virtual(world.flow().run)
    assert sum(isinstance(one, Row) for one in world.ledger.committed) == 10
    assert len(world.ledger.committed) == 70


def test_a_key_refused_to_a_repair_still_ends_the_run_and_a_form_refused_to_a_question_too() -> None:
    for provider in (_one_form_only(401), FakeProvider(lambda *_: status(422))):
        world = World(FakeSource({1: 100}), provider=provider)
        with pytest.raises(ServerError):
            run_virtual(world.flow().run)
        assert not any(isinstance(one, Failure) for one in world.ledger.committed)


def _numbers(world: World) -> list[int]:
    """The numbers of the replies that were received: recovery takes a number that it knows for the same reply."""
    return [frame.attempts for frame in world.ledger.frames if frame.problem is None]


def test_an_overload_under_status_200_in_a_repair_is_waited_out_like_any_other() -> None:
    def script(name: str, number: int):  # type: ignore[no-untyped-def]
        return ok("cut") if number == 1 else Reply(200, {}, b"unreadable") if number < 5 else ok()

    world = World(FakeSource({1: 1}), provider=FakeProvider(script))
    run_virtual(world.flow().run)
    row = world.outcome("caption/1-0")
    assert isinstance(row, Row)
    assert (row.envelope.attempts, row.envelope.cost_usd) == (5, 2 * PRICE)
    assert _numbers(world) == [1, 2, 3, 4, 5]


def test_a_repair_that_only_meets_broken_replies_ends_with_the_paid_answer() -> None:
    def script(name: str, number: int):  # type: ignore[no-untyped-def]
        return ok("cut") if number == 1 else Reply(200, {}, b"unreadable")

    world = World(FakeSource({1: 1}), provider=FakeProvider(script), policy=RetryPolicy(attempts=3))
    run_virtual(world.flow().run)
    failure = world.outcome("caption/1-0")
    assert isinstance(failure, Failure)
    assert (failure.problem.kind, failure.envelope.raw_text, failure.envelope.attempts) == ("cut", "cut", 4)


def test_a_reply_without_an_answer_says_less_than_the_error_that_came_last() -> None:
    def script(name: str, number: int):  # type: ignore[no-untyped-def]
        return (
            Reply(200, {}, b"unreadable") if number == 1 and "1-1" in name else status(413) if "1-1" in name else ok()
        )

    world = World(FakeSource({1: 3}), provider=FakeProvider(script))
    run_virtual(world.flow().run)
    failure = world.outcome("caption/1-1")
    assert isinstance(failure, Failure)
    assert (failure.problem.kind, failure.retryable) == ("context_too_long", False)
    assert failure.envelope.raw_text == "unreadable"


@pytest.mark.parametrize("kind", ["http_429", "connection"])
def test_every_reply_has_a_number_of_its_own(kind: str) -> None:
    """Also where its error costs no attempt: a quota, or streams of many rows that break off."""

    def script(name: str, number: int):  # type: ignore[no-untyped-def]
        return Reply(200, {}, f"broken {kind}".encode()) if number < 3 else ok()

    world = World(FakeSource({1: 12}), provider=FakeProvider(script), concurrency=12)
    run_virtual(world.flow().run)
    assert sum(isinstance(one, Row) for one in world.ledger.committed) == 12
    for one in world.ledger.committed:
        numbers = [frame.attempts for frame in world.ledger.frames if frame.row == one.id and frame.problem is None]
        assert len(numbers) == 3
        assert len({*numbers}) == 3, numbers


@pytest.mark.parametrize(
    ("first", "then", "answers"),
    [("broken off", "ok", 2), ("broken off", "cut", 3), ("broken off", "broken off", 2), ("cut", "broken off", 3)],
)
def test_what_was_broken_off_is_paid_for(first: str, then: str, answers: int) -> None:
    def script(name: str, number: int):  # type: ignore[no-untyped-def]
        return ok(first if number == 1 else then)

    world = World(FakeSource({1: 1}), provider=FakeProvider(script), policy=RetryPolicy(attempts=2))
    run_virtual(world.flow().run)
    envelope = world.outcome("caption/1-0").envelope
    assert (envelope.attempts, envelope.cost_usd) == (answers, answers * PRICE)


def test_a_reply_under_status_200_that_no_request_can_pass_ends_the_run_at_once_and_no_row() -> None:
    paid_for = iter(range(10))
    provider = FakeProvider(lambda name, n: ok("no money" if next(paid_for, None) is None else "ok"))
    world = World(FakeSource({1: 100}), provider=provider)
    with pytest.raises(ServerError, match="no money under status 200"):
        run_virtual(world.flow().run)
    refused = len(provider.bodies) - 10
    assert 1 <= refused <= world.concurrency, "what was on its way, and nothing after it"
    assert [type(one) for one in world.ledger.committed] == [Row] * 10
    kept = [frame.row for frame in world.ledger.frames if frame.body == b"no money"]
    assert len(kept) == refused, "the replies are journaled like all others"
    assert {world.ledger.life(row).spent.attempts for row in kept} == {1}, "and counted"

    provider.script = lambda name, n: ok()
    world.stop = Stop()
    run_virtual(world.flow().run)
    assert [type(one) for one in world.ledger.committed] == [Row] * 100
    assert len(provider.bodies) == 100 + refused, "nothing that was answered is bought again"
