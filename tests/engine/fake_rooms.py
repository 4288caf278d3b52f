"""What comes before the question, in memory: a manifest, files, the web and preparing."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import anyio

from pipeline.core.errors import ItemError, ManifestError
from pipeline.core.pictures import Download, ImageContract, LinkedImage, PreparedImage
from pipeline.core.types import ManifestRow, Scalar, Shard


@dataclass
class FakeSource:
    """`rows` by shard number; `fails_at` raises ManifestError before that ordinal of any shard."""

    rows: Mapping[int, int]
    columns: Mapping[str, Scalar] = field(default_factory=dict)
    size: int = 100
    fails_at: int | None = None
    problems: Mapping[int, ItemError] = field(default_factory=dict)
    threads: set[int] = field(default_factory=set)
    scanned: int = 0
    gone: int | None = None
    """A shard that can no longer be opened."""
    urls: Sequence[str] = ()
    """Addresses by ordinal instead of paths."""

    @property
    def shards(self) -> Sequence[Shard]:
        return [Shard(number, count, "unit") for number, count in self.rows.items()]

    def scan(self, shard: Shard) -> Iterator[ManifestRow]:
        self.threads.add(threading.get_ident())
        if shard.number == self.gone:
            raise ManifestError("the listing is gone")
        return self._scan(shard)

    def _scan(self, shard: Shard) -> Iterator[ManifestRow]:
        for ordinal in range(shard.rows):
            self.threads.add(threading.get_ident())
            if ordinal == self.fails_at:
                raise ManifestError("the manifest broke")
            self.scanned += 1
            key = f"{shard.number}-{ordinal}"
            problem = self.problems.get(ordinal)
            if self.urls:
                url = self.urls[ordinal]
                yield ManifestRow(shard.number, ordinal, key, url, None, None, self.columns, problem, url)
            else:
                yield ManifestRow(shard.number, ordinal, key, key, key, self.size, self.columns, problem)


@dataclass
class FakeFetcher:
    broken: set[str] = field(default_factory=set)
    fetched: list[str] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def fetch(self, row: ManifestRow) -> bytes:
        self.threads.add(threading.get_ident())
        self.fetched.append(row.key)
        if row.key in self.broken:
            raise ItemError("not_found", f"there is no file {row.key}")
        return row.key.encode()


@dataclass
class FakeWeb:
    """Pictures by address; `links` are the addresses that the server may fetch, `broken` what is wrong with others."""

    links: set[str] = field(default_factory=set)
    broken: Mapping[str, ItemError] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    async def fetch(self, url: str, reserve: Callable[[int], Awaitable[None]]) -> Download:
        self.fetched.append(url)
        if url in self.broken:
            raise self.broken[url]
        await reserve(len(url))
        await anyio.sleep(0.1)
        return Download(url.encode(), self._linked(url))

    async def link(self, url: str) -> LinkedImage | None:
        await anyio.sleep(0.1)
        return self._linked(url)

    def _linked(self, url: str) -> LinkedImage | None:
        return LinkedImage(url, url.partition("?")[0]) if url in self.links else None


@dataclass
class FakePreparer:
    broken: set[str] = field(default_factory=set)
    prepared: list[tuple[str, int | None]] = field(default_factory=list)

    def weigh(self, source: bytes, contract: ImageContract) -> int:
        return len(source)

    def prepare(self, source: bytes, contract: ImageContract) -> tuple[PreparedImage, ...]:
        self.prepared.append((source.decode(), contract.max_side))
        if source.decode() in self.broken:
            raise ItemError("truncated", "the file ends early")
        return (PreparedImage(source, "image/jpeg", 64, 48, 32, 24),)
