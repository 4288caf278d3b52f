"""Plans a long manifest, then the same in another order; prints what it took.

    python -m tests.manifests.rewritten listing ROWS FOLDER      half is done; then 1 % is new and 1 % is gone
    python -m tests.manifests.rewritten parquet ROWS FOLDER      all is done; then every address is signed anew, 1 % new

A process of its own, so that its peak memory is the planner's.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyroaring import BitMap

from pipeline.core.outcomes import Spent
from pipeline.manifests.comparison import NothingAsked
from pipeline.manifests.generation import SHARD_ROWS
from pipeline.manifests.growth import grow_plan
from pipeline.manifests.plan import Plan, PlannedManifest, load_plan
from pipeline.manifests.unit import Unit
from tests.manifests.pages import only

STRIDE = 700_001
"""Has no divisor in common with a power of ten: its multiples visit each of so many rows once."""


STEP = 20_000


class AllRows(NothingAsked):
    """Every row is settled."""

    def settled(self, task: str, shard: int) -> BitMap:
        return BitMap(range(SHARD_ROWS))


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


def write_signed(path: Path, rows: int, night: int) -> None:
    """Addresses that are valid for a night, in an order of that night."""
    schema = pa.schema([("URL", pa.string()), ("TEXT", pa.string())])
    day = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=202611{night:02}T000000Z"
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, STEP):
            pictures = [(number * STRIDE + night) % rows for number in range(first, min(rows, first + STEP))]
            urls = [f"{picture_url(number)}?{day}&X-Amz-Signature={number * night:064x}" for number in pictures]
            writer.write_table(pa.table([urls, ["a picture"] * len(urls)], schema=schema))


def picture_url(number: int) -> str:
    return f"https://bucket.s3.amazonaws.com/pictures/{number:09}.jpg"


def listing(rows: int, folder: Path) -> dict[str, float]:
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
    return {"peak_mb": peak, "first_s": round(first, 1), "grown_s": round(grown, 1)}


def parquet(rows: int, folder: Path) -> dict[str, float]:
    plan_folder, scratch, path = folder / "plan", folder / "tmp", folder / "train.parquet"
    write_signed(path, rows, 1)
    started = time.process_time()
    grow_plan(load_plan(plan_folder), [only(path)], ["caption"], NothingAsked(), scratch)
    first = time.process_time() - started

    new = rows // 100
    write_signed(path, rows + new, 2)
    unit = only(path)
    started = time.process_time()
    plan = grow_plan(load_plan(plan_folder), [unit], ["caption"], AllRows(), scratch)
    grown = time.process_time() - started
    peak = peak_mb()
    source = PlannedManifest(plan, {unit.name: unit})
    asked = [row for shard in source.shards for row in source.scan(shard)]
    assert sorted(row.key for row in asked) == [picture_url(number) for number in range(rows, rows + new)]
    assert all("Date=20261102T" in (row.url or "") for row in asked), "fetched by tonight's address"
    assert (plan.new_rows, plan.vanished) == (new, 0)
    return {"peak_mb": peak, "first_s": round(first, 1), "grown_s": round(grown, 1), "to_do": len(asked)}


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
    kind = {"listing": listing, "parquet": parquet}[sys.argv[1]]
    print(json.dumps(kind(int(sys.argv[2]), Path(sys.argv[3]))))
