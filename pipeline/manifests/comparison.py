"""What a new generation must hold: the manifest met with the plan and the answers, key by key, in bounded memory.

What is known of every key is spread over the disk by hash: what retired shards have settled, what shards that stay ask,
where the units name it. Equal keys meet in one bucket, and there it is decided which rows lack an answer.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import itemgetter
from typing import NamedTuple, Protocol

from pyroaring import BitMap

from pipeline.core.outcomes import Spent
from pipeline.manifests.plan import Plan
from pipeline.manifests.unit import Unit
from pipeline.storage.buckets import Buckets, digest_of

Marks = Iterator[tuple[int, tuple[str, ...] | None]]
"""Ascending row numbers, each with the tasks that the row lacks (None: every task, it is new)."""

_RETIRED, _OUTDATED, _ASKED, _CHANGED, _KEPT = range(5)
"""What a record says of its key: it stands in a retired shard, in a retired shard of a unit that is stale now, in a
shard that stays; a changed unit names it, an unchanged one does. The first three carry the index of a set of tasks, the
others a row number."""
_NONE: frozenset[str] = frozenset()


class Ordinals(Protocol):
    """A set of row numbers within a shard."""

    def __contains__(self, ordinal: int, /) -> bool:
        """Whether the row is in the set."""
        ...


class Standings(Protocol):
    """How the rows of a shard stand: the ledger's knowledge, as far as a plan needs it."""

    def settled(self, task: str, shard: int) -> Ordinals:
        """The rows that need not be asked again."""
        ...

    def unsettled(self, task: str, shard: int) -> Mapping[int, Spent]:
        """By ordinal: rows still to be asked for which there is something to take along to a new place.

        That is what was spent on them so far, what was moved to them included. A row that was reopened is among them
        even if nothing was spent on it.
        """
        ...


class NothingAsked:
    """The standings of a new output."""

    def settled(self, task: str, shard: int) -> Ordinals:
        """None."""
        del task, shard
        return BitMap()

    def unsettled(self, task: str, shard: int) -> Mapping[int, Spent]:
        """None."""
        del task, shard
        return {}


class Unsettled(NamedTuple):
    """A row of a retired shard that is still to be asked, and what was spent on it there."""

    task: str
    shard: int
    ordinal: int
    spent: Spent


@dataclass(slots=True)
class Comparison:
    """First spread, in this order, what is planned and what the units name; then decide.

    Memory: one bucket, about a bit for each row to be planned, and the rows on which something was spent.
    """

    plan: Plan
    tasks: Sequence[str]
    standings: Standings
    stale: set[str]
    """Units, by name, whose shards are to be retired."""
    reopened: set[tuple[str, int]]
    """(task, retired shard): their unsettled rows are planned whether or not a unit that names them has changed."""
    spread: Buckets
    """Records of a kind and a number."""
    due: dict[tuple[str, ...] | None, BitMap] = field(default_factory=dict)
    """By the tasks that they lack: the numbers of the rows to be planned."""
    duplicates: BitMap = field(default_factory=BitMap)
    """Numbers of rows whose key was named before."""
    vanished: int = 0
    """Keys of stale units that are named no more."""
    unplaced: int = 0
    """Reopened rows that are named no more."""
    _sets: dict[tuple[str, ...], int] = field(default_factory=dict)
    """Each set of tasks that a record speaks of, with its index."""
    _unsettled: dict[bytes, list[Unsettled]] = field(default_factory=dict)

    def spread_planned(self) -> None:
        """Every key that stands in a retired shard, in one that is to be retired, or in one that stays."""
        moved = {(move.task, move.from_shard, move.from_ordinal) for move in self.plan.moved}
        staying = []
        for number, shard in sorted(self.plan.shards.items()):
            if number not in self.plan.retired and shard.unit not in self.stale:
                staying.append(shard)
                continue
            kind = _OUTDATED if shard.unit in self.stale else _RETIRED
            settled = [(task, self.standings.settled(task, number)) for task in self.tasks]
            unsettled = [
                Unsettled(task, number, ordinal, spent)
                for task in self.tasks
                for ordinal, spent in self.standings.unsettled(task, number).items()
                if (task, number, ordinal) not in moved
            ]
            keys = self.plan.keys(number)
            for ordinal, key in enumerate(keys):
                self.spread.add(digest_of(key), kind, self._index(task for task, rows in settled if ordinal in rows))
            for row in unsettled:
                self._unsettled.setdefault(digest_of(keys[row.ordinal]), []).append(row)
        for shard in staying:
            index = self._index(self.tasks if shard.tasks is None else shard.tasks)
            for key in self.plan.keys(shard.number):
                self.spread.add(digest_of(key), _ASKED, index)

    def spread_named(self, units: Sequence[Unit]) -> None:
        """Every key that these units name: all of a stale one's, of an unchanged one's those that were reopened."""
        wanted = {digest for digest, rows in self._unsettled.items() if any(map(self._is_reopened, rows))}
        found: set[bytes] = set()
        names = ((unit.name in self.stale, row.key) for unit in units for row in unit.rows())
        for number, (stale, key) in enumerate(names):
            digest = digest_of(key)
            if digest in wanted:
                found.add(digest)
            if stale:
                self.spread.add(digest, _CHANGED, number)
            elif digest in wanted:
                self.spread.add(digest, _KEPT, number)
        self.unplaced = sum(self._is_reopened(row) for digest in wanted - found for row in self._unsettled[digest])

    def decide(self) -> None:
        """Fill in `due`, `duplicates` and `vanished`."""
        sets = [frozenset(tasks) for tasks in self._sets]
        for bucket in self.spread:
            self._decide(bucket, sets)

    def marks(self) -> Marks:
        """The rows to be planned, by number."""
        marked = (zip(numbers, repeat(tasks), strict=False) for tasks, numbers in self.due.items())
        return heapq.merge(*marked, key=itemgetter(0))

    def taken_along(self, key: str, lacking: tuple[str, ...] | None) -> list[Unsettled]:
        """The former places of a row that is planned for the tasks that it lacks."""
        if not lacking or not self._unsettled:
            return []
        return [row for row in self._unsettled.get(digest_of(key), ()) if row.task in lacking]

    def _index(self, tasks: Iterable[str]) -> int:
        return self._sets.setdefault(tuple(tasks), len(self._sets))

    def _is_reopened(self, row: Unsettled) -> bool:
        return (row.task, row.shard) in self.reopened

    def _decide(self, bucket: list[tuple[bytes, int, int]], sets: Sequence[frozenset[str]]) -> None:
        settled: dict[bytes, frozenset[str]] = {}
        asked: dict[bytes, frozenset[str]] = {}
        outdated: set[bytes] = set()
        named: set[bytes] = set()
        # Records come in the order of spreading: what is known of a key stands before the rows that name it.
        for digest, kind, number in bucket:
            if kind == _ASKED:
                asked[digest] = asked.get(digest, _NONE) | sets[number]
            elif kind in (_RETIRED, _OUTDATED):
                settled[digest] = settled.get(digest, _NONE) | sets[number]
                if kind == _OUTDATED:
                    outdated.add(digest)
            elif kind == _CHANGED:
                if digest in named or digest in asked:
                    self.duplicates.add(number)
                    continue
                named.add(digest)
                self._plan(number, settled.get(digest), self.tasks)
            elif digest not in named:
                # Its unit has not changed: what is asked of it stays where it is.
                named.add(digest)
                again = {row.task for row in self._unsettled[digest] if self._is_reopened(row)}
                held = settled[digest] | asked.get(digest, _NONE)
                self._plan(number, held, [task for task in self.tasks if task in again])
        self.vanished += len(outdated - named - asked.keys())

    def _plan(self, number: int, settled: frozenset[str] | None, wanted: Sequence[str]) -> None:
        lacking = None if settled is None else tuple(task for task in wanted if task not in settled)
        if lacking != ():
            self.due.setdefault(lacking, BitMap()).add(number)
