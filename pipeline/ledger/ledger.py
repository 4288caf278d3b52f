"""The ledger of one output: what is done, what is to do, and the one way for an outcome to become durable.

    append (the kernel has it) -> sync (the disk has it) -> add (it waits) -> commit (a part or snapshot holds it)

Opening an output, after a clean end or after a kill, is one path: read the footers, replay the journal, go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pyroaring import BitMap

from pipeline.core.errors import DiskFullError, LedgerError
from pipeline.core.types import Frame, Life, Move, Outcome, RowId, Shard, Spent
from pipeline.ledger import parts
from pipeline.ledger.journal import Journal
from pipeline.ledger.output import Output
from pipeline.ledger.reserve import Reserve
from pipeline.ledger.schema import TaskSchema
from pipeline.ledger.standing import Standing
from pipeline.ledger.twins import Twins

Selection = Mapping[tuple[str, int], BitMap]
"""By (task, shard): the rows that a run is about."""


class OutputLedger:
    """Implements the engine's port over an output folder. Made by `recovery.open_ledger` under the output's lock."""

    def __init__(self, output: Output, schemas: Mapping[str, TaskSchema], run_id: str, *, in_flight: int = 0) -> None:
        """Read every footer. Raises LedgerError: unreadable or contradicting files, no space for a single answer."""
        self._output = output
        self.schemas = schemas
        self._run_id = run_id
        self._standings: dict[tuple[str, int], Standing] = {}
        self._lives: dict[RowId, Life] = {}
        self._moved: dict[RowId, Spent] = {}
        self._left_behind: dict[tuple[str, int], BitMap] = {}
        self._sizes: dict[int, int] = {}
        self._retired: frozenset[int] = frozenset()
        self._selection: Selection | None = None
        self._trouble: LedgerError | None = None
        for task in schemas:
            self._load(task)
        self._reserve = Reserve(output.reserve, in_flight)
        self._reserve.hold()
        self.journal = Journal(output.journal, output.segments, make_room=self._reserve.give_up)
        self._twins = Twins(output.index, self._standings)

    # What is to do

    def plan(self, active: Sequence[Shard], retired: Iterable[int], moves: Iterable[Move] = ()) -> None:
        """From now on these shards are worked on.

        Retired ones keep what is settled; their rows that have moved are given up there, and what was spent on them
        counts at their new place.
        """
        self._sizes = {shard.number: shard.rows for shard in active}
        self._retired = frozenset(retired)
        self.take_moves(moves)
        for row, life in list(self._lives.items()):
            if row.shard in self._retired:
                if life.unusable is not None:
                    self.add(life.unusable)  # paid for there, and nobody will ask again there
                else:
                    self._leave(row.task, row.shard, BitMap([row.ordinal]))

    def take_moves(self, moves: Iterable[Move]) -> None:
        """What was spent on rows at their old places counts at the new ones, as long as these have no outcome."""
        moves = list(moves)
        for old, _ in (move.places for move in moves):
            self._left_behind.setdefault((old.task, old.shard), BitMap()).add(old.ordinal)
        self._moved.clear()
        for move in moves:
            new = move.places[1]
            if new.task in self.schemas and not self.left_behind(new) and not self._has_outcome(new):
                self._moved[new] = self._moved.get(new, Spent()).joined(move.spent)
        for (task, shard), ordinals in self._left_behind.items():
            if standing := self._standings.get((task, shard)):
                for ordinal in ordinals:
                    standing.give_up(ordinal)
            self._leave(task, shard, ordinals)

    def left_behind(self, row: RowId) -> bool:
        """Whether the row has moved to a newer shard, so that nothing said of it at this place matters any more."""
        return row.ordinal in self._left_behind.get((row.task, row.shard), ())

    def _leave(self, task: str, shard: int, ordinals: BitMap) -> None:
        """Nobody asks these rows at this place any more: their frames are no longer needed."""
        for ordinal in ordinals:
            self._lives.pop(RowId(task, shard, ordinal), None)
        self.journal.settle(task, shard, ordinals)

    def _has_outcome(self, row: RowId) -> bool:
        standing = self.standing(row.task, row.shard)
        return row.ordinal in standing.settled or row.ordinal in standing.failed

    def check(self, planned: Mapping[int, Shard]) -> None:
        """Every row that has an outcome must be planned. Raises LedgerError: rows would be doubled or mixed up."""
        rows = [*self._lives]
        rows += [
            RowId(task, shard, standing.settled.max())
            for (task, shard), standing in self._standings.items()
            if standing.settled
        ]
        for row in rows:
            if row.shard not in planned or row.ordinal >= planned[row.shard].rows:
                raise LedgerError(
                    f"{self._output.root} holds answers of shard {row.shard} that its plan in {self._output.plan} does "
                    "not know: files are missing there. Bring them back, or choose a new run.output."
                )

    def settled(self, task: str, shard: int) -> BitMap:
        """The rows of a shard that would not be asked again of this task if the shard were retired."""
        standing = self.standing(task, shard)
        held = standing.settled - BitMap(standing.to_try_again())
        for row, life in self._lives.items():
            if (row.task, row.shard) == (task, shard) and life.unusable is not None and not life.unusable.retryable:
                held.add(row.ordinal)
        return held

    def unsettled(self, task: str, shard: int) -> Mapping[int, Spent]:
        """The rows of a shard that are still to be asked although something was spent on them, and how much."""
        standing = self.standing(task, shard)
        held = self.settled(task, shard)
        rows = {*standing.to_try_again()}
        rows |= {row.ordinal for row in {*self._lives, *self._moved} if (row.task, row.shard) == (task, shard)}
        return {ordinal: self.life(RowId(task, shard, ordinal)).spent for ordinal in rows if ordinal not in held}

    def left(self, shard: Shard) -> int:
        """How many questions of this shard are still to be asked, in this run."""
        return sum(self._left(self.standing(task, shard.number), shard) for task in self._tasks(shard))

    def outstanding(self, shard: Shard, ordinal: int) -> tuple[str, ...]:
        """The tasks still to be asked of this row, in this run."""
        return tuple(
            task
            for task in self._tasks(shard)
            if ordinal not in self.standing(task, shard.number).settled
            and (self._selection is None or ordinal in self._selection.get((task, shard.number), ()))
        )

    def life(self, row: RowId) -> Life:
        """What earlier runs already did about this question."""
        if row in self._lives:
            return self._lives[row]
        standing = self.standing(row.task, row.shard)
        if row in self._moved and row.ordinal not in standing.failed:
            return Life(self._moved[row])
        return standing.life(row.ordinal)

    def twin(self, task: str, request_sha256: str) -> Outcome | None:
        """How an equal question has ended for good. A run about chosen failures shares answers alone."""
        return self._twins.find(task, request_sha256, answers_only=self._selection is not None)

    def retryable(self) -> int:
        """How many failures the next run would try again by itself."""
        return sum(
            len(standing.to_try_again()) for standing in self._standings.values() if standing.shard not in self._retired
        )

    # Trying chosen failures again

    def snapshots(self) -> Iterator[tuple[Standing, Path]]:
        """Every shard that has failures, and the file they stand in."""
        for standing in self._standings.values():
            if standing.snapshot is not None:
                yield standing, standing.snapshot.path

    def reopen(self, selection: Selection) -> None:
        """These failures are to be asked again, also those that are final."""
        for (task, shard), ordinals in selection.items():
            self.standing(task, shard).reopen(ordinals)

    def restrict(self, selection: Selection | None) -> None:
        """This run is about these rows alone; None ends that: what was reopened and not asked stands as it stood."""
        self._selection = selection
        if selection is None:
            for standing in self._standings.values():
                standing.close_again()

    # How an outcome becomes durable

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

    def shelve(self, row: RowId, life: Life) -> None:
        """This run leaves a question between two attempts; its frames stay in the journal."""
        self._lives[row] = life

    def add(self, outcome: Outcome) -> bool:
        """Take over a journaled outcome; True when a part or snapshot is due."""
        standing = self.standing(outcome.id.task, outcome.id.shard)
        standing.add(outcome)
        self._twins.note(outcome)
        self._lives.pop(outcome.id, None)
        self._moved.pop(outcome.id, None)
        return standing.part_due() or self._complete(standing)

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
        for standing in list(self._standings.values()):
            whole = everything or self._complete(standing)
            if whole or standing.part_due():
                for name, rows in standing.write_parts(self._output.scratch, self._run_id):
                    self._twins.committed(standing.task, name, rows)
                    ordinals = BitMap(row.id.ordinal for row in rows)
                    self.journal.settle(standing.task, standing.shard, ordinals - standing.awaiting_snapshot)
            if whole:
                failures = list(standing.failures.values())
                with self._twins.guard:
                    gone = standing.write_snapshot(self._output.scratch, self._run_id)
                self._twins.failed(standing.task, standing.snapshot, failures)
                self.journal.settle(standing.task, standing.shard, gone)

    def totals(self) -> dict[str, dict[str, dict[str, float]]]:
        """By task, over the life of the output: totals of `data`, of `failures` and, for what is between, `pending`.

        The first two are those of committed files; `pending` is the USD spent on rows that have no outcome yet.
        """
        result: dict[str, dict[str, dict[str, float]]] = {
            task: {"data": {}, "failures": {}, "pending": {}} for task in self.schemas
        }
        for standing in self._standings.values():
            pending = result[standing.task]["pending"]
            for ordinal in standing.given_up:  # its file still says what counts at the new place
                pending["cost_usd"] = pending.get("cost_usd", 0.0) - (standing.failed[ordinal].cost_usd or 0.0)
            for name, totals in standing.totals.items():
                kept = result[standing.task]["data" if name.startswith("part-") else "failures"]
                for key, value in totals.items():
                    kept[key] = kept.get(key, 0) + value
        for row in {**self._lives, **self._moved}:
            failed = self.standing(row.task, row.shard).failed.get(row.ordinal)
            spent = (self.life(row).spent.cost_usd or 0.0) - ((failed.cost_usd or 0.0) if failed else 0.0)
            pending = result[row.task]["pending"]
            pending["cost_usd"] = pending.get("cost_usd", 0.0) + spent
        return result

    def close(self) -> None:
        """Sync and close the journal; segments whose rows are all committed are deleted. Raises LedgerError."""
        try:
            self.journal.close()
        finally:
            self._twins.close()
            self._reserve.give_up()

    # Parts of it, for recovery

    def outcome(self, row: RowId) -> Outcome | None:
        """The row's outcome, from memory or from its committed file. Blocking. Raises LedgerError."""
        return self._twins.outcome(row)

    def tidy(self, warn: Callable[[int], None]) -> None:
        """Cover what the index of questions does not know yet, and delete superseded snapshots. Raises LedgerError."""
        self._twins.cover(warn)
        for standing in self._standings.values():
            for path in standing.superseded:
                path.unlink(missing_ok=True)
            standing.superseded.clear()

    def standing(self, task: str, shard: int) -> Standing:
        """How a task stands in a shard."""
        found = self._standings.get((task, shard))
        if found is None:
            found = Standing(task, shard, self.schemas[task], self._output.data(task), self._output.failures(task))
            self._standings[task, shard] = found
        return found

    def _load(self, task: str) -> None:
        data: dict[int, list[parts.Part]] = {}
        snapshots: dict[int, list[parts.Part]] = {}
        for part in parts.list_data(self._output.data(task)):
            data.setdefault(part.shard, []).append(part)
        for part in parts.list_snapshots(self._output.failures(task)):
            snapshots.setdefault(part.shard, []).append(part)
        for shard in sorted({*data, *snapshots}):
            self.standing(task, shard).load(data.get(shard, []), snapshots.get(shard, []))

    def _left(self, standing: Standing, shard: Shard) -> int:
        if self._selection is None:
            return shard.rows - len(standing.settled)
        return len(self._selection.get((standing.task, standing.shard), BitMap()) - standing.settled)

    def _tasks(self, shard: Shard) -> tuple[str, ...]:
        return tuple(task for task in self.schemas if shard.tasks is None or task in shard.tasks)

    def _complete(self, standing: Standing) -> bool:
        return len(standing.settled) == self._sizes.get(standing.shard)
