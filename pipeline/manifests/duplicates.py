"""What becomes of a key that the manifest names again: `manifest.on_duplicate_key` "first" or "number".

A key is the identity of a picture in an output, so later rows of the same key are either left out, or get names of
their own: `key#2`, `key#3`, in the order of the manifest. The manifest is read once for that, and equal keys meet on
the disk (`storage/buckets.py`). What a unit's rows are called may depend on the units before it; `Naming.of` tells
whether it has changed. A new name leads back to the old one by the row's ref, which is marked.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pipeline.core.types import Column, ManifestRow
from pipeline.manifests.unit import Placed, PlannedRow, Unit
from pipeline.storage.buckets import BUCKETS, DIGEST_BYTES, Buckets, digest_of

OnDuplicateKey = Literal["error", "first", "number"]

_MARKED = re.compile(rb"(.*?)\0#[0-9]+\0(.*)", re.DOTALL)


class Naming:
    """Knows every row whose key was named before, for as long as the `with` lasts. Memory: a 256th of the keys.

    Raises ManifestError: unreadable units. Raises LedgerError: the disk is full.
    """

    def __init__(self, units: Sequence[Unit], policy: OnDuplicateKey, scratch: Path) -> None:
        self._units = units
        self._policy = policy
        self._scratch = scratch
        self._stack = ExitStack()
        self._first: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        self._rows = 0
        self.repeated = 0
        """Rows left out, or given a number."""

    def __enter__(self) -> Self:
        # By row number, so that they can be read in the manifest's order: the number stands where a digest would.
        self._places = self._stack.enter_context(Buckets(self._scratch, "repeated", "Q"))
        if self._policy != "error":
            self._find()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.close()

    def units(self) -> list[Unit]:
        """The same units; rows that are left out are so, numbered ones have their new names."""
        return [_Renamed(unit, self, self._policy) for unit in self._units] if self.repeated else list(self._units)

    def of(self, unit: str) -> str:
        """A text that changes when other rows of this unit are repeated, or as other ones; empty for none."""
        first = self._first.get(unit, 0)
        digest = hashlib.sha256(self._policy.encode())
        found = False
        for number, occurrence in self._since(first) if self.repeated else ():
            if number >= self._ends[unit]:
                break
            digest.update(b"%d:%d," % (number - first, occurrence))
            found = True
        return digest.hexdigest() if found else ""

    def repeats(self, unit: str) -> Iterator[tuple[int, int]]:
        """The unit's repeated rows, ascending, each as what time its key is named: 2, 3, ..."""
        first, end = self._first[unit], self._ends[unit]
        for number, occurrence in self._since(first):
            if number >= end:
                return
            yield number - first, occurrence

    def _find(self) -> None:
        with Buckets(self._scratch, "named", "Q") as named:
            for unit in self._units:
                self._first[unit.name] = self._rows
                for row in unit.rows():
                    named.add(digest_of(row.key), self._rows)
                    self._rows += 1
                self._ends[unit.name] = self._rows
            for bucket in named:
                seen: dict[bytes, int] = {}
                for digest, number in bucket:
                    seen[digest] = occurrence = seen.get(digest, 0) + 1
                    if occurrence > 1:
                        self._places.add(self._place(number), occurrence)
                        self.repeated += 1

    def _place(self, number: int) -> bytes:
        return bytes([number * BUCKETS // self._rows]) + number.to_bytes(DIGEST_BYTES - 1, "big")

    def _since(self, first: int) -> Iterator[tuple[int, int]]:
        if first >= self._rows:
            return
        for bucket in range(self._place(first)[0], BUCKETS):
            for place, occurrence in sorted(self._places.read(bucket)):
                number = int.from_bytes(place[1:], "big")
                if number >= first:
                    yield number, occurrence


def read_named(unit: Unit, shard: int, rows: Iterable[Placed], kept: list[Column]) -> Iterator[ManifestRow]:
    """Planned rows of a unit, numbered ones under their numbered keys. Raises what `Unit.read` does."""
    numbered: dict[int, str] = {}

    def as_the_unit_knows_them() -> Iterator[Placed]:
        for row in rows:
            marked = _MARKED.fullmatch(row.ref) if b"\0#" in row.ref else None
            if marked is None:
                yield row
                continue
            numbered[row.ordinal] = row.key
            yield Placed(row.ordinal, marked[2].decode("utf-8", "surrogatepass"), marked[1])

    for row in unit.read(shard, as_the_unit_knows_them(), kept):
        key = numbered.pop(row.ordinal, None)
        yield row if key is None else replace(row, key=key)


class _Renamed:
    """A unit whose repeated rows are left out or numbered."""

    def __init__(self, unit: Unit, naming: Naming, policy: OnDuplicateKey) -> None:
        self._unit, self._naming, self._policy = unit, naming, policy

    @property
    def name(self) -> str:
        """The unit's."""
        return self._unit.name

    def fingerprint(self) -> str:
        """The unit's."""
        return self._unit.fingerprint()

    def columns(self) -> list[Column]:
        """The unit's."""
        return self._unit.columns()

    def rows(self) -> Iterator[PlannedRow]:
        """The unit's, as they are to be planned."""
        repeats = self._naming.repeats(self.name)
        repeated, occurrence = next(repeats, (-1, 0))
        for number, row in enumerate(self._unit.rows()):
            if number != repeated:
                yield row
                continue
            if self._policy == "number":
                yield PlannedRow(f"{row.key}#{occurrence}", _marked(row, occurrence))
            repeated, occurrence = next(repeats, (-1, 0))

    def read(self, shard: int, rows: Iterable[Placed], kept: list[Column]) -> Iterator[ManifestRow]:
        """The unit's, under their planned names."""
        return read_named(self._unit, shard, rows, kept)


def _marked(row: PlannedRow, occurrence: int) -> bytes:
    return b"%b\0#%d\0%b" % (row.ref, occurrence, row.key.encode("utf-8", "surrogatepass"))
