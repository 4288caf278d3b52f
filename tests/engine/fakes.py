"""Rooms made of memory, for the flow: they note what happened and in which order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import anyio

from pipeline.core.errors import CallError, ItemError, LedgerError
from pipeline.core.outcomes import Frame, Life, Outcome, Row, Spent
from pipeline.core.pictures import ImageContract, LinkedImage, PreparedImage
from pipeline.core.types import Answer, Completion, FixedPrompt, Prompt, Repair, Reply, RowId, Scalar, Shard, Usage
from pipeline.engine.flow import Flow, Settings
from pipeline.engine.parts import Parts
from pipeline.engine.retry import RetryPolicy
from pipeline.engine.shutdown import Stop
from pipeline.engine.stats import Stats
from pipeline.images.budget import ByteBudget
from pipeline.pacing.admission import Admission
from tests.engine.fake_rooms import FakeFetcher, FakePreparer, FakeSource, FakeWeb

PRICE = 0.25


def fixed(name: str) -> FixedPrompt:
    return FixedPrompt(name, f"model-of-{name}", "system", "instructions", None, 100, 0.0, None, "sha-of-prompt")


@dataclass
class FakeTask:
    """Answers `ok...` are usable; `cut` and `refusal` are what they say; `bug` is a bug of ours."""

    name: str
    contract: ImageContract = field(default_factory=lambda: ImageContract(64))
    image_first: bool = False
    instructions: str = "instructions"
    model: str | None = None

    @property
    def fixed(self) -> FixedPrompt:
        of_its_own = fixed(self.name)
        return replace(of_its_own, instructions=self.instructions, model=self.model or of_its_own.model)

    def prompt(self, columns: Mapping[str, Scalar], images: tuple[PreparedImage | LinkedImage, ...]) -> Prompt:
        return Prompt(self.fixed, None, images, image_first=self.image_first)

    def parse(self, completion: Completion, pages: int | None) -> Answer:
        if completion.text in {"cut", "refusal"}:
            raise ItemError(completion.text, f"this is {completion.text}")
        if completion.text == "bug":
            raise RuntimeError("a bug in the parser")
        return {"answer": completion.text}


Script = Callable[[str, int], "Reply | Exception"]
"""(task/key, number of the request for it from 1) -> what the server does."""


def ok(text: str = "ok") -> Reply:
    return Reply(200, {"x-request-id": "request"}, text.encode())


def status(code: int, message: str = "no") -> Reply:
    return Reply(code, {}, message.encode())


@dataclass
class FakeProvider:
    """A server in memory. `latency` draws seconds a request; `answered` notes what was answered, in order."""

    script: Script = lambda name, number: ok()
    latency: Callable[[], float] = lambda: 0.01
    asked: dict[str, int] = field(default_factory=dict)
    answered: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    routes: list[str | None] = field(default_factory=list)
    on_answer: Callable[[], None] = lambda: None
    in_flight: int = 0
    widest: int = 0

    def render(self, prompt: Prompt, repair: Repair | None = None) -> bytes:
        first = prompt.images[0]
        key = f"link:{first.url}" if isinstance(first, LinkedImage) else first.data.decode()
        if key == "unrenderable":
            raise ItemError("image_rejected", "too big for this server")
        return f"{prompt.fixed.task}/{key}{'+' * (repair.number if repair else 0)}".encode()

    async def send(self, body: bytes, route: str | None = None) -> Reply:
        self.routes.append(route)
        name = body.decode().rstrip("+")
        self.bodies.append(body)
        self.asked[name] = self.asked.get(name, 0) + 1
        self.in_flight += 1
        self.widest = max(self.widest, self.in_flight)
        try:
            await anyio.sleep(self.latency())
        finally:
            self.in_flight -= 1
        reply = self.script(name, self.asked[name])
        if isinstance(reply, Exception):
            raise reply
        if reply.status == 200:
            self.answered.append(name)
            self.on_answer()
        return reply

    def refusal(self, reply: Reply) -> Exception:
        from pipeline.core.errors import ServerError

        kinds = {429: "http_429", 400: "bad_request", 500: "http_5xx", 503: "http_5xx"}
        kinds |= {451: "content_filter", 415: "image_rejected", 413: "context_too_long"}
        if reply.status in kinds:
            after = reply.headers.get("retry-after")
            return CallError(
                kinds[reply.status], reply.body.decode(), reply.status, retry_after=float(after) if after else None
            )
        return ServerError(
            "the key is refused" if reply.status != 422 else reply.body.decode(), of_form=reply.status == 422
        )

    def notes(self, reply: Reply) -> Mapping[str, str]:
        return {}

    def read(self, body: bytes, notes: Mapping[str, str] | None = None) -> Completion:
        if body == b"unreadable":
            raise CallError("http_5xx", "HTTP 200 without a completion", 200)
        completion = Completion(body.decode(), "stop", None, "served", Usage(10, 4, None, 3, None))
        if body == b"broken off":
            raise CallError("http_5xx", "the answer was broken off", 200, part=completion)
        if body.startswith(b"no money"):
            of_address = body.endswith(b"of address")
            raise CallError("http_429", "no money under status 200", 200, ends_run=True, of_address=of_address)
        if body.startswith(b"broken "):
            raise CallError(body.decode().removeprefix("broken "), "an error under status 200", 200)
        return completion

    def request_id(self, reply: Reply) -> str | None:
        return reply.headers.get("x-request-id")

    def cost(self, model: str, usage: Usage) -> float | None:
        return PRICE


@dataclass
class MemoryLedger:
    """Keeps frames and outcomes; `fails_on` may raise at append, sync or commit, by the count of that call."""

    source: FakeSource
    tasks: Sequence[str]
    lives: dict[RowId, Life] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    waiting: list[Outcome] = field(default_factory=list)
    committed: list[Outcome] = field(default_factory=list)
    settled: set[RowId] = field(default_factory=set)
    calls: dict[str, int] = field(default_factory=dict)
    fails_on: Callable[[str, int], Exception | None] = lambda name, number: None
    due_every: int = 5
    safe: int = 0
    threads: set[int] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    in_trouble: LedgerError | None = None

    def _enter(self, name: str) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1
        if error := self.fails_on(name, self.calls[name]):
            raise error

    def left(self, shard: Shard) -> int:
        return sum(len(self.outstanding(shard, ordinal)) for ordinal in range(shard.rows))

    def outstanding(self, shard: Shard, ordinal: int) -> tuple[str, ...]:
        return tuple(task for task in self.tasks if RowId(task, shard.number, ordinal) not in self.settled)

    def life(self, row: RowId) -> Life:
        return self.lives.get(row, Life())

    def twin(self, task: str, request_sha256: str) -> Outcome | None:
        for one in [*self.waiting, *self.committed]:
            final = isinstance(one, Row) or not one.retryable
            if one.id.task == task and one.facts.request_sha256 == request_sha256 and final:
                return one
        return None

    def trouble(self) -> LedgerError | None:
        return self.in_trouble

    def shelve(self, row: RowId, life: Life) -> None:
        self.lives[row] = life

    def append(self, frame: Frame) -> None:
        self._enter("append")
        self.frames.append(frame)
        self.log.append(f"append {frame.row.task}/{frame.facts.key}")

    def unsynced(self) -> int:
        return len(self.frames) - self.safe

    def sync(self) -> int:
        self.threads.add(threading.get_ident())
        self._enter("sync")
        self.safe = len(self.frames)
        return self.safe

    def add(self, outcome: Outcome) -> bool:
        self._enter("add")
        assert outcome.id not in self.settled, "a question got two outcomes"
        self.settled.add(outcome.id)
        self.waiting.append(outcome)
        self.log.append(f"add {outcome.id.task}/{outcome.facts.key}")
        return len(self.waiting) >= self.due_every

    def commit(self, *, everything: bool = False) -> None:
        self.threads.add(threading.get_ident())
        self._enter("commit")
        self.committed += self.waiting
        self.waiting.clear()
        self.log.append("commit everything" if everything else "commit")


@dataclass
class World:
    """A flow over rooms of memory."""

    source: FakeSource
    tasks: tuple[str, ...] = ("caption",)
    provider: FakeProvider = field(default_factory=FakeProvider)
    fetcher: FakeFetcher = field(default_factory=FakeFetcher)
    web: FakeWeb = field(default_factory=FakeWeb)
    preparer: FakePreparer = field(default_factory=FakePreparer)
    concurrency: int = 4
    bytes_in_flight: int = 10_000
    settings: dict[str, Any] = field(default_factory=dict)
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    stop: Stop = field(default_factory=Stop)
    stats: Stats = field(default_factory=Stats)
    task_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger(self.source, self.tasks)
        self.pacer = Admission(self.concurrency, None)
        self.budget = ByteBudget(self.bytes_in_flight)
        self.settings.setdefault("max_sides", {})

    def flow(self) -> Flow:
        sides = self.settings["max_sides"]
        parts = Parts(
            source=self.source,
            fetcher=self.fetcher,
            web=self.web,
            preparer=self.preparer,
            tasks={
                name: FakeTask(name, ImageContract(sides.get(name, 64)), **self.task_options) for name in self.tasks
            },
            provider=self.provider,
            pacer=self.pacer,
            budget=self.budget,
            ledger=self.ledger,
        )
        more = {name: value for name, value in self.settings.items() if name != "max_sides"}
        settings = Settings(run_id="run", concurrency=self.concurrency, policy=self.policy, **more)
        return Flow(parts, settings, self.stop, self.stats)

    def outcome(self, name: str) -> Outcome:
        """The one committed outcome of `task/key`."""
        found = [one for one in self.ledger.committed if f"{one.id.task}/{one.facts.key}" == name]
        assert len(found) == 1, found
        return found[0]


def spent(attempts: int, answers: int, cost: float | None) -> Life:
    return Life(Spent(attempts, answers, cost))
