"""The way back: opens an output's ledger and replays what earlier runs journaled and did not commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog
from pyroaring import BitMap

from pipeline.core.outcomes import Failure, Frame, Life, Move, Outcome
from pipeline.core.types import RowId
from pipeline.ledger.book import Book
from pipeline.ledger.frames import Replay
from pipeline.ledger.journal import read_frames
from pipeline.ledger.ledger import OutputLedger
from pipeline.ledger.output import Output
from pipeline.ledger.schema import TaskSchema
from pipeline.ledger.twins import Twins

log = structlog.get_logger()


class Settler(Protocol):
    """The engine's reading of frames, the same live and in recovery."""

    def settle(self, frame: Frame, life: Life) -> Life:
        """How one more frame changes where a question stands."""
        ...

    def share(self, frame: Frame, life: Life, leader: Outcome) -> Outcome:
        """The outcome of a copy, given its leader's."""
        ...


@dataclass(frozen=True, slots=True)
class Recovery:
    """What opening found in the journal: `frames` read, `restored` outcomes taken over, segments with a hole."""

    frames: int
    restored: int
    damaged: tuple[str, ...]


def open_ledger(
    output: Output,
    schemas: Mapping[str, TaskSchema],
    run_id: str,
    settler: Settler,
    *,
    moves: Iterable[Move] = (),
    in_flight: int = 0,
) -> tuple[OutputLedger, Recovery]:
    """Open an output under its lock: footers, then journal. `in_flight` calls at once are to fit into the reserve.

    Raises LedgerError.
    """
    output.clear_scratch()
    ledger = OutputLedger(output, schemas, run_id, in_flight=in_flight)
    try:
        ledger.take_moves(moves)
        ledger.tidy(lambda files: log.info("index.building", files=files, index=str(output.index)))
        restoration = Restoration(ledger, settler)
        recovery = restoration.run(ledger.journal.replay())
        for task, shard, ordinals in restoration.stale():
            ledger.journal.settle(task, shard, ordinals)
    except BaseException:
        ledger.abandon()
        raise
    return ledger, recovery


def read_book(
    output: Output, schemas: Mapping[str, TaskSchema], settler: Settler, *, moves: Iterable[Move] = ()
) -> tuple[Book, Recovery]:
    """An output under its lock as the next run would find it, journal included; no file of it is changed.

    Raises LedgerError.
    """
    book = Book(output, schemas)
    book.take_moves(moves)
    if output.index.exists():
        twins = Twins(output.index, book, read_only=True)
        try:
            twins.check()
        finally:
            twins.close()
    return book, Restoration(book, settler).run(read_frames(output.journal))


class Restoration:
    """Replays frames into a book. `stale` are rows whose frames are no longer needed, by task and shard."""

    def __init__(self, book: Book, settler: Settler) -> None:
        self._book = book
        self._settler = settler
        self._lives: dict[RowId, Life] = {}
        self._dropped: dict[tuple[str, int], BitMap] = {}

    def run(self, frames: Iterable[tuple[Path, Frame | Replay]]) -> Recovery:
        """Take every frame in its order, then hand over what has ended."""
        count, damaged = 0, []
        for path, item in frames:
            if not isinstance(item, Frame):
                if item.damaged:
                    damaged.append(str(path))
                continue
            count += 1
            if item.row.task in self._book.schemas:  # else its answers stay in the journal until it is configured
                self._take(item)
        return Recovery(count, self._hand_over(), tuple(damaged))

    def stale(self) -> Iterator[tuple[str, int, BitMap]]:
        """Task, shard and rows whose frames nobody needs."""
        for (task, shard), ordinals in self._dropped.items():
            alive = BitMap(row.ordinal for row in self._lives if (row.task, row.shard) == (task, shard))
            yield task, shard, ordinals - alive

    def _take(self, frame: Frame) -> None:
        row = frame.row
        standing = self._book.standing(row.task, row.shard)
        if row.ordinal in standing.awaiting_snapshot:
            return  # settled when the failure that it replaces is gone
        if self._book.left_behind(row) or standing.accounted(row.ordinal, frame.attempts, frame.received_at):
            self._drop(row)
            return
        life = self._lives.get(row) or self._book.life(row)
        if isinstance(life.outcome, Failure) and life.outcome.retryable:
            life = Life(life.spent)  # a later run has tried again
        if life.outcome is not None:
            return
        if frame.copy_of is not None:
            self._share(frame, life, frame.copy_of)
        elif frame.problem is not None or frame.attempts > life.spent.attempts:
            self._lives[row] = self._settler.settle(frame, life)
        # else the same answer once more, written again after a sync had failed

    def _share(self, frame: Frame, life: Life, leader: RowId) -> None:
        """A copy stands if its leader does; else nothing was paid for it, and its row is asked like any other."""
        at = self._lives.get(leader)
        # A leader that awaited its repair when its shard was retired has ended with the unusable answer.
        found = (at.outcome or at.unusable) if at is not None else self._book.outcome(leader)
        if found is None:
            self._drop(frame.row)
        else:
            self._lives[frame.row] = Life(life.spent, outcome=self._settler.share(frame, life, found))

    def _hand_over(self) -> int:
        restored = 0
        for row, life in list(self._lives.items()):
            standing = self._book.standing(row.task, row.shard)
            standing.reopen(BitMap([row.ordinal]))  # a run about chosen failures may have tried a final one again
            final = row.ordinal in standing.failed and not standing.failed[row.ordinal].retryable
            outcome = life.outcome or (life.unusable if final else None)
            if outcome is not None:
                self._book.add(outcome)
                restored += 1
            elif final:
                standing.close_again()  # it was not answered: it stands as it stood
                del self._lives[row]
                self._drop(row)
            else:
                self._book.shelve(row, life)
        return restored

    def _drop(self, row: RowId) -> None:
        self._dropped.setdefault((row.task, row.shard), BitMap()).add(row.ordinal)
