"""The whole pipeline on one page.

    scan --rows--> prepare --questions--> call --finished--> record
     1 task        a few threads          many workers       1 task, shielded

Lifetimes nest against the flow: recording outlives calling, calling outlives intake. Closing a stream is the only
"done" signal. A row that fails becomes a Failure; a run that cannot go on drains and says why; anything else is a bug
and ends the run loudly. Order of acquisition: bytes, then slot, then rate.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from anyio.to_thread import run_sync

from pipeline.core.errors import ManifestError, RunError
from pipeline.core.outcomes import Frame, Outcome
from pipeline.core.types import ManifestRow
from pipeline.engine.calls import Calls
from pipeline.engine.chains import Chain, Lanes, chains
from pipeline.engine.events import Events
from pipeline.engine.followers import Follower, Followers
from pipeline.engine.inlining import Inlining
from pipeline.engine.parts import Parts
from pipeline.engine.pictures import Pictures, Send, Wanted, small_chunks
from pipeline.engine.purse import Purse
from pipeline.engine.questions import Question, Questions, Shared, Unasked
from pipeline.engine.retry import RetryPolicy
from pipeline.engine.settle import Settler
from pipeline.engine.shutdown import Stop
from pipeline.engine.stats import Stats
from pipeline.engine.warming import Warming

SCAN_CHUNK = 256
SCAN_BYTES = 4 * 2**20
"""Rows read per hop into a thread: so many, or as many as hold so many bytes of pictures themselves."""
SYNC_SECONDS = 0.05
SYNC_FRAMES = 256
"""A group sync brings at most so much time, or so many frames, to the disk at once."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How wide and how patient. `concurrency` requests at once, `limit` rows in this run (None: all)."""

    run_id: str
    concurrency: int = 16
    threads: int = 2
    chunk_bytes: int = 2**20
    """Pictures that go through a thread together have no more bytes than this, unless there is only one."""
    repairs: int = 1
    limit: int | None = None
    downloads: int = 0
    """Pictures fetched from the web at once."""
    send: Send = "inline"
    keep: tuple[str, ...] = ()
    proven: bool = False
    """Whether the output already holds an answer, got with this configuration."""
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    warm: bool = False
    """Whether the server has a cache that a first request fills for the others."""
    routes: int = 1
    """Into how many shares a task's requests go, each to meet one cache."""
    max_cost_usd: float | None = None
    spent_usd: float = 0.0
    """What may be spent over the output's life, and what was spent by earlier runs."""


class Flow:
    """One run. `run` may be called once."""

    def __init__(
        self,
        parts: Parts,
        settings: Settings,
        stop: Stop,
        stats: Stats,
        *,
        random_source: random.Random | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._parts = parts
        self._settings = settings
        self._stop = stop
        self._stats = stats
        self._threads = anyio.CapacityLimiter(settings.threads)
        self._crowded = anyio.Event()
        self._lanes = Lanes(settings.concurrency)
        self._followers = Followers()
        self._pictures = Pictures(parts, settings.send, self._threads)
        self._questions = Questions(parts, self._followers, settings.keep, settings.routes)
        self._inlining = Inlining(parts, self._pictures, self._questions, stop, self._threads)
        settler = Settler(parts.tasks, parts.provider, settings.repairs, settings.policy.lifetime_attempts)
        self._events = Events(self._journal, settler, settings.run_id, wall_clock)
        self._calls = Calls(
            provider=parts.provider,
            pacer=parts.pacer,
            events=self._events,
            shelve=parts.ledger.shelve,
            inline=self._inlining.inline,
            warming=Warming(wanted=settings.warm),
            purse=Purse(settings.max_cost_usd, settings.spent_usd, stop),
            policy=settings.policy,
            repairs=settings.repairs,
            proven=settings.proven,
            stop=stop,
            stats=stats,
            random_source=random_source or random.Random(),  # noqa: S311 - jitter, not a secret
        )

    async def run(self) -> None:
        """Work until nothing is left to do, or until `stop` ends the run early.

        Every answer received is journaled and committed when this returns or raises. Raises RunError, alone or, from
        a task, in an ExceptionGroup.
        """
        async with anyio.create_task_group() as recording:
            finished_in, finished_out = anyio.create_memory_object_stream[Outcome](self._settings.concurrency)
            recording.start_soon(self._record, finished_out)
            async with finished_in:
                with self._stop.calling():
                    async with anyio.create_task_group() as calling:
                        questions_in, questions_out = anyio.create_memory_object_stream[Chain](
                            self._settings.concurrency
                        )
                        async with questions_in:
                            async with questions_out:
                                # Twice the slots: a worker whose row waits to be retried holds no slot.
                                for _ in range(2 * self._settings.concurrency + 8):
                                    calling.start_soon(self._ask, questions_out.clone(), finished_in.clone())
                            with self._stop.waiting():
                                await self._take_in(questions_in, finished_in)
                    if not self._stop.draining:
                        for outcome in self._calls.released(proven=self._settings.proven):
                            await _hand_over(outcome, finished_in)
        if self._stop.error is not None:
            raise self._stop.error

    async def _take_in(
        self, questions: MemoryObjectSendStream[Chain], finished: MemoryObjectSendStream[Outcome]
    ) -> None:
        # What comes from the web waits for others; what lies here must not wait behind it.
        threads, downloads = self._settings.threads, self._settings.downloads
        async with anyio.create_task_group() as intake:
            here_in, here_out = anyio.create_memory_object_stream[list[Wanted]](threads)
            away_in, away_out = anyio.create_memory_object_stream[list[Wanted]](threads)
            async with here_out, away_out:
                for chunks, workers in ((here_out, 2 * threads), (away_out, downloads)):
                    for _ in range(workers):
                        intake.start_soon(self._prepare, chunks.clone(), questions.clone(), finished.clone())
            intake.start_soon(self._scan, here_in, away_in)

    async def _scan(
        self, here: MemoryObjectSendStream[list[Wanted]], away: MemoryObjectSendStream[list[Wanted]]
    ) -> None:
        ledger, left = self._parts.ledger, self._settings.limit
        async with here, away:
            for shard in self._parts.source.shards:
                if ledger.left(shard) == 0:
                    continue
                try:
                    scanned = await run_sync(self._parts.source.scan, shard)
                    while rows := await run_sync(_chunk, scanned):
                        wanted = [(row, tasks) for row in rows if (tasks := ledger.outstanding(shard, row.ordinal))]
                        for chunk in small_chunks(wanted[:left], self._settings.chunk_bytes):
                            await (here if chunk[0][0].url is None else away).send(chunk)
                        if left is not None and (left := left - len(wanted)) <= 0:
                            return
                except ManifestError as error:
                    self._stop.fail(error)
                    return

    async def _prepare(
        self,
        chunks: MemoryObjectReceiveStream[list[Wanted]],
        questions: MemoryObjectSendStream[Chain],
        finished: MemoryObjectSendStream[Outcome],
    ) -> None:
        async with chunks, questions, finished:
            async for chunk in chunks:
                hold = await self._parts.budget.take(sum(row.size or 0 for row, _ in chunk))
                fetched = await self._pictures.get(chunk, hold)
                # A thread decodes one picture after the other, so only the largest counts.
                await hold.grow(sum(len(item.source) for item in fetched) + max(item.weight for item in fetched))
                try:
                    made = await run_sync(self._questions.make, fetched, hold, limiter=self._threads)
                except RunError as error:
                    # Nothing new can be looked up, or decoded: what is on the wire still finishes.
                    self._stop.fail(error)
                    return
                del fetched  # the sources are free before anybody waits for a worker
                asked = [item for item in made if isinstance(item, Question)]
                hold.resize(sum(question.lease.weight for question in asked))
                for item in made:
                    if not isinstance(item, Question):
                        await _hand_over(self._ended(item), finished)
                for chain in chains(asked):
                    await questions.send(chain)

    def _ended(self, item: Unasked | Shared) -> Outcome:
        """The outcome of what needs no asking."""
        life = self._parts.ledger.life(item.row)
        if isinstance(item, Shared):
            self._stats.shared += 1
            return self._events.shared(item.row, item.facts, item.leader, life)
        return self._events.ended(item.row, item.facts, item.error, life, life.spent.attempts)

    async def _ask(
        self, questions: MemoryObjectReceiveStream[Chain], finished: MemoryObjectSendStream[Outcome]
    ) -> None:
        async with questions, finished:
            async for chain in questions:
                async with self._lanes.of(chain):
                    for question in chain:
                        try:
                            outcome = await self._calls.call(question, self._parts.ledger.life(question.row))
                        finally:
                            question.lease.end()
                            self._inlining.end(question.row)
                        if outcome is not None:
                            await _hand_over(outcome, finished)

    async def _record(self, finished: MemoryObjectReceiveStream[Outcome]) -> None:
        """The second shield: what was handed over is committed, whatever happens to the calls."""
        ledger = self._parts.ledger
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as syncing:
                syncing.start_soon(self._sync_regularly)
                async with finished:
                    async for outcome in finished:
                        due = self._take_over(outcome)
                        for follower in self._followers.released_by(outcome):
                            due |= self._take_over(self._follow(follower, outcome))
                        if due:
                            await run_sync(ledger.commit)
                            self._mind_trouble()
                syncing.cancel_scope.cancel()
            await run_sync(lambda: ledger.commit(everything=True))
            self._stats.safe = await run_sync(ledger.sync)

    def _take_over(self, outcome: Outcome) -> bool:
        self._stats.count(outcome)
        return self._parts.ledger.add(outcome)

    def _follow(self, follower: Follower, leader: Outcome) -> Outcome:
        life = self._parts.ledger.life(follower.row)
        self._stats.shared += 1
        return self._events.shared(follower.row, follower.facts, leader, life)

    async def _sync_regularly(self) -> None:
        while True:
            with anyio.move_on_after(SYNC_SECONDS):
                await self._crowded.wait()
            self._crowded = anyio.Event()
            if self._parts.ledger.unsynced():
                self._stats.safe = await run_sync(self._parts.ledger.sync)
                self._mind_trouble()

    def _journal(self, frame: Frame) -> None:
        self._parts.ledger.append(frame)
        self._mind_trouble()
        if self._parts.ledger.unsynced() >= SYNC_FRAMES:
            self._crowded.set()

    def _mind_trouble(self) -> None:
        """The disk has begun to refuse: what is on the wire can still be kept, but nothing more may be bought."""
        if trouble := self._parts.ledger.trouble():
            self._stop.fail(trouble)


def _chunk(scanned: Iterator[ManifestRow]) -> list[ManifestRow]:
    rows: list[ManifestRow] = []
    size = 0
    for row in islice(scanned, SCAN_CHUNK):
        rows.append(row)
        size += len(row.data or b"")
        if size >= SCAN_BYTES:
            break
    return rows


async def _hand_over(outcome: Outcome, finished: MemoryObjectSendStream[Outcome]) -> None:
    """The first shield: an outcome that exists reaches the recorder, even while its call is being cancelled."""
    with anyio.CancelScope(shield=True):
        try:
            await finished.send(outcome)
        except anyio.BrokenResourceError:
            # The recorder has failed and its error is ending the run; the journal keeps this outcome for the next.
            return
