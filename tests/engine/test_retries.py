"""Retries, quotas and outages, in virtual time."""

from __future__ import annotations

import random

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import CallError, ServerError
from pipeline.core.outcomes import Failure, Row
from pipeline.core.types import Reply, RowId
from pipeline.engine.breaker import DOWN_AFTER, REFUSED_AFTER, REFUSED_IN_A_ROW, Breaker
from pipeline.engine.retry import LONGEST_WAIT_S, RetryPolicy, backoff
from tests.engine.fake_rooms import FakeSource
from tests.engine.fakes import PRICE, FakeProvider, World, ok, status
from tests.support.virtual_time import run_virtual


def run(world: World) -> float:
    """Run to the end; the virtual seconds it took."""

    async def main() -> float:
        await world.flow().run()
        return anyio.current_time()

    return run_virtual(main)


def test_a_retry_sends_the_same_bytes() -> None:
    replies = {1: status(429), 2: status(503), 3: status(500)}
    world = World(FakeSource({1: 1}), provider=FakeProvider(lambda name, n: replies.get(n, ok())))
    run(world)
    assert len(world.provider.bodies) == 4
    assert len(set(world.provider.bodies)) == 1
    assert isinstance(world.outcome("caption/1-0"), Row)


def test_a_minute_of_429_costs_no_attempt_and_fails_nothing() -> None:
    def script(name: str, number: int) -> Reply:
        return status(429) if anyio.current_time() < 60 else ok()

    world = World(FakeSource({1: 50}), provider=FakeProvider(script), policy=RetryPolicy(attempts=1))
    run(world)
    assert all(isinstance(one, Row) and one.envelope.attempts == 1 for one in world.ledger.committed)
    assert len(world.ledger.committed) == 50
    assert world.stats.refused_by_quota > 0
    assert world.stats.requests - 50 == world.stats.refused_by_quota < 40


def test_retry_after_is_waited_for_by_everybody() -> None:
    sent: list[float] = []

    def script(name: str, number: int) -> Reply:
        sent.append(anyio.current_time())
        return Reply(429, {"retry-after": "30"}, b"slow down") if len(sent) == 1 else ok()

    world = World(FakeSource({1: 20}), provider=FakeProvider(script, lambda: 0.0), concurrency=1)
    run(world)
    assert sent[1] >= 30
    assert len(world.ledger.committed) == 20


def test_a_quota_that_never_opens_ends_the_row_by_age_and_it_may_be_tried_again() -> None:
    world = World(
        FakeSource({1: 1}), provider=FakeProvider(lambda *_: status(429)), policy=RetryPolicy(total_seconds=100)
    )
    seconds = run(world)
    failure = world.outcome("caption/1-0")
    assert isinstance(failure, Failure)
    assert failure.problem.kind == "http_429"
    assert 100 <= seconds < 200


def test_transient_failures_end_after_the_attempts_and_keep_the_servers_words() -> None:
    world = World(
        FakeSource({1: 2}),
        provider=FakeProvider(lambda name, n: status(500, "it broke") if "1-0" in name else ok()),
        policy=RetryPolicy(attempts=3),
    )
    run(world)
    failure = world.outcome("caption/1-0")
    assert isinstance(failure, Failure)
    assert (failure.problem.kind, failure.problem.http_status, failure.envelope.attempts) == ("http_5xx", 500, 3)
    assert failure.envelope.cost_usd == 0.0
    assert world.provider.asked["caption/1-0"] == 3
    assert world.ledger.frames[-1].body in {b"it broke", b"ok"}
    assert b"it broke" in {frame.body for frame in world.ledger.frames}


def test_a_bad_request_is_not_repeated() -> None:
    world = World(FakeSource({1: 2}), provider=FakeProvider(lambda name, n: status(400) if "1-0" in name else ok()))
    run(world)
    failure = world.outcome("caption/1-0")
    assert isinstance(failure, Failure)
    assert (failure.problem.kind, failure.envelope.attempts) == ("bad_request", 1)
    assert world.provider.asked["caption/1-0"] == 1


def test_a_server_that_is_not_there_ends_the_run_soon_and_fails_no_row() -> None:
    nobody = CallError("connection", "cannot reach the server: refused", reached=False)
    world = World(FakeSource({1: 50}), provider=FakeProvider(lambda *_: nobody))

    async def main() -> float:
        with pytest.raises(ServerError, match=r"has not answered for .* refused"):
            await world.flow().run()
        return anyio.current_time()

    assert 15 <= run_virtual(main) < 60
    assert world.ledger.committed == []
    assert world.ledger.frames == []


def test_an_outage_in_the_middle_costs_no_row_and_no_attempt() -> None:
    def script(name: str, number: int) -> Reply | Exception:
        if 2 < anyio.current_time() < 300:
            return CallError("connection", "refused", reached=False)
        return ok()

    world = World(FakeSource({1: 60}), provider=FakeProvider(script, lambda: 0.5), policy=RetryPolicy(attempts=2))
    run(world)
    assert len(world.ledger.committed) == 60
    assert all(isinstance(one, Row) and one.envelope.attempts == 1 for one in world.ledger.committed)
    assert all(one.envelope.cost_usd == PRICE for one in world.ledger.committed)


def test_an_outage_longer_than_our_patience_ends_the_run() -> None:
    def script(name: str, number: int) -> Reply | Exception:
        return ok() if anyio.current_time() < 2 else status(503, "overloaded")

    world = World(
        FakeSource({1: 100}),
        provider=FakeProvider(script, lambda: 0.5),
        policy=RetryPolicy(attempts=20, total_seconds=300),
    )

    async def main() -> float:
        with pytest.raises(ServerError, match="overloaded"):
            await world.flow().run()
        return anyio.current_time()

    assert 300 <= run_virtual(main) < 500
    assert {one.facts.key for one in world.ledger.committed} == {
        name.removeprefix("caption/") for name in world.provider.answered
    }


def test_a_server_that_refuses_every_row_with_the_same_words_ends_the_run() -> None:
    world = World(FakeSource({1: 500}), provider=FakeProvider(lambda *_: status(400, "unknown field foo")))

    async def main() -> None:
        with pytest.raises(ServerError, match="unknown field foo"):
            await world.flow().run()

    run_virtual(main)
    assert len(world.provider.asked) < REFUSED_AFTER + 10
    # The person mends the configuration and runs again: nothing may stand failed for good.
    assert world.ledger.committed == []
    assert world.ledger.frames == []


def test_refusals_are_kept_back_until_a_row_is_answered_and_then_stand() -> None:
    first_answer = 6

    def script(name: str, number: int) -> Reply:
        return ok() if int(name.split("-")[1]) >= first_answer else status(400, "bad picture")

    world = World(FakeSource({1: 12}), provider=FakeProvider(script), concurrency=1)
    run(world)
    failed = {one.facts.key for one in world.ledger.committed if isinstance(one, Failure)}
    assert failed == {f"1-{number}" for number in range(first_answer)}
    assert len(world.ledger.committed) == 12


def test_a_few_rows_all_refused_alike_are_a_first_try_with_a_wrong_configuration() -> None:
    world = World(FakeSource({1: 3}), provider=FakeProvider(lambda *_: status(400, "unknown field max_tokens")))

    async def main() -> None:
        with pytest.raises(ServerError, match=r"refused 3 rows .* unknown field max_tokens"):
            await world.flow().run()

    run_virtual(main)
    assert world.ledger.frames == []


def test_rows_that_bring_the_server_down_come_to_an_end_and_the_others_are_answered() -> None:
    down = CallError("connection", "connection lost", reached=True)

    def script(name: str, number: int) -> Reply | Exception:
        return status(503, "timed out") if name.endswith("-3") else down if name.endswith("-5") else ok()

    world = World(FakeSource({1: 40}), provider=FakeProvider(script, lambda: 1.0))
    seconds = run(world)
    failed = {one.facts.key: one for one in world.ledger.committed if isinstance(one, Failure)}
    assert set(failed) == {"1-3", "1-5"}
    assert failed["1-5"].problem.kind == "connection"
    assert len(world.ledger.committed) == 40
    assert all(one.envelope.attempts <= 6 for one in failed.values())
    assert seconds < 600


def test_a_few_refusals_stand_at_the_end_when_the_output_was_answered_before() -> None:
    world = World(
        FakeSource({1: 3}),
        provider=FakeProvider(lambda *_: status(400, "bad picture")),
        settings={"proven": True},
    )
    run(world)
    assert [one.problem.kind for one in world.ledger.committed if isinstance(one, Failure)] == ["bad_request"] * 3
    assert all(one.envelope.attempts == 1 for one in world.ledger.committed)


def test_an_answer_thrown_away_by_its_server_is_asked_once_more() -> None:
    thrown_away = CallError("schema_mismatch", "the model's output does not match", 500)
    world = World(
        FakeSource({1: 2}), provider=FakeProvider(lambda name, n: ok() if "1-1" in name and n == 2 else thrown_away)
    )
    run(world)
    failure = world.outcome("caption/1-0")
    assert isinstance(failure, Failure)
    assert (failure.problem.kind, world.provider.asked["caption/1-0"]) == ("schema_mismatch", 2)
    assert isinstance(world.outcome("caption/1-1"), Row)


def test_refusals_with_different_words_or_after_an_answer_are_the_rows() -> None:
    different = World(
        FakeSource({1: 30}),
        provider=FakeProvider(lambda name, n: status(400, name)),
    )
    run(different)
    assert len(different.ledger.committed) == 30
    # One chunk, so that the row that is answered comes first.
    later = World(FakeSource({1: 12}), provider=FakeProvider(lambda name, n: ok() if "1-0" in name else status(400)))
    later.concurrency = 1
    later.__post_init__()
    run(later)
    assert len(later.ledger.committed) == 12


def test_a_dropped_connection_counts_for_its_row_until_it_happens_to_several() -> None:
    breaker = Breaker(patience_s=900)
    dropped = CallError("connection", "connection lost", reached=True)
    rows = [RowId("caption", 1, number) for number in range(DOWN_AFTER)]
    assert not any(breaker.outage(rows[0], dropped, float(n)) for n in range(20)), "one row is one row's bad luck"
    assert [breaker.outage(row, dropped, 30.0) for row in rows] == [False] * (DOWN_AFTER - 1) + [True]
    for alive in (CallError("http_429", "slow down", 429), CallError("bad_request", "no", 400)):
        assert not breaker.outage(rows[0], alive, 40.0)
        assert not breaker.outage(rows[0], dropped, 5000.0), "the server spoke in between: no outage lasted so long"
    breaker.answered()
    assert not breaker.outage(rows[0], dropped, 100.0)
    assert not breaker.outage(rows[0], CallError("http_5xx", "it broke", 500), 100.0)


@given(st.integers(1, 50), st.none() | st.floats(0, 1000), st.integers())
def test_backoff_is_jittered_bounded_and_never_shorter_than_asked_for(
    failed: int, asked_for: float | None, seed: int
) -> None:
    wait = backoff(failed, asked_for, random.Random(seed))
    assert wait >= (asked_for or 0.0)
    assert wait <= max(asked_for or 0.0, min(LONGEST_WAIT_S, 0.5 * 2 ** (failed - 1)))
    later = backoff(failed + 1, asked_for, random.Random(seed + 1))
    assert later >= 1.1 * wait or wait >= LONGEST_WAIT_S / 2 or wait == asked_for, "it backs off"


def test_the_policy_bounds_attempts_and_age() -> None:
    policy = RetryPolicy(attempts=3, total_seconds=10)
    assert policy.allows(2, 9.9)
    assert not policy.allows(3, 0.0)
    assert not policy.allows(1, 10.0)


def _refused_sooner_than_answered(code: int, count: int) -> FakeProvider:
    """The first rows are refused at once, in the same words; an answer takes longer than all of that."""

    def script(name: str, number: int) -> Reply:
        return status(code, "refused") if int(name.partition("-")[2]) < count else ok()

    return FakeProvider(script)


@pytest.mark.parametrize(
    ("code", "proven"), [(451, False), (451, True), (415, True), (413, True), (400, True)], ids=str
)
def test_what_a_row_alone_can_be_refused_for_ends_no_run(code: int, proven: bool) -> None:
    refused = REFUSED_IN_A_ROW + (-1 if code == 400 else 10)
    provider = _refused_sooner_than_answered(code, refused)
    world = World(FakeSource({1: 70}), provider=provider, concurrency=1, settings={"proven": proven})
    run(world)
    assert sum(isinstance(one, Row) for one in world.ledger.committed) == 70 - refused
    assert len(world.ledger.committed) == 70
    assert set(world.provider.asked.values()) == {1}


@pytest.mark.parametrize(
    ("code", "proven", "most"),
    [(415, False, REFUSED_AFTER), (413, False, REFUSED_AFTER), (400, True, REFUSED_IN_A_ROW)],
    ids=str,
)
def test_what_a_configuration_may_be_refused_for_ends_the_run(code: int, proven: bool, most: int) -> None:
    provider = FakeProvider(lambda *_: status(code, "refused"))
    world = World(FakeSource({1: 200}), provider=provider, concurrency=1, settings={"proven": proven})
    with pytest.raises(ServerError, match=rf"refused {most} rows"):
        run(world)
    assert world.ledger.committed == []


def test_a_folder_of_broken_pictures_after_an_answer_is_no_configuration() -> None:
    first = iter([ok()])  # whichever row comes first: they are prepared in threads
    script = FakeProvider(lambda *_: next(first, status(415, "cannot decode")))
    world = World(FakeSource({1: 2 * REFUSED_IN_A_ROW}), provider=script, concurrency=1)
    run(world)
    assert len(world.ledger.committed) == 2 * REFUSED_IN_A_ROW


def test_a_filter_leaves_no_row_to_do() -> None:
    world = World(FakeSource({1: 12}), provider=FakeProvider(lambda *_: status(451, "by our policy")))
    run(world)
    assert [one.problem.kind for one in world.ledger.committed if isinstance(one, Failure)] == ["content_filter"] * 12
