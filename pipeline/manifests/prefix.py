"""A prefix in an object store as a manifest, or a glob there. The key of a picture is its name below the prefix.

The bucket is listed once for each run, a request for every 1,000 objects. What is listed is kept compressed: about
10 MB of memory for a million pictures (`BLOCK` of them at a time are unpacked).
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Final

from pipeline.core.types import Column, ManifestRow
from pipeline.manifests.directory import SUFFIXES
from pipeline.manifests.unit import Placed, PlannedRow
from pipeline.storage.door import listed

BLOCK: Final = 4096


class Prefix:
    """All pictures below `root` (an address that ends in a slash), or those that `pattern` below it matches."""

    def __init__(self, name: str, root: str, pattern: str = "", *, prefix: str = "") -> None:
        self._name = name
        self._root = root
        self._pattern = pattern
        self._prefix = prefix
        self._blocks: list[bytes] | None = None
        self._digest = ""
        self.ignored = 0
        """Objects passed over because their suffix is no picture's; known once the bucket was listed."""

    @property
    def name(self) -> str:
        """The address as configured."""
        return self._name

    def fingerprint(self) -> str:
        """A hash over the sorted names, sizes and versions."""
        self._listing()
        return self._digest

    def rows(self) -> Iterator[PlannedRow]:
        """Every picture, sorted by name; its size in bytes is what the plan keeps."""
        for block in self._listing():
            for line in zlib.decompress(block).decode().split("\0\0"):
                key, _, size = line.rpartition("\0")
                yield PlannedRow(self._prefix + key, size.encode())

    def columns(self) -> list[Column]:
        """A bucket has no columns."""
        return []

    def read(self, shard: int, rows: Iterable[Placed], kept: list[Column]) -> Iterator[ManifestRow]:
        """Planned pictures with the sizes that they had; one that is gone by now fails when it is fetched."""
        del kept  # a bucket has no columns, and `columns` said so
        for ordinal, key, ref in rows:
            address = self._root + key.removeprefix(self._prefix)
            yield ManifestRow(shard, ordinal, key, address, size=int(ref), url=address)

    def _listing(self) -> list[bytes]:
        if self._blocks is None:
            self._blocks = list(self._packed())
        return self._blocks

    def _packed(self) -> Iterator[bytes]:
        digest = hashlib.sha256(self._prefix.encode())
        lines: list[str] = []
        self.ignored = 0
        for name, (size, version) in listed(self._root + self._pattern):
            key = name.removeprefix(self._root)
            if not self._pattern and PurePosixPath(key).suffix.lower() not in SUFFIXES:
                self.ignored += 1
                continue
            digest.update(f"{key}\0{size}\0{version}\n".encode())
            lines.append(f"{key}\0{size}")
            if len(lines) == BLOCK:
                yield zlib.compress("\0\0".join(lines).encode(), level=1)
                lines.clear()
        if lines:
            yield zlib.compress("\0\0".join(lines).encode(), level=1)
        self._digest = digest.hexdigest()
