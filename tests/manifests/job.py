"""An output's plan over many runs, with a ledger that only remembers what it is told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.core.outcomes import Spent
from pipeline.core.types import RowId
from pipeline.manifests.duplicates import OnDuplicateKey
from pipeline.manifests.growth import grow_plan
from pipeline.manifests.plan import Plan, load_plan
from pipeline.manifests.unit import Unit

Todo = list[tuple[str, str]]
QUARTER = Spent(2, 1, 0.25)


class Job:
    """What has been planned, settled and spent. It goes on telling of places whose rows have moved away."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.on_duplicate_key: OnDuplicateKey = "error"
        self.keep: tuple[str, ...] = ()
        self.done: dict[tuple[str, int], set[int]] = defaultdict(set)
        self.spent: dict[RowId, Spent] = {}
        self.reopened: set[tuple[str, int]] = set()
        self.plan = load_plan(root / "plan")

    def run(self, units: Sequence[Unit], *tasks: str) -> Plan:
        """The plan that a new process makes of today's manifest and tasks."""
        self.tasks = tasks or ("caption",)
        before = load_plan(self.root / "plan")
        self.plan = grow_plan(
            before, units, self.tasks, self, self.root / "tmp", self.reopened, self.on_duplicate_key, self.keep
        )
        self.reopened = {(task, shard) for task, shard in self.reopened if task not in self.tasks}
        return self.plan

    # The standings

    def settled(self, task: str, shard: int) -> set[int]:
        return self.done[task, shard]

    def unsettled(self, task: str, shard: int) -> dict[int, Spent]:
        known = {*self.spent, *(RowId(move.task, move.to_shard, move.to_ordinal) for move in self.plan.moved)}
        here = [row for row in known if (row.task, row.shard) == (task, shard)]
        return {row.ordinal: self.account(row) for row in here if row.ordinal not in self.done[task, shard]}

    def account(self, row: RowId) -> Spent:
        """What was spent on a row here and at the places that it came from."""
        brought = [move.spent for move in self.plan.moved if RowId(move.task, move.to_shard, move.to_ordinal) == row]
        return total(self.spent.get(row, Spent()), *brought)

    # What happens between two plannings

    def places(self) -> Iterator[tuple[tuple[str, str], RowId]]:
        """Every question still to be asked, as (key, task), in the order of the shards."""
        for shard in self.plan.active:
            for row in self.plan.placed(shard.number):
                for task in self.tasks:
                    asked = shard.tasks is None or task in shard.tasks
                    if asked and row.ordinal not in self.done[task, shard.number]:
                        yield (row.key, task), RowId(task, shard.number, row.ordinal)

    def todo(self) -> Todo:
        return [question for question, _ in self.places()]

    def settle(self, *questions: tuple[str, str]) -> None:
        for question, row in list(self.places()):
            if question in questions:
                self.done[row.task, row.shard].add(row.ordinal)

    def spend(self, spent: Spent, *questions: tuple[str, str]) -> None:
        for question, row in list(self.places()):
            if question in questions:
                self.spent[row] = total(self.spent.get(row, Spent()), spent)

    def reopen(self, *questions: tuple[str, str]) -> None:
        """Rows that ended are to be asked again, wherever they stand."""
        for shard in self.plan.shards:
            for row in self.plan.placed(shard):
                for key, task in questions:
                    if key == row.key and row.ordinal in self.done[task, shard]:
                        self.done[task, shard].remove(row.ordinal)
                        self.spent.setdefault(RowId(task, shard, row.ordinal), Spent())
                        self.reopened.add((task, shard))

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.root / "plan").iterdir())


def total(*parts: Spent) -> Spent:
    costs = [spent.cost_usd for spent in parts]
    known = [cost for cost in costs if cost is not None]
    return Spent(
        sum(spent.attempts for spent in parts),
        sum(spent.answers for spent in parts),
        sum(known) if len(known) == len(costs) else None,
    )


def images(*names: str) -> list[dict[str, str]]:
    return [{"image": name} for name in names]


def captions(*names: str) -> Todo:
    return [(name, "caption") for name in names]
