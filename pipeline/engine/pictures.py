"""From rows to their pictures: files and manifests in a thread, addresses from the web. Nothing is decoded here."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import anyio
from anyio.to_thread import run_sync

from pipeline.core.errors import ItemError
from pipeline.core.pictures import LinkedImage
from pipeline.core.ports import Hold
from pipeline.core.types import ManifestRow
from pipeline.engine.parts import Parts

CHUNK = 16
"""Small pictures fetched and prepared per hop: a hop costs as much as one of them."""

Wanted = tuple[ManifestRow, tuple[str, ...]]
"""A row and the tasks still to be asked of it."""

Send = Literal["inline", "url", "auto"]
"""Pictures from the web go out as bytes, by their address, or by it where their bytes would go out unchanged."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A row's picture, or why there is none to prepare. Preparing it holds `weight` bytes at its peak, source apart.

    With a `link` it may be sent by its address: instead of the source when there is none, else where the source would
    go out unchanged.
    """

    row: ManifestRow
    tasks: tuple[str, ...]
    source: bytes = field(default=b"", repr=False)
    sha256: str | None = None
    weight: int = 0
    error: ItemError | None = None
    link: LinkedImage | None = None


class Pictures:
    """Gets pictures. `threads` bounds how many threads read files."""

    def __init__(self, parts: Parts, send: Send, threads: anyio.CapacityLimiter) -> None:
        self._parts = parts
        self._send = send
        self._threads = threads

    async def get(self, chunk: Sequence[Wanted], hold: Hold) -> list[Fetched]:
        """The pictures of these rows, in their order; `hold` grows with what comes from the web."""
        (row, tasks), *others = chunk
        if others or row.url is None:
            return await run_sync(self._read, chunk, limiter=self._threads)
        if self._send == "url" and (link := await self._parts.web.link(row.url)):
            return [Fetched(row, tasks, link=link)]
        return [await self.download(row, tasks, hold.grow)]

    async def download(
        self, row: ManifestRow, tasks: tuple[str, ...], reserve: Callable[[int], Awaitable[None]]
    ) -> Fetched:
        """The picture of a row that has an address. `reserve` waits until so many bytes may be held."""
        try:
            download = await self._parts.web.fetch(row.url or "", reserve)
        except ItemError as error:
            return Fetched(row, tasks, error=error)
        link = download.link if self._send == "auto" else None
        return await run_sync(self._weighed, row, tasks, download.data, link, limiter=self._threads)

    def _read(self, chunk: Sequence[Wanted]) -> list[Fetched]:
        fetched = []
        for row, tasks in chunk:
            try:
                if row.problem is not None:
                    raise row.problem
                source = self._parts.fetcher.fetch(row) if row.data is None else row.data
            except ItemError as error:
                fetched.append(Fetched(row, tasks, error=error))
                continue
            fetched.append(self._weighed(row, tasks, source, None))
        return fetched

    def _weighed(self, row: ManifestRow, tasks: tuple[str, ...], source: bytes, link: LinkedImage | None) -> Fetched:
        sha256 = hashlib.sha256(source).hexdigest()
        try:
            contracts = {self._parts.tasks[name].contract for name in tasks}
            weight = max(self._parts.preparer.weigh(source, contract) for contract in contracts)
        except ItemError as error:
            return Fetched(row, tasks, sha256=sha256, error=error)
        return Fetched(row, tasks, source, sha256, weight, link=link)


def small_chunks(wanted: Sequence[Wanted], most: int) -> Iterator[list[Wanted]]:
    """The same rows in lists worth a hop into a thread, of `most` bytes.

    A picture of unknown size goes alone, and so does one that is fetched from elsewhere.
    """
    chunk: list[Wanted] = []
    size = 0
    for row, tasks in wanted:
        more = most + 1 if row.size is None or row.url is not None else row.size
        if chunk and (len(chunk) == CHUNK or size + more > most):
            yield chunk
            chunk, size = [], 0
        chunk.append((row, tasks))
        size += more
    if chunk:
        yield chunk
