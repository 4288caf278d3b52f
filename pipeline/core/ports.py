"""What the engine needs from the other rooms, and nothing else. `app.py` plugs the rooms in.

A port is async only if its work waits on a network; the others are honest blocking code that the engine calls in a
thread, or plain functions that are quick enough for the event loop (said at each).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Protocol

from pipeline.core.errors import LedgerError
from pipeline.core.outcomes import Frame, Life, Outcome
from pipeline.core.pictures import Download, ImageContract, LinkedImage, PreparedImage
from pipeline.core.types import (
    Answer,
    Completion,
    FixedPrompt,
    ManifestRow,
    Prompt,
    Repair,
    Reply,
    RowId,
    Shard,
    Usage,
    Value,
)


class Source(Protocol):
    """The planned manifest."""

    @property
    def shards(self) -> Sequence[Shard]:
        """Every shard of the plan, in the order in which it is to be worked on."""
        ...

    def scan(self, shard: Shard) -> Iterator[ManifestRow]:
        """The shard's rows by ordinal. Blocking, the call too. Raises ManifestError: it can no longer be read."""
        ...


class Fetcher(Protocol):
    """From a row to its source bytes."""

    def fetch(self, row: ManifestRow) -> bytes:
        """Blocking. Raises ItemError of stage fetch."""
        ...


class Web(Protocol):
    """From an address to its picture."""

    async def fetch(self, url: str, reserve: Callable[[int], Awaitable[None]]) -> Download:
        """The picture. `reserve` waits until so many bytes may be held. Raises ItemError of stage fetch."""
        ...

    async def link(self, url: str) -> LinkedImage | None:
        """The address, when the server that is asked may fetch it itself, else None: also for what is wrong with it."""
        ...


class Preparer(Protocol):
    """From source bytes to the picture that is sent."""

    def weigh(self, source: bytes, contract: ImageContract) -> int:
        """Bytes that preparing it will hold at its peak, decoded pixels and what comes out. Quick: by the header.

        Raises ItemError of stage prepare.
        """
        ...

    def prepare(self, source: bytes, contract: ImageContract) -> tuple[PreparedImage, ...]:
        """The pages to send, in order, one at least. Blocking, CPU-bound. Raises ItemError of stage prepare."""
        ...


class Task(Protocol):
    """What is asked of a picture, and how an answer becomes columns."""

    @property
    def name(self) -> str:
        """The folder under data/ and failures/."""
        ...

    @property
    def fixed(self) -> FixedPrompt:
        """The part that is the same for every row."""
        ...

    @property
    def contract(self) -> ImageContract:
        """How its pictures are sent."""
        ...

    def prompt(self, columns: Mapping[str, Value], images: tuple[PreparedImage | LinkedImage, ...]) -> Prompt:
        """The question for one row. Quick."""
        ...

    def parse(self, completion: Completion, pages: int | None) -> Answer:
        """The answer columns, for a picture of so many pages. Quick. Raises ItemError of stage parse."""
        ...


class Provider(Protocol):
    """One server."""

    def render(self, prompt: Prompt, repair: Repair | None = None) -> bytes:
        """The request body; the same bytes for the same arguments.

        `repair` tells why the last answer could not be used: what is asked then, and with how much room, follows from
        it. Raises ItemError when the server's stated limits would be broken.
        """
        ...

    async def send(self, body: bytes, route: str | None = None) -> Reply:
        """One attempt. Requests of one `route` are to meet the same cache.

        Raises CallError when no whole answer came.
        """
        ...

    def notes(self, reply: Reply) -> Mapping[str, str]:
        """The headers that `read` needs beside the body."""
        ...

    def refusal(self, reply: Reply) -> Exception:
        """What a reply other than 2xx means: a CallError for the row, a ServerError for the whole run."""
        ...

    def read(self, body: bytes, notes: Mapping[str, str]) -> Completion:
        """The completion in a 2xx body. Quick. Raises CallError when there is none."""
        ...

    def request_id(self, reply: Reply) -> str | None:
        """The server's name for this answer."""
        ...

    def cost(self, model: str, usage: Usage) -> float | None:
        """USD for one answer of a model, None when it has no known price."""
        ...


class Pacer(Protocol):
    """When the next request may be sent."""

    async def acquire(self, owner: object) -> None:
        """Wait, first come first served, for the shared gate, a slot and the rate. Cancelling gives all back."""
        ...

    def release(self, owner: object) -> None:
        """Give the slot back; the attempt is over."""
        ...

    def answered(self) -> None:
        """The server answered a request of this run."""
        ...

    def refused(self, retry_after: float | None) -> None:
        """The server said 429: nobody sends for a while."""
        ...

    def unreachable(self, retry_after: float | None = None) -> None:
        """The server is down or overloaded: nobody sends for a while (seconds, if it named any), then one tries."""
        ...


class Hold(Protocol):
    """Bytes of the budget held by one picture."""

    async def grow(self, weight: int) -> None:
        """Wait until at least `weight` bytes are held; goes before those who hold nothing yet."""
        ...

    def resize(self, weight: int) -> None:
        """Hold `weight` bytes from now on; never waits."""
        ...

    def add(self, weight: int) -> None:
        """Hold `weight` bytes more from now on; never waits."""
        ...

    def give(self, weight: int) -> None:
        """Give back `weight` of the held bytes."""
        ...


class Budget(Protocol):
    """Bytes in flight: raw, decoded and encoded pictures between fetch and answer."""

    async def take(self, weight: int) -> Hold:
        """Wait, first come first served, until `weight` bytes are free; a picture larger than all goes alone."""
        ...


class Ledger(Protocol):
    """What is done, and the only way for an outcome to become durable."""

    def left(self, shard: Shard) -> int:
        """How many questions of this shard are still to be asked. Quick."""
        ...

    def outstanding(self, shard: Shard, ordinal: int) -> tuple[str, ...]:
        """The tasks still to be asked of this row. Quick."""
        ...

    def life(self, row: RowId) -> Life:
        """What earlier runs already did about this question. Quick."""
        ...

    def twin(self, task: str, request_sha256: str) -> Outcome | None:
        """How an equal question has ended for good, if one has. Blocking, from any thread. Raises LedgerError."""
        ...

    def append(self, frame: Frame) -> None:
        """Hand the frame to the kernel, now. Plain and quick. Raises LedgerError."""
        ...

    def trouble(self) -> LedgerError | None:
        """Why no further answer may be bought, although everything so far could be kept. Quick."""
        ...

    def unsynced(self) -> int:
        """Frames appended and not yet known to be on the disk. Quick."""
        ...

    def sync(self) -> int:
        """Bring appended frames to the disk; how many are now safe in total. Blocking. Raises LedgerError."""
        ...

    def add(self, outcome: Outcome) -> bool:
        """Take over a journaled outcome; True when a part or snapshot is due. Quick."""
        ...

    def shelve(self, row: RowId, life: Life) -> None:
        """A question that this run leaves between two attempts: what was spent on it is part of the totals. Quick."""
        ...

    def commit(self, *, everything: bool = False) -> None:
        """Write the parts and snapshots that are due, or all. Blocking. Raises LedgerError."""
        ...
