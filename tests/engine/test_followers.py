"""Equal questions are asked once: at the same moment, one after the other, whatever becomes of the first."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from pipeline.core.errors import CallError, ItemError
from pipeline.core.outcomes import Failure, Row
from pipeline.core.types import ManifestRow
from pipeline.engine.retry import RetryPolicy
from tests.engine.fake_rooms import FakeFetcher, FakeSource
from tests.engine.fakes import PRICE, FakeProvider, World, ok, status
from tests.support.virtual_time import run_virtual


@dataclass
class SamePictures(FakeFetcher):
    """Rows whose ordinals are equal modulo `kinds` show the same picture; those of another shard, too."""

    kinds: int = 1
    made: list[str] = field(default_factory=list)

    def fetch(self, row: ManifestRow) -> bytes:
        return f"picture-{row.ordinal % self.kinds}".encode()


def world(rows: dict[int, int], kinds: int, **values: object) -> World:
    return World(FakeSource(rows), fetcher=SamePictures(kinds=kinds), **values)  # type: ignore[arg-type]


def test_equal_questions_are_asked_once_and_paid_once() -> None:
    one = world({1: 30, 2: 20}, kinds=7, tasks=("caption", "ocr"), provider=FakeProvider(latency=lambda: 3.0))
    run_virtual(one.flow().run)
    assert sum(one.provider.asked.values()) == 14, "seven pictures, two tasks"
    assert len(one.ledger.committed) == 100
    assert sum(item.envelope.cost_usd or 0 for item in one.ledger.committed) == pytest.approx(14 * PRICE)
    leaders = {(item.id.task, item.facts.key): item for item in one.ledger.committed if not item.envelope.dedup_of}
    assert len(leaders) == 14
    for item in one.ledger.committed:
        if item.envelope.dedup_of:
            leader = leaders[item.id.task, item.envelope.dedup_of]
            assert isinstance(item, Row)
            assert isinstance(leader, Row)
            assert (item.answer, item.facts.request_sha256) == (leader.answer, leader.facts.request_sha256)
            assert (item.envelope.cost_usd, item.envelope.attempts) == (0.0, 0)
            assert item.envelope.usage.prompt_tokens is None, "no token was used for it"
            assert item.envelope.request_id == leader.envelope.request_id
    assert one.stats.shared == 86
    assert one.stats.finished == 100


def test_a_leader_is_journaled_before_its_followers() -> None:
    one = world({1: 10}, kinds=1)
    run_virtual(one.flow().run)
    first, *others = one.ledger.frames
    assert first.copy_of is None
    assert {frame.copy_of for frame in others} == {first.row}
    assert {frame.dedup_of for frame in others} == {first.facts.key}
    assert [frame.body for frame in others] == [b""] * 9, "an answer is kept once"


@pytest.mark.parametrize(
    ("script", "kind", "asked"),
    [
        pytest.param(lambda name, n: ok("refusal"), "refusal", 1, id="refused"),
        pytest.param(lambda name, n: ok("cut"), "cut", 2, id="cut, and cut again in its repair"),
        pytest.param(lambda name, n: status(400), "bad_request", 1, id="kept back as a bad request"),
        pytest.param(lambda name, n: CallError("http_5xx", "down", 500), "http_5xx", 3, id="failed transiently"),
    ],
)
def test_followers_share_a_failure(script: object, kind: str, asked: int) -> None:
    provider = FakeProvider(script, lambda: 5.0)  # type: ignore[arg-type]
    one = world({1: 6}, kinds=1, provider=provider, policy=RetryPolicy(attempts=3), settings={"proven": True})
    run_virtual(one.flow().run)
    assert sum(provider.asked.values()) == asked
    assert [item.problem.kind for item in one.ledger.committed if isinstance(item, Failure)] == [kind] * 6
    assert sum(1 for item in one.ledger.committed if item.envelope.dedup_of) == 5


def test_a_repaired_answer_is_shared() -> None:
    one = world({1: 4}, kinds=1, provider=FakeProvider(lambda name, n: ok("cut" if n == 1 else "ok"), lambda: 5.0))
    run_virtual(one.flow().run)
    assert sum(one.provider.asked.values()) == 2
    assert [item.envelope.cost_usd for item in sorted(one.ledger.committed, key=lambda item: item.id)].count(0.0) == 3
    assert all(isinstance(item, Row) for item in one.ledger.committed)


def test_a_transient_failure_of_the_past_is_not_shared_but_asked_again() -> None:
    """Followers of the moment share it; a question that comes later has a chance of its own."""
    provider = FakeProvider(lambda name, n: CallError("http_5xx", "down", 500) if n == 1 else ok())
    one = world({1: 1, 2: 1}, kinds=1, provider=provider, concurrency=1, policy=RetryPolicy(attempts=1))
    one.settings["threads"] = 1
    one.ledger.due_every = 1
    run_virtual(one.flow().run)
    kinds = Counter(type(item).__name__ for item in one.ledger.committed)
    assert kinds in ({"Failure": 1, "Row": 1}, {"Failure": 2})
    assert sum(provider.asked.values()) == kinds["Row"] + 1


def test_different_context_makes_a_different_question() -> None:
    class Contextual(FakeFetcher):
        def fetch(self, row: ManifestRow) -> bytes:
            return row.key.encode()  # the fake renders the picture's bytes: here they differ

    one = World(FakeSource({1: 8}), fetcher=Contextual())
    run_virtual(one.flow().run)
    assert sum(one.provider.asked.values()) == 8
    assert one.stats.shared == 0


def test_followers_hold_no_bytes_while_they_wait() -> None:
    """A budget for two pictures and forty followers of a slow call: the others go on."""
    provider = FakeProvider(latency=lambda: 60.0)
    one = world({1: 60}, kinds=30, provider=provider, bytes_in_flight=450, concurrency=2)
    run_virtual(one.flow().run)
    assert sum(provider.asked.values()) == 30
    assert len(one.ledger.committed) == 60


def test_random_pictures_latencies_and_faults_ask_each_question_once() -> None:
    for seed in range(60):
        chance = random.Random(seed)
        kinds = chance.randint(1, 12)

        def script(name: str, number: int, chance: random.Random = chance) -> object:
            return CallError("http_5xx", "down", 500) if chance.random() < 0.2 else ok()

        provider = FakeProvider(script, lambda chance=chance: chance.expovariate(1))  # type: ignore[arg-type, misc]
        one = world(
            {1: chance.randint(1, 40), 2: chance.randint(1, 40)},
            kinds=kinds,
            provider=provider,
            concurrency=chance.randint(1, 9),
            policy=RetryPolicy(attempts=50),
        )
        one.ledger.due_every = chance.randint(1, 9)
        run_virtual(one.flow().run)
        rows = sum(one.source.rows.values())
        assert len(one.ledger.committed) == rows
        assert len(provider.answered) == min(kinds, max(one.source.rows.values())), f"seed {seed}"
        assert len(set(provider.answered)) == len(provider.answered), f"seed {seed}: bought twice"


def test_rows_that_cannot_be_asked_follow_nobody() -> None:
    class Broken(FakeFetcher):
        def fetch(self, row: ManifestRow) -> bytes:
            raise ItemError("not_found", "there is no such file")

    one = World(FakeSource({1: 5}), fetcher=Broken())
    run_virtual(one.flow().run)
    assert [item.envelope.dedup_of for item in one.ledger.committed] == [None] * 5
