"""How one task stands in one shard: what is committed, what waits to be written, what stands failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from pyroaring import BitMap

from pipeline.core.errors import LedgerError
from pipeline.core.outcomes import Failure, Life, Outcome, Row, Spent
from pipeline.ledger import parts
from pipeline.ledger.schema import TaskSchema, data_table, failure_table

PART_ROWS = 10_000
PART_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Failed:
    """A row of the present snapshot, in short: enough to try it again, and to tell its frames' age."""

    attempts: int
    finished_at: datetime
    cost_usd: float | None
    retryable: bool
    next_try_at: datetime | None


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
    """The rows that stand in data parts."""
    committed: list[tuple[Path, BitMap]] = field(default_factory=list)
    """The data parts, each with its rows."""
    failed: dict[int, Failed] = field(default_factory=dict)
    """The rows of the snapshot; where a data part holds one too, left by a kill between the two, data wins."""
    given_up: BitMap = field(default_factory=BitMap)
    """Rows of a retired shard's snapshot that have a place in a newer shard."""
    awaiting_snapshot: BitMap = field(default_factory=BitMap)
    """Answered rows whose failure still stands in the snapshot: their journal is kept until it is gone."""
    totals: dict[str, dict[str, float]] = field(default_factory=dict)
    """By file name: the totals of each committed file that counts."""
    snapshot: parts.Part | None = None
    superseded: list[Path] = field(default_factory=list)
    """Older snapshots, left by a kill between creating a generation and deleting the last."""
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
            self._count(part.path, summary)
        self.settled |= self.done
        if snapshots:
            self._load_snapshot(snapshots[-1])
            self.superseded = [older.path for older in snapshots[:-1]]

    def _load_snapshot(self, newest: parts.Part) -> None:
        self.snapshot = newest
        self.totals[newest.path.name] = dict(parts.read_summary(newest.path).totals)
        columns = ["ordinal", "attempts", "finished_at", "cost_usd", "retryable", "next_try_at"]
        for row in parts.read_columns(newest.path, columns):
            ordinal = row.pop("ordinal")
            self.failed[ordinal] = Failed(**row)
            if ordinal in self.done:
                self.awaiting_snapshot.add(ordinal)
            elif not row["retryable"]:
                self.settled.add(ordinal)

    def life(self, ordinal: int) -> Life:
        """What earlier runs spent on a row that is to be tried again."""
        waiting = self.failures.get(ordinal)
        earlier = _in_short(waiting) if waiting is not None else self.failed.get(ordinal)
        if earlier is None:
            return Life()
        next_try_at = earlier.next_try_at.timestamp() if earlier.next_try_at else None
        return Life(Spent(attempts=earlier.attempts, cost_usd=earlier.cost_usd), next_try_at=next_try_at)

    def spent_before(self, ordinal: int) -> float:
        """USD that the snapshot already counts for this row."""
        earlier = self.failed.get(ordinal)
        return (earlier.cost_usd or 0.0) if earlier is not None else 0.0

    def accounted(self, ordinal: int, attempts: int, received_at: float) -> bool:
        """Whether a frame is already in what is committed: its journal outlived its commit, perhaps by several runs.

        An answer always has more attempts than what was committed before it, so no clock can make it look old.
        """
        if ordinal in self.done or ordinal in self.rows or ordinal in self.failures:
            return True
        earlier = self.failed.get(ordinal)
        if earlier is None or attempts != earlier.attempts:
            return earlier is not None and attempts < earlier.attempts
        return datetime.fromtimestamp(received_at, UTC) <= earlier.finished_at

    def to_try_again(self) -> list[int]:
        """The rows that stand failed and are to be asked by this run or, where this run has failed them, the next."""
        waiting = [ordinal for ordinal, failure in self.failures.items() if failure.retryable]
        elsewhere = self.done | self.given_up | BitMap(self.rows) | BitMap(self.failures)
        return waiting + [
            ordinal
            for ordinal, failed in self.failed.items()
            if ordinal not in elsewhere and (failed.retryable or ordinal not in self.settled)
        ]

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

    def give_up(self, ordinal: int) -> None:
        """The row has a place in a newer shard: the failure that stands here goes with the next snapshot."""
        if self.failures.pop(ordinal, None) is not None:
            self.settled.discard(ordinal)
        if ordinal in self.failed and ordinal not in self.done:
            self.given_up.add(ordinal)
            self.settled.discard(ordinal)

    def reopen(self, ordinals: BitMap) -> None:
        """Ask these rows of the snapshot again, even those that failed for good."""
        self.settled -= ordinals

    def close_again(self) -> None:
        """Rows that were reopened and not asked stand as the snapshot has them."""
        final = BitMap(ordinal for ordinal, failed in self.failed.items() if not failed.retryable)
        self.settled |= final - self.given_up

    def part_due(self) -> bool:
        """Whether the waiting rows fill a part."""
        return len(self.rows) >= PART_ROWS or self.weight >= PART_BYTES

    def write_parts(self, scratch: Path, run_id: str) -> Iterator[tuple[str, list[Row]]]:
        """Commit the waiting rows; yields each part's name and rows once it is committed. Raises LedgerError."""
        while self.rows:
            rows = [self.rows[ordinal] for ordinal in sorted(self.rows)[:PART_ROWS]]
            table = data_table(self.schema, rows)
            path = parts.data_path(self.data_folder, self.shard, len(self.committed) + 1)
            summary = parts.write(table, path, scratch, run_id)
            self._count(path, summary)
            self.awaiting_snapshot |= summary.ordinals & BitMap(self.failed)
            for row in rows:
                del self.rows[row.id.ordinal]
            yield path.name, rows
        self.weight = 0

    def write_snapshot(self, scratch: Path, run_id: str) -> BitMap:
        """Commit what stands failed, if that has changed; the rows whose journal is no longer needed.

        Raises LedgerError.
        """
        fresh = BitMap(self.failures)
        gone = fresh | self.awaiting_snapshot | self.given_up
        if not gone:
            return gone
        tables = [failure_table(self.schema, self.failures.values())]
        if self.snapshot:
            tables.append(_without(parts.read_table(self.snapshot.path), gone))
        table = pa.concat_tables(tables).sort_by("ordinal")
        superseded, written = self.snapshot, None
        if table.num_rows:
            generation = superseded.number + 1 if superseded else 1
            path = parts.snapshot_path(self.failure_folder, self.shard, generation)
            self.totals[path.name] = dict(parts.write(table, path, scratch, run_id).totals)
            written = parts.Part(self.shard, generation, path)
        self.snapshot = written  # only now: what could not be written is written again, over the same predecessor
        if superseded:
            superseded.path.unlink()
            del self.totals[superseded.path.name]
        for ordinal in gone:
            self.failed.pop(ordinal, None)
        for ordinal, failure in self.failures.items():
            self.failed[ordinal] = _in_short(failure)
        self.awaiting_snapshot.clear()
        self.given_up.clear()
        self.failures.clear()
        return gone

    def _count(self, path: Path, summary: parts.Summary) -> None:
        self.done |= summary.ordinals
        self.committed.append((path, summary.ordinals))
        self.totals[path.name] = dict(summary.totals)


def _in_short(failure: Failure) -> Failed:
    envelope = failure.envelope
    return Failed(
        envelope.attempts,
        datetime.fromtimestamp(envelope.finished_at, UTC),
        envelope.cost_usd,
        failure.retryable,
        None if failure.next_try_at is None else datetime.fromtimestamp(failure.next_try_at, UTC),
    )


def _without(table: pa.Table, ordinals: BitMap) -> pa.Table:
    keep = [ordinal not in ordinals for ordinal in table.column("ordinal").to_pylist()]
    return table.filter(pa.array(keep, pa.bool_()))
