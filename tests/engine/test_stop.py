"""Early ends: drains, aborts and fatal errors at any moment lose no completed answer."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from collections import Counter

import anyio
import pytest

from pipeline.core.errors import LedgerError, ManifestError
from pipeline.core.outcomes import Failure, Row
from pipeline.engine.shutdown import Stop
from pipeline.engine.stats import Stats
from tests.engine.fake_rooms import FakeFetcher, FakeSource
from tests.engine.fakes import FakeProvider, World, ok, status
from tests.support.virtual_time import run_virtual

RUNS = 2000


def test_a_drain_finishes_the_calls_in_flight_and_takes_nothing_new() -> None:
    world = World(FakeSource({1: 500}), provider=FakeProvider(latency=lambda: 10.0), concurrency=5)

    async def main() -> float:
        async with anyio.create_task_group() as group:
            group.start_soon(world.flow().run)
            await anyio.sleep(35)
            world.stop.signalled()
        return anyio.current_time()

    assert run_virtual(main) == pytest.approx(40, abs=0.5)
    assert len(world.ledger.committed) == 20
    assert sorted(world.provider.answered) == sorted(f"caption/{one.facts.key}" for one in world.ledger.committed)
    assert sum(world.provider.asked.values()) == 20


def test_a_listing_that_vanishes_drains_the_calls_in_flight() -> None:
    world = World(FakeSource({1: 100, 2: 50}, gone=2), provider=FakeProvider(latency=lambda: 10.0), concurrency=5)
    with pytest.raises(ManifestError, match="the listing is gone"):
        run_virtual(world.flow().run)
    assert len(world.ledger.committed) == len(world.provider.answered) == sum(world.provider.asked.values()) >= 5
    assert threading.get_ident() not in world.source.threads, "looking at a listing may take seconds"


def test_a_second_signal_gives_the_calls_up_at_once() -> None:
    world = World(FakeSource({1: 50}), provider=FakeProvider(latency=lambda: 1000.0), concurrency=5)

    async def main() -> float:
        async with anyio.create_task_group() as group:
            group.start_soon(world.flow().run)
            await anyio.sleep(3)
            world.stop.signalled()
            await anyio.sleep(1)
            world.stop.signalled()
        return anyio.current_time()

    assert run_virtual(main) == pytest.approx(4, abs=0.5)
    assert world.ledger.committed == []
    assert world.ledger.log == ["commit everything"]


def test_a_drain_becomes_an_abort_when_the_grace_runs_out() -> None:
    world = World(FakeSource({1: 50}), provider=FakeProvider(latency=lambda: 1000.0), stop=Stop(grace_s=30))

    async def main() -> float:
        async with anyio.create_task_group() as group:
            group.start_soon(world.flow().run)
            await anyio.sleep(3)
            world.stop.drain()
            world.stop.drain()
        return anyio.current_time()

    assert run_virtual(main) == pytest.approx(33, abs=0.5)


def test_a_drain_ends_waits_for_retries_and_for_the_gate() -> None:
    world = World(FakeSource({1: 50}), provider=FakeProvider(lambda name, n: status(429)))

    async def main() -> float:
        async with anyio.create_task_group() as group:
            group.start_soon(world.flow().run)
            await anyio.sleep(20)
            world.stop.drain()
        return anyio.current_time()

    assert run_virtual(main) < 21
    assert world.ledger.committed == []
    retrying = World(FakeSource({1: 50}), provider=FakeProvider(lambda name, n: status(500)))

    async def main_retrying() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(retrying.flow().run)
            await anyio.sleep(0.3)
            retrying.stop.drain()

    run_virtual(main_retrying)
    assert retrying.ledger.committed == []


def test_a_drain_before_the_start_makes_no_call() -> None:
    world = World(FakeSource({1: 50}))
    world.stop.drain()
    run_virtual(world.flow().run)
    assert world.provider.asked == {}


def test_stats_count_what_a_person_is_told() -> None:
    world = World(
        FakeSource({1: 3}),
        fetcher=FakeFetcher(broken={"1-0"}),
        provider=FakeProvider(lambda name, _: ok("refusal" if "1-1" in name else "ok")),
    )
    run_virtual(world.flow().run)
    stats: Stats = world.stats
    assert stats.answered == {"caption": 1}
    assert stats.failed == {("caption", "not_found"): 1, ("caption", "refusal"): 1}
    assert (stats.finished, stats.in_flight) == (3, 0)
    assert (stats.prompt_tokens, stats.cached_tokens, stats.completion_tokens, stats.cost_usd) == (20, 8, 6, 0.5)


async def _disturbed(world: World, chance: random.Random) -> list[BaseException]:
    """Run, and stop it at a random moment; the errors that came out."""
    errors: list[BaseException] = []
    place = chance.choice(["time", "answer", "append", "add"])

    async def disturb() -> None:
        await anyio.sleep(chance.uniform(0, 0.25))
        if chance.random() < 0.5:
            world.stop.drain()
            await anyio.sleep(chance.uniform(0, 0.05))
        world.stop.abort()

    if place != "time":
        _abort_at(world, place, chance.randint(1, 15))
    try:
        async with anyio.create_task_group() as group:
            if place == "time":
                group.start_soon(disturb)
            await world.flow().run()
            group.cancel_scope.cancel()
    except* Exception as caught:  # noqa: BLE001 - a fatal error of any sort is what the test makes
        errors.extend(caught.exceptions)
    assert asyncio.all_tasks() == {asyncio.current_task()}, "a task outlived the run"
    return errors


def _abort_at(world: World, place: str, number: int) -> None:
    """Abort in the very tick of an event: while an answer is on its way from the server to the journal, or after."""
    seen = 0

    def count() -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            world.stop.abort()

    def noting(step):  # type: ignore[no-untyped-def]
        def noted(argument):  # type: ignore[no-untyped-def]
            result = step(argument)
            count()
            return result

        return noted

    if place == "answer":
        world.provider.on_answer = count
    elif place == "append":
        world.ledger.append = noting(world.ledger.append)  # type: ignore[method-assign]
    else:
        world.ledger.add = noting(world.ledger.add)  # type: ignore[method-assign]


def _world(chance: random.Random) -> World:
    def script(name: str, number: int):  # type: ignore[no-untyped-def]
        draw = chance.random()
        if fatal == "bug" and draw < 0.03:
            return RuntimeError("a bug in the provider")
        if fatal == "server" and draw < 0.03:
            return status(401)
        if draw < 0.1:
            return status(chance.choice([429, 500, 503, 400]), name)
        return ok("cut" if draw < 0.2 else "ok")

    fatal = chance.choice(["none", "none", "bug", "server", "manifest", "append", "commit", "sync"])
    rows = chance.randint(4, 16)
    source = FakeSource({1: rows, 2: rows}, fails_at=chance.randint(0, rows) if fatal == "manifest" else None)
    quick = chance.random() < 0.4  # answers come faster than the recorder takes them
    provider = FakeProvider(script, lambda: 0.0 if quick else chance.uniform(0, 0.04))
    world = World(source, provider=provider, concurrency=chance.randint(1, 6))
    world.ledger.due_every = chance.randint(1, 4)
    broken_at = chance.randint(1, 12)
    world.ledger.fails_on = lambda name, number: (
        LedgerError("disk full") if name == fatal and number >= broken_at else None
    )
    return world


@pytest.mark.slow
def test_random_drains_aborts_and_fatal_errors_lose_no_completed_answer() -> None:
    ends: Counter[str] = Counter()
    completed = 0
    for seed in range(RUNS):
        chance = random.Random(seed)
        world = _world(chance)
        errors = run_virtual(_disturbed, world, chance)
        ledger = world.ledger
        answers = [f"{f.row.task}/{f.facts.key}" for f in ledger.frames if f.problem is None]
        refused = ledger.calls.get("append", 0) - len(ledger.frames)
        completed += len(answers)
        assert len(world.provider.answered) - len(answers) <= refused, f"seed {seed}: an answer was not journaled"
        if refused == 0:
            assert Counter(answers) == Counter(world.provider.answered), f"seed {seed}"
        if not _ledger_failed(errors):
            # Whatever was settled reached the recorder, and the recorder committed all it was given.
            final = {f.row for f in ledger.frames if (f.problem is not None and f.ended) or f.body == b"ok"}
            committed = [one.id for one in ledger.committed]
            assert len(committed) == len(set(committed)), f"seed {seed}: doubled"
            assert final <= set(committed), f"seed {seed}: an answer was journaled and not committed"
            assert ledger.waiting == []
        assert all(isinstance(one, Row | Failure) for one in ledger.committed)
        ends[" ".join(sorted(type(error).__name__ for error in errors)) or "none"] += 1
    gc.collect()  # a stream end that nobody closed would warn here, and a warning is an error
    print(f"\n{RUNS} runs, {completed} completed answers, none lost; errors: {dict(ends)}")
    assert completed > 3 * RUNS
    assert ends["none"] > RUNS / 4


def _ledger_failed(errors: list[BaseException]) -> bool:
    def leaves(error: BaseException) -> list[BaseException]:
        if isinstance(error, BaseExceptionGroup):
            return [leaf for inner in error.exceptions for leaf in leaves(inner)]
        return [error]

    return any(isinstance(leaf, LedgerError) for error in errors for leaf in leaves(error))
