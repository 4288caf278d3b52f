"""How one task stands in one shard: what is committed, what waits to be written, what stands failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from pyroaring import BitMap

from pipeline.core.errors import KINDS, LedgerError
from pipeline.core.types import Failure, Life, Outcome, Row, Spent
from pipeline.ledger import parts
from pipeline.ledger.schema import TaskSchema, data_table, failure_table

PART_ROWS = 10_000
PART_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class Retryable:
    """A failure of an earlier run that is to be tried again; `attempts` and `finished_at` (UTC) date it."""

    attempts: int
    finished_at: datetime
    cost_usd: float | None


@dataclass(slots=True)
class Standing:
    """One task in one shard. `settled` need not be asked: committed, waiting to be written, or finally failed."""

    task: str
    shard: int
    schema: TaskSchema
    data_folder: Path
    failure_folder: Path
    settled: BitMap = field(default_factory=BitMap)
    done: BitMap = field(default_factory=BitMap)
    retryable: dict[int, Retryable] = field(default_factory=dict)
    outdated: BitMap = field(default_factory=BitMap)
    """Rows of the snapshot that a data part holds too, left by a kill between the two: data wins."""
    totals: dict[str, dict[str, float]] = field(default_factory=dict)
    """By file name: the totals of each committed file that counts."""
    snapshot: parts.Part | None = None
    next_sequence: int = 1
    rows: dict[int, Row] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    weight: int = 0
    """Estimated bytes of the waiting rows."""

    def load(self, data: list[parts.Part], snapshots: list[parts.Part]) -> None:
        """Read the footers of this shard's committed files. Raises LedgerError when they contradict each other."""
        for expected, part in enumerate(data, start=1):
            if part.number != expected:
                raise LedgerError(f"{part.path}: part {expected} of its shard is missing. Was a file deleted by hand?")
            summary = parts.read_summary(part.path)
            if not self.done.isdisjoint(summary.ordinals):
                raise LedgerError(f"{part.path} holds rows that an earlier part of its shard holds too.")
            self.done |= summary.ordinals
            self.totals[part.path.name] = dict(summary.totals)
        self.next_sequence = len(data) + 1
        self.settled |= self.done
        if snapshots:
            self._load_snapshot(snapshots[-1])
            for older in snapshots[:-1]:  # left by a kill between creating a generation and deleting the last
                older.path.unlink(missing_ok=True)

    def _load_snapshot(self, newest: parts.Part) -> None:
        self.snapshot = newest
        self.totals[newest.path.name] = dict(parts.read_summary(newest.path).totals)
        columns = ["ordinal", "retryable", "attempts", "finished_at", "cost_usd"]
        for row in parts.read_columns(newest.path, columns):
            ordinal = row["ordinal"]
            if ordinal in self.done:
                self.outdated.add(ordinal)
            elif row["retryable"]:
                self.retryable[ordinal] = Retryable(row["attempts"], row["finished_at"], row["cost_usd"])
            else:
                self.settled.add(ordinal)

    def life(self, ordinal: int) -> Life:
        """What earlier runs spent on a row that is to be tried again."""
        earlier = self.retryable.get(ordinal)
        return Life(Spent(attempts=earlier.attempts, cost_usd=earlier.cost_usd)) if earlier else Life()

    def accounted(self, ordinal: int, attempts: int, received_at: float) -> bool:
        """Whether a frame is already in what is committed: its journal outlived its commit, perhaps by several runs.

        An answer always has more attempts than what was committed before it, so no clock can make it look old.
        """
        if ordinal in self.settled:
            return True
        earlier = self.retryable.get(ordinal)
        if earlier is None or attempts != earlier.attempts:
            return earlier is not None and attempts < earlier.attempts
        return datetime.fromtimestamp(received_at, UTC) <= earlier.finished_at

    def passing(self) -> BitMap:
        """The rows whose failure waits to be written and is to be tried again by a later run."""
        return BitMap(ordinal for ordinal, failure in self.failures.items() if may_pass(failure))

    def add(self, outcome: Outcome) -> None:
        """Take over one outcome. Raises LedgerError when the row has one already."""
        ordinal = outcome.id.ordinal
        if ordinal in self.settled:
            raise LedgerError(f"row {ordinal} of shard {self.shard} got a second outcome for {self.task}: a bug")
        self.settled.add(ordinal)
        if isinstance(outcome, Row):
            self.rows[ordinal] = outcome
        else:
            self.failures[ordinal] = outcome
        self.weight += 600 + 2 * len(outcome.envelope.raw_text or "")

    def part_due(self) -> bool:
        """Whether the waiting rows fill a part."""
        return len(self.rows) >= PART_ROWS or self.weight >= PART_BYTES

    def write_parts(self, scratch: Path, run_id: str) -> Iterator[BitMap]:
        """Commit the waiting rows; yields the ordinals of each part once it is committed. Raises LedgerError."""
        while self.rows:
            ordinals = sorted(self.rows)[:PART_ROWS]
            table = data_table(self.schema, (self.rows[ordinal] for ordinal in ordinals))
            path = parts.data_path(self.data_folder, self.shard, self.next_sequence)
            summary = parts.write(table, path, scratch, run_id)
            self.next_sequence += 1
            self.done |= summary.ordinals
            self.totals[path.name] = dict(summary.totals)
            for ordinal in ordinals:
                del self.rows[ordinal]
            yield summary.ordinals
        self.weight = 0

    def write_snapshot(self, scratch: Path, run_id: str, *, retired: bool = False) -> BitMap:
        """Commit what stands failed, if that has changed; the ordinals newly in it. Raises LedgerError.

        A retired shard gives up the failures to be tried again: their rows are planned in a newer shard.
        """
        fresh = BitMap(self.failures)
        if retired:
            for ordinal in self.passing():
                del self.failures[ordinal]
                self.settled.remove(ordinal)
        retried = BitMap(self.retryable)
        gone = fresh | self.outdated | (retried if retired else retried & self.done)
        if not gone:
            return fresh
        tables = [failure_table(self.schema, self.failures.values())]
        if self.snapshot:
            tables.append(_without(parts.read_table(self.snapshot.path), gone))
        table = pa.concat_tables(tables).sort_by("ordinal")
        superseded, self.snapshot = self.snapshot, None
        if table.num_rows:
            generation = superseded.number + 1 if superseded else 1
            path = parts.snapshot_path(self.failure_folder, self.shard, generation)
            self.totals[path.name] = dict(parts.write(table, path, scratch, run_id).totals)
            self.snapshot = parts.Part(self.shard, generation, path)
        if superseded:
            superseded.path.unlink()
            del self.totals[superseded.path.name]
        for ordinal in gone:
            self.retryable.pop(ordinal, None)
        for ordinal, failure in self.failures.items():
            if may_pass(failure):
                envelope = failure.envelope
                finished_at = datetime.fromtimestamp(envelope.finished_at, UTC)
                self.retryable[ordinal] = Retryable(envelope.attempts, finished_at, envelope.cost_usd)
        self.outdated.clear()
        self.failures.clear()
        return fresh


def may_pass(failure: Failure) -> bool:
    """Whether a later run tries again by itself."""
    return KINDS[failure.problem.kind].retryable


def _without(table: pa.Table, ordinals: BitMap) -> pa.Table:
    keep = [ordinal not in ordinals for ordinal in table.column("ordinal").to_pylist()]
    return table.filter(pa.array(keep, pa.bool_()))
