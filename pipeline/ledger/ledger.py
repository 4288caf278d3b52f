"""The ledger of one output: what is done, what is to do, and the one way for an outcome to become durable.

    append (the kernel has it) -> sync (the disk has it) -> add (it waits) -> commit (a part or snapshot holds it)

Opening an output, after a clean end or after a kill, is one path: read the footers, replay the journal, go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pyroaring import BitMap

from pipeline.core.errors import DiskFullError, LedgerError
from pipeline.core.outcomes import Frame, Move, Outcome
from pipeline.core.types import Shard
from pipeline.ledger.book import Book
from pipeline.ledger.journal import Journal
from pipeline.ledger.output import Output
from pipeline.ledger.reserve import Reserve
from pipeline.ledger.schema import TaskSchema
from pipeline.ledger.standing import Standing
from pipeline.ledger.twins import Twins


class OutputLedger(Book):
    """Implements the engine's port over an output folder. Made by `recovery.open_ledger` under the output's lock."""

    def __init__(self, output: Output, schemas: Mapping[str, TaskSchema], run_id: str, *, in_flight: int = 0) -> None:
        """Read every footer. Raises LedgerError: unreadable or contradicting files, no space for a single answer."""
        super().__init__(output, schemas)
        self._run_id = run_id
        self._trouble: LedgerError | None = None
        self._reserve = Reserve(output.reserve, in_flight)
        self._reserve.hold()
        self.journal = Journal(output.journal, output.segments, make_room=self._reserve.give_up)
        self._twins = Twins(output.index, self)

    def plan(self, active: Sequence[Shard], retired: Iterable[int], moves: Iterable[Move] = ()) -> None:
        """As the book's; failures whose rows have moved are gone from their old shards before anything is asked."""
        super().plan(active, retired, moves)
        for standing in self.standings.values():
            if standing.given_up:
                self._write_snapshot(standing)

    def twin(self, task: str, request_sha256: str) -> Outcome | None:
        """How an equal question has ended for good. A run about chosen failures shares answers alone."""
        return self._twins.find(task, request_sha256, answers_only=self._selection is not None)

    def append(self, frame: Frame) -> None:
        """Hand the frame to the kernel, now. Raises LedgerError."""
        self.journal.append(frame)

    def trouble(self) -> LedgerError | None:
        """Why no further answer may be bought: something could not be written. What was received is kept."""
        return self._trouble or self.journal.trouble

    def unsynced(self) -> int:
        """Frames appended and not yet known to be on the disk."""
        return self.journal.unsynced()

    def sync(self) -> int:
        """Bring appended frames to the disk; how many are safe. Raises LedgerError."""
        return self.journal.sync()

    def add(self, outcome: Outcome) -> bool:
        """Take over a journaled outcome; True when a part or snapshot is due."""
        due = super().add(outcome)
        self._twins.note(outcome)
        return due

    def commit(self, *, everything: bool = False) -> None:
        """Write the parts and snapshots that are due, or all. Raises LedgerError.

        On a full disk the reserve is given up and `trouble` says so; what then still does not fit waits, journaled, for
        the next run, and is an error only when everything was to be written.
        """
        try:
            self._commit(everything=everything)
        except DiskFullError as error:
            self._trouble = self._trouble or error
            self._reserve.give_up()
            if everything:
                self._commit(everything=True)

    def _commit(self, *, everything: bool) -> None:
        for standing in list(self.standings.values()):
            whole = everything or self._complete(standing)
            if whole or standing.part_due():
                for name, rows in standing.write_parts(self.output.scratch, self._run_id):
                    self._twins.committed(standing.task, name, rows)
                    ordinals = BitMap(row.id.ordinal for row in rows)
                    self.journal.settle(standing.task, standing.shard, ordinals - standing.awaiting_snapshot)
            if whole:
                self._write_snapshot(standing)

    def _write_snapshot(self, standing: Standing) -> None:
        failures = list(standing.failures.values())
        with self._twins.guard:
            gone = standing.write_snapshot(self.output.scratch, self._run_id)
        self._twins.failed(standing.task, standing.snapshot, failures)
        self.journal.settle(standing.task, standing.shard, gone)

    def abandon(self) -> None:
        """Opening came to nothing: give back what is held and leave every file as it is."""
        self._twins.close()
        self._reserve.give_up()

    def close(self) -> None:
        """Sync and close the journal; segments whose rows are all committed are deleted. Raises LedgerError."""
        try:
            self.journal.close()
        finally:
            self._twins.close()
            self._reserve.give_up()

    def tidy(self, warn: Callable[[int], None]) -> None:
        """Cover what the index of questions does not know yet, and delete superseded snapshots. Raises LedgerError."""
        self._twins.cover(warn)
        for standing in self.standings.values():
            for path in standing.superseded:
                path.unlink(missing_ok=True)
            standing.superseded.clear()

    def _leave(self, task: str, shard: int, ordinals: BitMap) -> None:
        super()._leave(task, shard, ordinals)
        self.journal.settle(task, shard, ordinals)
