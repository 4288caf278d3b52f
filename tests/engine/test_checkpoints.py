"""What is journaled between two attempts, what a later run makes of it, and a disk that begins to refuse."""

from __future__ import annotations

import anyio
import pytest

from pipeline.core.errors import CallError, DiskFullError, LedgerError, RunError
from pipeline.core.outcomes import Failure, Life, Spent
from pipeline.core.pictures import ImageContract, PreparedImage
from pipeline.core.types import RowId
from pipeline.engine.retry import LONGEST_WAIT_S, RetryPolicy
from tests.engine.fake_rooms import FakeSource
from tests.engine.fakes import FakeProvider, World, ok, status
from tests.support.virtual_time import run_virtual

ROW = RowId("caption", 1, 0)


def down(name: str, number: int) -> CallError:
    return CallError("http_5xx", "down", 500, retry_after=7.0)


def run(world: World) -> float:
    async def main() -> float:
        await world.flow().run()
        return anyio.current_time()

    return float(run_virtual(main))


def test_every_failed_attempt_that_is_made_again_leaves_a_checkpoint() -> None:
    world = World(FakeSource({1: 1}), provider=FakeProvider(down), policy=RetryPolicy(attempts=3))
    run(world)
    assert [(frame.ended, frame.attempts, frame.failed) for frame in world.ledger.frames] == [
        (False, 1, 1),
        (False, 2, 2),
        (True, 3, 0),
    ]
    for frame in world.ledger.frames:
        assert (frame.next_try_at or 0) - frame.received_at >= 7.0, "what the server asked for"
    failure = world.outcome("caption/1-0")
    assert isinstance(failure, Failure)
    assert failure.retryable
    assert failure.next_try_at == world.ledger.frames[-1].next_try_at


def test_refusals_by_quota_and_outages_cost_no_attempt_and_leave_no_checkpoint() -> None:
    world = World(FakeSource({1: 1}), provider=FakeProvider(lambda name, n: status(429) if n < 5 else ok()))
    run(world)
    assert [frame.problem for frame in world.ledger.frames] == [None]


def test_a_killed_row_does_not_get_its_attempts_back() -> None:
    world = World(FakeSource({1: 1}), provider=FakeProvider(down), policy=RetryPolicy(attempts=6))
    world.ledger.lives[ROW] = Life(Spent(attempts=4), failed=4)
    run(world)
    assert sum(world.provider.asked.values()) == 2
    assert world.outcome("caption/1-0").envelope.attempts == 6


@pytest.mark.parametrize(("ahead_s", "at_least", "at_most"), [(20, 20, 21), (3600, LONGEST_WAIT_S, 31), (-5, 0, 1)])
def test_a_row_waits_for_its_time_but_never_long(ahead_s: float, at_least: float, at_most: float) -> None:
    """An hour ahead is a clock that was set back, not a server that asked for it."""
    import time

    world = World(FakeSource({1: 1}))
    world.ledger.lives[ROW] = Life(Spent(attempts=1), failed=1, next_try_at=time.time() + ahead_s)
    assert at_least - 1 <= run(world) <= at_most


def test_a_failure_that_has_spent_its_attempts_is_final() -> None:
    world = World(FakeSource({1: 1}), provider=FakeProvider(down), policy=RetryPolicy(attempts=3, lifetime_attempts=10))
    world.ledger.lives[ROW] = Life(Spent(attempts=6))
    run(world)
    failure = world.outcome("caption/1-0")
    assert isinstance(failure, Failure)
    assert (failure.envelope.attempts, failure.retryable) == (9, True)

    world = World(FakeSource({1: 1}), provider=FakeProvider(down), policy=RetryPolicy(attempts=3, lifetime_attempts=10))
    world.ledger.lives[ROW] = Life(Spent(attempts=9))
    run(world)
    failure = world.outcome("caption/1-0")
    assert isinstance(failure, Failure)
    assert (failure.envelope.attempts, failure.retryable, failure.next_try_at) == (12, False, None)


def test_a_question_left_between_two_attempts_is_shelved_with_what_was_spent() -> None:
    world = World(FakeSource({1: 1}), provider=FakeProvider(lambda name, n: ok("cut") if n == 1 else down(name, n)))

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(world.flow().run)
            await anyio.sleep(1)
            world.stop.drain()

    run_virtual(main)
    life = world.ledger.lives[ROW]
    assert (life.spent.answers, life.spent.attempts, life.failed) == (1, 2, 1)
    assert world.ledger.committed == []


def test_trouble_with_the_disk_lets_the_calls_in_flight_finish() -> None:
    world = World(FakeSource({1: 50}), provider=FakeProvider(latency=lambda: 5.0), concurrency=4)
    append = world.ledger.append

    def full(frame: object) -> None:
        append(frame)  # type: ignore[arg-type]
        if len(world.ledger.frames) == 10:
            world.ledger.in_trouble = DiskFullError("The disk is full")

    world.ledger.append = full  # type: ignore[method-assign, assignment]
    with pytest.raises(LedgerError, match="The disk is full"):
        run(world)
    assert len(world.ledger.committed) == len(world.provider.answered) == sum(world.provider.asked.values())
    assert 10 <= len(world.provider.answered) <= 14


def test_trouble_at_a_commit_stops_the_run_too() -> None:
    world = World(FakeSource({1: 50}), provider=FakeProvider(latency=lambda: 5.0), concurrency=4)

    def commit(*, everything: bool = False, commit: object = world.ledger.commit) -> None:
        world.ledger.in_trouble = DiskFullError("The disk is full")
        commit(everything=everything)  # type: ignore[operator]

    world.ledger.commit = commit  # type: ignore[method-assign]
    with pytest.raises(LedgerError, match="The disk is full"):
        run(world)
    assert len(world.provider.answered) < 20
    assert len(world.ledger.committed) == len(world.provider.answered)


def test_a_decoder_that_cannot_be_started_lets_the_calls_in_flight_finish() -> None:
    world = World(FakeSource({1: 200}), provider=FakeProvider(latency=lambda: 5.0), concurrency=4)
    prepare = world.preparer.prepare

    def refusing(source: bytes, contract: ImageContract) -> tuple[PreparedImage, ...]:
        if sum(world.provider.asked.values()) >= 8:
            raise RunError("The process that decodes pictures does not start")
        return prepare(source, contract)

    world.preparer.prepare = refusing  # type: ignore[method-assign]
    with pytest.raises(RunError, match="does not start"):
        run(world)
    assert len(world.ledger.committed) == len(world.provider.answered) == sum(world.provider.asked.values())
    assert len(world.provider.answered) < 200


def test_an_index_that_cannot_be_read_lets_the_calls_in_flight_finish() -> None:
    world = World(FakeSource({1: 200}), provider=FakeProvider(latency=lambda: 5.0), concurrency=4)

    def twin(task: str, request_sha256: str) -> None:
        if sum(world.provider.asked.values()) >= 8:
            raise LedgerError("Cannot use the index of questions")

    world.ledger.twin = twin  # type: ignore[method-assign, assignment]
    with pytest.raises(LedgerError, match="the index of questions"):
        run(world)
    assert len(world.ledger.committed) == len(world.provider.answered) == sum(world.provider.asked.values())
    assert len(world.provider.answered) < 200
