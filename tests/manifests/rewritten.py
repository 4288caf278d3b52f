"""Plans a long listing, then, half done, the same in another order with 1 % new and 1 % gone; prints what it took.

    python -m tests.manifests.rewritten ROWS FOLDER

A process of its own, so that its peak memory is the planner's.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from pyroaring import BitMap

from pipeline.core.types import Spent
from pipeline.manifests.comparison import NothingAsked
from pipeline.manifests.generation import SHARD_ROWS
from pipeline.manifests.growth import grow_plan
from pipeline.manifests.plan import Plan, PlannedManifest, load_plan
from pipeline.manifests.unit import Unit
from tests.manifests.pages import only

STRIDE = 700_001
"""Has no divisor in common with a power of ten: its multiples visit each of so many rows once."""


class EvenRows:
    """Every other row is settled, and every thousandth has cost something."""

    def settled(self, task: str, shard: int) -> BitMap:
        return BitMap(range(0, SHARD_ROWS, 2))

    def unsettled(self, task: str, shard: int) -> dict[int, Spent]:
        return {ordinal: Spent(1, 1, 0.5) for ordinal in range(1, SHARD_ROWS, 1000)}


def write(page: Path, first: int, rows: int) -> None:
    with page.open("w") as file:
        for number in range(rows):
            picture = first + number * STRIDE % rows
            file.write(f'{{"image": "pictures/{picture}.jpg", "key": "{picture}"}}\n')


def main(rows: int, folder: Path) -> None:
    plan_folder, scratch, page = folder / "plan", folder / "tmp", folder / "train.jsonl"
    write(page, 0, rows)
    started = time.process_time()
    grow_plan(load_plan(plan_folder), [only(page, key="key")], ["caption"], NothingAsked(), scratch)
    first = time.process_time() - started

    write(page, rows // 100, rows)
    unit = only(page, key="key")
    started = time.process_time()
    plan = grow_plan(load_plan(plan_folder), [unit], ["caption"], EvenRows(), scratch)
    grown = time.process_time() - started
    peak = peak_mb()
    check(plan, unit, rows)
    print(json.dumps({"peak_mb": peak, "first_s": round(first, 1), "grown_s": round(grown, 1)}))


def peak_mb() -> int:
    """The most memory that this program has held. On Linux `ru_maxrss` would tell the parent's if that held more."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) // 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (2**20 if sys.platform == "darwin" else 2**10)


def check(plan: Plan, unit: Unit, rows: int) -> None:
    new, gone = range(rows, rows + rows // 100), range(rows // 100)
    undone = BitMap(int(key) for shard in sorted(plan.retired) for key in plan.keys(shard)[1::2])
    asked = BitMap()
    source = PlannedManifest(plan, {unit.name: unit})
    for shard in source.shards:
        for row in source.scan(shard):  # raises when a row's place leads to another key
            assert row.uri == f"pictures/{row.key}.jpg"
            assert int(row.key) not in asked
            assert row.problem is None
            asked.add(int(row.key))
    assert asked == (undone | BitMap(new)) - BitMap(gone)
    assert (plan.new_rows, plan.vanished) == (len(asked), len(gone))

    spent = [key for shard in sorted(plan.retired) for key in plan.keys(shard)[1::1000] if int(key) not in gone]
    keys = {shard: plan.keys(shard) for shard in {move.to_shard for move in plan.moved}}
    assert sorted(keys[move.to_shard][move.to_ordinal] for move in plan.moved) == sorted(spent)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
