"""What stands where in an output: every committed file in short, and every question that is not ended yet.

Only reads. `ledger.py` is the book of a run, which also writes; a look at another process's output needs this alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pyroaring import BitMap

from pipeline.core.errors import LedgerError
from pipeline.core.outcomes import Life, Move, Outcome, Spent
from pipeline.core.types import RowId, Shard
from pipeline.ledger import parts
from pipeline.ledger.output import Output
from pipeline.ledger.reading import RecentTables, as_written, outcome_of
from pipeline.ledger.schema import TaskSchema
from pipeline.ledger.standing import Standing

Selection = Mapping[tuple[str, int], BitMap]
"""By (task, shard): the rows that a run is about."""


class Book:
    """The standings of an output's tasks, by shard, and the lives of questions between two attempts."""

    def __init__(self, output: Output, schemas: Mapping[str, TaskSchema]) -> None:
        """Read every footer. Raises LedgerError: files that cannot be read or contradict each other."""
        self.output = output
        self.schemas = schemas
        self.standings: dict[tuple[str, int], Standing] = {}
        self._lives: dict[RowId, Life] = {}
        self._moved: dict[RowId, Spent] = {}
        self._left_behind: dict[tuple[str, int], BitMap] = {}
        self._sizes: dict[int, int] = {}
        self._retired: frozenset[int] = frozenset()
        self._selection: Selection | None = None
        self._tables = RecentTables()
        for task in schemas:
            self._load(task)

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
            if standing := self.standings.get((task, shard)):
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

    def _has_outcome(self, row: RowId) -> bool:
        standing = self.standing(row.task, row.shard)
        return row.ordinal in standing.settled or row.ordinal in standing.failed

    def check(self, planned: Mapping[int, Shard]) -> None:
        """Every row that has an outcome must be planned. Raises LedgerError: rows would be doubled or mixed up."""
        rows = [*self._lives]
        rows += [
            RowId(task, shard, ordinals.max())
            for (task, shard), standing in self.standings.items()
            if (ordinals := standing.settled | BitMap(standing.failed))
        ]
        for row in rows:
            if row.shard not in planned or row.ordinal >= planned[row.shard].rows:
                raise LedgerError(
                    f"{self.output.root} holds answers of shard {row.shard} that its plan in {self.output.plan} does "
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

    def waits(self, row: RowId) -> bool:
        """Whether this question stands between two attempts: what is known of it is in the journal alone."""
        return row in self._lives

    def retryable(self) -> int:
        """How many failures the next run would try again by itself."""
        return sum(
            len(standing.to_try_again()) for standing in self.standings.values() if standing.shard not in self._retired
        )

    # Trying chosen failures again

    def snapshots(self) -> Iterator[tuple[Standing, Path]]:
        """Every shard that has failures, and the file they stand in."""
        for standing in self.standings.values():
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
            for standing in self.standings.values():
                standing.close_again()

    # What has become of a question

    def add(self, outcome: Outcome) -> bool:
        """Take over a journaled outcome; True when its shard has no question left or a part is full."""
        standing = self.standing(outcome.id.task, outcome.id.shard)
        standing.add(outcome)
        self._lives.pop(outcome.id, None)
        self._moved.pop(outcome.id, None)
        return standing.part_due() or self._complete(standing)

    def shelve(self, row: RowId, life: Life) -> None:
        """A question is left between two attempts; its frames stay in the journal."""
        self._lives[row] = life

    def outcome(self, row: RowId) -> Outcome | None:
        """The row's outcome, from memory or from its committed file. Blocking. Raises LedgerError."""
        standing = self.standings.get((row.task, row.shard))
        if standing is None:
            return None
        waiting = standing.rows.get(row.ordinal) or standing.failures.get(row.ordinal)
        if waiting is not None:
            return waiting
        path = next((path for path, ordinals in list(standing.committed) if row.ordinal in ordinals), None)
        if path is None and row.ordinal in standing.failed and standing.snapshot is not None:
            path = standing.snapshot.path
        values = self._tables.row(path, row.ordinal) if path is not None else None
        if values is None:
            return None
        return outcome_of(row.task, as_written(standing.schema, list(values)), values)

    def totals(self) -> dict[str, dict[str, dict[str, float]]]:
        """By task, over the life of the output: totals of `data`, of `failures` and, for what is between, `pending`.

        The first two are those of committed files; `pending` is the USD spent on rows whose outcome is not committed,
        less what stands in a file that another supersedes.
        """
        result: dict[str, dict[str, dict[str, float]]] = {
            task: {"data": {}, "failures": {}, "pending": {}} for task in self.schemas
        }
        for standing in self.standings.values():
            pending = result[standing.task]["pending"]
            counted_twice = sum(map(standing.spent_before, standing.given_up | standing.awaiting_snapshot))
            waiting: list[Outcome] = [*standing.rows.values(), *standing.failures.values()]
            more: float = sum(
                (item.envelope.cost_usd or 0.0) - standing.spent_before(item.id.ordinal) for item in waiting
            )
            if more or counted_twice:
                pending["cost_usd"] = pending.get("cost_usd", 0.0) + more - counted_twice
            for name, totals in standing.totals.items():
                kept = result[standing.task]["data" if name.startswith("part-") else "failures"]
                for key, value in totals.items():
                    kept[key] = kept.get(key, 0) + value
        for row in {**self._lives, **self._moved}:
            before = self.standing(row.task, row.shard).spent_before(row.ordinal)
            spent = (self.life(row).spent.cost_usd or 0.0) - before
            pending = result[row.task]["pending"]
            pending["cost_usd"] = pending.get("cost_usd", 0.0) + spent
        return result

    def unpriced(self) -> int:
        """How many rows have had answers whose price is not known."""
        standings = self.standings.values()
        committed = [totals.get("unpriced", 0) for standing in standings for totals in standing.totals.values()]
        costs = [life.spent.cost_usd for life in self._lives.values()]
        for standing in standings:
            costs += [row.envelope.cost_usd for row in standing.rows.values()]
            costs += [failure.envelope.cost_usd for failure in standing.failures.values()]
        return int(sum(committed)) + costs.count(None)

    def standing(self, task: str, shard: int) -> Standing:
        """How a task stands in a shard."""
        found = self.standings.get((task, shard))
        if found is None:
            found = Standing(task, shard, self.schemas[task], self.output.data(task), self.output.failures(task))
            self.standings[task, shard] = found
        return found

    def _load(self, task: str) -> None:
        data: dict[int, list[parts.Part]] = {}
        snapshots: dict[int, list[parts.Part]] = {}
        for part in parts.list_data(self.output.data(task)):
            data.setdefault(part.shard, []).append(part)
        for part in parts.list_snapshots(self.output.failures(task)):
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
