"""The flow over rooms of memory, in virtual time: what is asked, in which order, and what becomes of it."""

from __future__ import annotations

import threading
from dataclasses import replace

import anyio
import pytest

from pipeline.core.errors import ItemError, ManifestError, ServerError
from pipeline.core.outcomes import Failure, Row
from pipeline.core.pictures import ImageContract
from tests.engine.fake_rooms import FakeFetcher, FakePreparer, FakeSource
from tests.engine.fakes import PRICE, FakeProvider, World, ok, status
from tests.support.virtual_time import run_virtual


def test_every_row_of_every_task_ends_once_and_is_fetched_once() -> None:
    world = World(FakeSource({1: 7, 2: 3}), tasks=("caption", "ocr"), settings={"max_sides": {"ocr": 128}})
    run_virtual(world.flow().run)
    assert sorted((one.id.task, one.facts.key) for one in world.ledger.committed) == sorted(
        (task, f"{shard}-{ordinal}")
        for task in ("caption", "ocr")
        for shard, rows in ((1, 7), (2, 3))
        for ordinal in range(rows)
    )
    assert all(isinstance(one, Row) and one.answer == {"answer": "ok"} for one in world.ledger.committed)
    assert sorted(world.fetcher.fetched) == sorted({one.facts.key for one in world.ledger.committed})
    assert sorted(world.preparer.prepared).count(("1-0", 64)) == 1
    assert sorted(world.preparer.prepared).count(("1-0", 128)) == 1
    assert world.stats.finished == 20
    assert world.stats.safe == 20


def test_tasks_of_one_size_share_the_prepared_picture() -> None:
    world = World(FakeSource({1: 2}), tasks=("caption", "ocr"))
    run_virtual(world.flow().run)
    assert sorted(world.preparer.prepared) == [("1-0", 64), ("1-1", 64)]


def test_an_answer_carries_its_envelope() -> None:
    world = World(FakeSource({1: 1}, columns={"licence": "CC0", "other": 1}), settings={"keep": ("licence",)})
    run_virtual(world.flow().run)
    row = world.outcome("caption/1-0")
    envelope = row.envelope
    assert row.facts.kept == {"licence": "CC0"}
    facts, usage = row.facts, row.envelope.usage
    assert (facts.width, facts.height, facts.sent_width, facts.sent_height) == (64, 48, 32, 24)
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (10, 4, 3)
    assert (usage.image_tokens, usage.reasoning_tokens) == (None, None)
    assert (envelope.attempts, envelope.cost_usd, envelope.request_id) == (1, PRICE, "request")
    assert (facts.model, envelope.served_model, envelope.run_id) == ("model-of-caption", "served", "run")
    assert facts.image_sha256 is not None
    assert facts.request_sha256 is not None
    assert envelope.latency_ms == 10


def test_done_rows_are_not_asked_and_a_done_shard_is_not_read() -> None:
    world = World(FakeSource({1: 5, 2: 5}))
    done = World(FakeSource({1: 5}))
    run_virtual(done.flow().run)
    world.ledger.settled |= done.ledger.settled
    run_virtual(world.flow().run)
    assert world.source.scanned == 5
    assert set(world.provider.asked) == {f"caption/2-{ordinal}" for ordinal in range(5)}


def test_a_limit_counts_rows() -> None:
    world = World(FakeSource({1: 9}), tasks=("caption", "ocr"), settings={"limit": 3})
    run_virtual(world.flow().run)
    assert len(world.ledger.committed) == 6
    assert len(set(world.fetcher.fetched)) == 3


def test_rows_that_cannot_be_asked_become_failures_of_every_task_and_cost_nothing() -> None:
    world = World(
        FakeSource({1: 6}, problems={4: ItemError("bad_row", "line 5 is no object")}),
        tasks=("caption", "ocr"),
        fetcher=FakeFetcher(broken={"1-1"}),
        preparer=FakePreparer(broken={"1-2"}),
    )
    run_virtual(world.flow().run)
    kinds = {
        f"{one.id.task}/{one.facts.key}": one.problem.kind for one in world.ledger.committed if isinstance(one, Failure)
    }
    assert kinds == {
        f"{task}/{key}": kind
        for task in ("caption", "ocr")
        for key, kind in (("1-1", "not_found"), ("1-2", "truncated"), ("1-4", "bad_row"))
    }
    missing = world.outcome("caption/1-1")
    assert (missing.envelope.cost_usd, missing.envelope.attempts, missing.facts.image_sha256) == (0.0, 0, None)
    assert world.outcome("caption/1-2").facts.image_sha256 is not None
    assert len(world.ledger.frames) == 12


def test_a_request_over_the_servers_limits_fails_its_row_only() -> None:
    class Preparer(FakePreparer):
        def prepare(self, source: bytes, contract: ImageContract):  # type: ignore[no-untyped-def]
            (image,) = super().prepare(source, contract)
            return (image if source != b"1-0" else replace(image, data=b"unrenderable"),)

    world = World(FakeSource({1: 3}), preparer=Preparer())
    run_virtual(world.flow().run)
    failure = world.outcome("caption/1-0")
    assert isinstance(failure, Failure)
    assert failure.problem.kind == "image_rejected"
    assert sum(isinstance(one, Row) for one in world.ledger.committed) == 2


# Rule 2: only an ItemError becomes a row; nothing is swallowed.


def test_a_bug_ends_the_run_loudly_and_keeps_what_was_answered() -> None:
    world = World(
        FakeSource({1: 40}), provider=FakeProvider(lambda name, _: ok("bug" if name == "caption/1-20" else "ok"))
    )
    with pytest.raises(ExceptionGroup) as caught:
        run_virtual(world.flow().run)
    assert caught.group_contains(RuntimeError, match="a bug in the parser")
    journaled = {frame.facts.key for frame in world.ledger.frames} - {"1-20"}
    assert {one.facts.key for one in world.ledger.committed} == journaled
    assert journaled


@pytest.mark.parametrize("place", ["append", "sync", "add", "commit"])
def test_a_ledger_that_fails_ends_the_run(place: str) -> None:
    from pipeline.core.errors import LedgerError

    world = World(FakeSource({1: 200}))
    world.ledger.fails_on = lambda name, number: LedgerError("disk full") if (name, number) == (place, 3) else None
    with pytest.raises(ExceptionGroup) as caught:
        run_virtual(world.flow().run)
    assert caught.group_contains(LedgerError, match="disk full")
    assert len(world.provider.asked) < 200


def test_a_manifest_that_breaks_lets_the_calls_in_flight_finish() -> None:
    world = World(FakeSource({1: 20}, fails_at=7), provider=FakeProvider(latency=lambda: 5.0))
    with pytest.raises(ManifestError, match="the manifest broke"):
        run_virtual(world.flow().run)
    assert {one.facts.key for one in world.ledger.committed} == {
        name.removeprefix("caption/") for name in world.provider.answered
    }


def test_a_refused_key_stops_the_run_and_fails_no_row() -> None:
    world = World(FakeSource({1: 500}), provider=FakeProvider(lambda name, _: status(401)))
    with pytest.raises(ServerError, match="the key is refused"):
        run_virtual(world.flow().run)
    assert world.ledger.committed == []
    assert sum(world.provider.asked.values()) <= world.concurrency, "one request a slot, none after the first answer"


# Rule 3: everything is bounded; bytes, then slot, then rate.


def test_little_is_fetched_ahead_of_a_slow_server() -> None:
    world = World(FakeSource({1: 2000}), provider=FakeProvider(latency=lambda: 3600.0), concurrency=4)

    async def look() -> int:
        async with anyio.create_task_group() as group:
            group.start_soon(world.flow().run)
            await anyio.sleep(60)
            fetched = len(world.fetcher.fetched)
            group.cancel_scope.cancel()
        return fetched

    assert run_virtual(look) < 100, "four chunks of 16, and who waits for a slot"
    assert world.provider.widest == 4


def test_bytes_in_flight_are_bounded_and_all_given_back() -> None:
    settings = {"chunk_bytes": 100}
    world = World(FakeSource({1: 100}, size=100), concurrency=8, bytes_in_flight=650, settings=settings)
    held: list[int] = []
    fetch = world.fetcher.fetch

    def noting(row):  # type: ignore[no-untyped-def]
        held.append(world.budget.held)
        return fetch(row)

    world.fetcher.fetch = noting  # type: ignore[method-assign]
    run_virtual(world.flow().run)
    # Each picture holds its source and one body: 200 bytes before it is prepared, its few real bytes after.
    assert max(held) <= 650
    assert world.budget.held == 0
    assert len(world.ledger.committed) == 100


def test_what_decoding_takes_is_held_before_it_is_taken() -> None:
    held: list[int] = []

    class Preparer(FakePreparer):
        def weigh(self, source: bytes, contract: ImageContract) -> int:
            return 600

        def prepare(self, source: bytes, contract: ImageContract):  # type: ignore[no-untyped-def]
            held.append(world.budget.held)
            return super().prepare(source, contract)

    settings = {"chunk_bytes": 10}
    world = World(FakeSource({1: 40}, size=10), preparer=Preparer(), bytes_in_flight=1000, settings=settings)
    run_virtual(world.flow().run)
    assert len(held) == 40
    assert min(held) >= 600
    assert max(held) <= 1000, "one chunk is decoded at a time: two do not fit"
    assert world.budget.held == 0


def test_what_is_learned_of_image_tokens_comes_from_answers_that_were_paid_for() -> None:
    class Preparer(FakePreparer):
        def prepare(self, source: bytes, contract: ImageContract):  # type: ignore[no-untyped-def]
            (image,) = super().prepare(source, contract)
            return (replace(image, data=b"the same", tokens=8), replace(image, data=b"the same", tokens=9))

    world = World(FakeSource({1: 5}), preparer=Preparer())
    run_virtual(world.flow().run)
    assert world.stats.shared == 4
    records = world.stats.image_tokens.records()
    assert list(records) == [("caption", "model-of-caption")]
    record = records["caption", "model-of-caption"]
    assert (record.answers, record.estimated, record.prompt_tokens) == (1, 17, 10)


def test_bytes_are_given_back_when_preparing_fails() -> None:
    world = World(FakeSource({1: 30}), fetcher=FakeFetcher(broken={f"1-{n}" for n in range(30)}), bytes_in_flight=250)
    run_virtual(world.flow().run)
    assert len(world.ledger.committed) == 30
    assert world.budget.held == 0


def test_a_row_takes_bytes_then_a_slot() -> None:
    world = World(FakeSource({1: 1}))
    order: list[str] = []
    take, acquire = world.budget.take, world.pacer.acquire

    async def taking(weight: int):  # type: ignore[no-untyped-def]
        order.append("bytes")
        return await take(weight)

    async def acquiring(owner: object) -> None:
        order.append("slot")
        await acquire(owner)

    world.budget.take, world.pacer.acquire = taking, acquiring  # type: ignore[method-assign]
    run_virtual(world.flow().run)
    assert order == ["bytes", "slot"]


# Rule 5: recording outlives calling, calling outlives intake.


def test_the_last_commit_comes_after_the_last_answer() -> None:
    world = World(FakeSource({1: 30}))
    run_virtual(world.flow().run)
    assert world.ledger.log[-1] == "commit everything"
    assert world.ledger.log.count("commit everything") == 1
    for number in range(30):
        assert world.ledger.log.index(f"append caption/1-{number}") < world.ledger.log.index(f"add caption/1-{number}")


# Rule 7: blocking work happens in threads.


def test_the_event_loop_never_blocks_on_files_or_pictures() -> None:
    world = World(FakeSource({1: 10}))

    async def main() -> int:
        await world.flow().run()
        return threading.get_ident()

    loop = run_virtual(main)
    assert loop not in world.source.threads | world.fetcher.threads | world.ledger.threads
    assert world.source.threads
    assert world.fetcher.threads
    assert world.ledger.threads


def test_a_crowd_of_answers_is_synced_before_the_time_is_up() -> None:
    world = World(FakeSource({1: 600}), provider=FakeProvider(latency=lambda: 0.0), concurrency=64)
    world.ledger.due_every = 10_000
    run_virtual(world.flow().run)
    assert world.ledger.calls["sync"] >= 2
    assert world.ledger.safe == 600
