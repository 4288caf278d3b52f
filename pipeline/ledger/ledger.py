"""The ledger of one output: what is done, what is to do, and the one way for an outcome to become durable.

    append (the kernel has it) -> sync (the disk has it) -> add (it waits) -> commit (a part or snapshot holds it)

Opening an output, after a clean end or after a kill, is one path: read the footers, replay the journal, go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyroaring import BitMap

from pipeline.core.errors import LedgerError
from pipeline.core.types import Failure, Frame, Life, Outcome, RowId, Shard, Spent
from pipeline.ledger import parts
from pipeline.ledger.journal import Journal
from pipeline.ledger.output import Output
from pipeline.ledger.schema import TaskSchema
from pipeline.ledger.standing import Standing, may_pass

Settle = Callable[[Frame, Life], Life]
"""How one more frame changes where a question stands; the engine's, the same live and in recovery."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What opening found in the journal: `frames` read, `restored` outcomes taken over, segments with a hole."""

    frames: int
    restored: int
    damaged: tuple[str, ...]


class OutputLedger:
    """Implements the engine's port over an output folder. Made by `open_ledger` under the output's lock."""

    def __init__(self, output: Output, schemas: Mapping[str, TaskSchema], run_id: str) -> None:
        self._output = output
        self._schemas = schemas
        self._run_id = run_id
        self._journal = Journal(output.journal)
        self._standings: dict[tuple[str, int], Standing] = {}
        self._lives: dict[RowId, Life] = {}
        self._sizes: dict[int, int] = {}
        self._retired: frozenset[int] = frozenset()
        for task in schemas:
            self._load(task)

    # What is to do

    def plan(self, active: Sequence[Shard], retired: Iterable[int]) -> None:
        """From now on these shards are worked on; retired ones keep what is settled and give up the rest."""
        self._sizes = {shard.number: shard.rows for shard in active}
        self._retired = frozenset(retired)
        for row, life in list(self._lives.items()):
            if row.shard in self._retired and life.unusable is not None:
                del self._lives[row]
                self.add(life.unusable)  # kept as what it is where it was paid for, else given up with the rest

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
        standing = self._standing(task, shard)
        held = standing.settled - standing.passing()
        for row, life in self._lives.items():
            if (row.task, row.shard) == (task, shard) and life.unusable is not None and not may_pass(life.unusable):
                held.add(row.ordinal)
        return held

    def unsettled(self, task: str, shard: int) -> dict[int, Spent]:
        """The rows of a shard on which something was spent and that are to be tried again."""
        retryable = self._standing(task, shard).retryable
        return {ordinal: Spent(row.attempts, 0, row.cost_usd) for ordinal, row in retryable.items()}

    def left(self, shard: Shard) -> int:
        """How many questions of this shard are still to be asked."""
        return sum(shard.rows - len(self._standing(task, shard.number).settled) for task in self._tasks(shard))

    def outstanding(self, shard: Shard, ordinal: int) -> tuple[str, ...]:
        """The tasks still to be asked of this row."""
        return tuple(task for task in self._tasks(shard) if ordinal not in self._standing(task, shard.number).settled)

    def life(self, row: RowId) -> Life:
        """What earlier runs already did about this question."""
        found = self._lives.get(row)
        return found if found is not None else self._standing(row.task, row.shard).life(row.ordinal)

    def retryable(self) -> int:
        """How many failures the next run would try again by itself."""
        return sum(
            len(standing.retryable) for standing in self._standings.values() if standing.shard not in self._retired
        )

    def totals(self) -> dict[str, dict[str, dict[str, float]]]:
        """By task, over the life of the output and committed files only: totals of `data` and of `failures`."""
        result: dict[str, dict[str, dict[str, float]]] = {task: {"data": {}, "failures": {}} for task in self._schemas}
        for standing in self._standings.values():
            for name, totals in standing.totals.items():
                kept = result[standing.task]["data" if name.startswith("part-") else "failures"]
                for key, value in totals.items():
                    kept[key] = kept.get(key, 0) + value
        return result

    # How an outcome becomes durable

    def append(self, frame: Frame) -> None:
        """Hand the frame to the kernel, now. Raises LedgerError."""
        self._journal.append(frame)

    def unsynced(self) -> int:
        """Frames appended and not yet known to be on the disk."""
        return self._journal.unsynced()

    def sync(self) -> int:
        """Bring appended frames to the disk; how many are safe. Raises LedgerError."""
        return self._journal.sync()

    def add(self, outcome: Outcome) -> bool:
        """Take over a journaled outcome; True when a part or snapshot is due."""
        standing = self._standing(outcome.id.task, outcome.id.shard)
        standing.add(outcome)
        self._lives.pop(outcome.id, None)
        return standing.part_due() or self._complete(standing)

    def commit(self, *, everything: bool = False) -> None:
        """Write the parts and snapshots that are due, or all. Raises LedgerError."""
        for standing in list(self._standings.values()):
            whole = everything or self._complete(standing)
            if whole or standing.part_due():
                for ordinals in standing.write_parts(self._output.scratch, self._run_id):
                    self._journal.settle(standing.task, standing.shard, ordinals)
            if whole:
                retired = standing.shard in self._retired
                ordinals = standing.write_snapshot(self._output.scratch, self._run_id, retired=retired)
                self._journal.settle(standing.task, standing.shard, ordinals)

    def close(self) -> None:
        """Sync and close the journal; segments whose rows are all committed are deleted. Raises LedgerError."""
        self._journal.close()

    # The way back

    def recover(self, settle: Settle) -> Recovery:
        """Replay what earlier runs journaled and did not commit. Raises LedgerError."""
        frames = 0
        lives: dict[RowId, Life] = {}
        stale: dict[tuple[str, int], BitMap] = {}
        damaged = []
        for path, item in self._journal.replay():
            if not isinstance(item, Frame):
                if item.damaged:
                    damaged.append(str(path))
                continue
            frames += 1
            if item.row.task not in self._schemas:
                continue  # the task is not configured today; its answers stay in the journal until it is
            standing = self._standing(item.row.task, item.row.shard)
            if standing.accounted(item.row.ordinal, item.attempts, item.received_at):
                stale.setdefault((item.row.task, item.row.shard), BitMap()).add(item.row.ordinal)
                continue
            life = lives.get(item.row) or standing.life(item.row.ordinal)
            if isinstance(life.outcome, Failure) and may_pass(life.outcome):
                life = Life(life.spent)  # a later run has tried again
            if life.outcome is None:
                lives[item.row] = settle(item, life)
        for (task, shard), ordinals in stale.items():
            alive = BitMap(row.ordinal for row in lives if (row.task, row.shard) == (task, shard))
            self._journal.settle(task, shard, ordinals - alive)
        restored = 0
        for row, life in lives.items():
            if life.outcome is not None:
                self.add(life.outcome)
                restored += 1
            else:
                self._lives[row] = life
        return Recovery(frames, restored, tuple(damaged))

    def _load(self, task: str) -> None:
        data: dict[int, list[parts.Part]] = {}
        snapshots: dict[int, list[parts.Part]] = {}
        for part in parts.list_data(self._output.data(task)):
            data.setdefault(part.shard, []).append(part)
        for part in parts.list_snapshots(self._output.failures(task)):
            snapshots.setdefault(part.shard, []).append(part)
        for shard in sorted({*data, *snapshots}):
            self._standing(task, shard).load(data.get(shard, []), snapshots.get(shard, []))

    def _standing(self, task: str, shard: int) -> Standing:
        found = self._standings.get((task, shard))
        if found is None:
            found = Standing(task, shard, self._schemas[task], self._output.data(task), self._output.failures(task))
            self._standings[task, shard] = found
        return found

    def _tasks(self, shard: Shard) -> tuple[str, ...]:
        return tuple(task for task in self._schemas if shard.tasks is None or task in shard.tasks)

    def _complete(self, standing: Standing) -> bool:
        return len(standing.settled) == self._sizes.get(standing.shard)


def open_ledger(
    output: Output, schemas: Mapping[str, TaskSchema], run_id: str, settle: Settle
) -> tuple[OutputLedger, Recovery]:
    """Open an output under its lock: footers, then journal. Raises LedgerError."""
    output.clear_scratch()
    ledger = OutputLedger(output, schemas, run_id)
    return ledger, ledger.recover(settle)
