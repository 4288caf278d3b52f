"""Plans a long Parquet file of addresses, or reads one of many pictures; prints the peak memory.

    python -m tests.manifests.heavy_parquet addresses ROWS FOLDER
    python -m tests.manifests.heavy_parquet pictures MEGABYTES FOLDER

The file is written by a child, so that the peak is the reader's.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.manifests.comparison import NothingAsked
from pipeline.manifests.growth import grow_plan
from pipeline.manifests.plan import PlannedManifest, load_plan
from tests.manifests.pages import only
from tests.manifests.rewritten import peak_mb

STEP = 100_000
PICTURE = 100_000
GROUP = 100
"""Pictures in a row group, as `datasets` writes them."""


def tables(kind: str, amount: int) -> Iterator[pa.Table]:
    if kind == "addresses":
        for first in range(0, amount, STEP):
            urls = [
                f"https://images{n % 97}.example.org/collection/{n * 7919:012}.jpg?w=1024"
                for n in range(first, first + STEP)
            ]
            yield pa.table(
                {"URL": urls, "TEXT": ["a picture of something"] * STEP, "n": list(range(first, first + STEP))}
            )
        return
    pictures = [random.Random(number).randbytes(PICTURE) for number in range(amount * 10)]
    yield pa.table({"image": [{"bytes": data, "path": f"{number}.jpg"} for number, data in enumerate(pictures)]})


def write(kind: str, amount: int, path: Path) -> None:
    writer = None
    for table in tables(kind, amount):
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=STEP if kind == "addresses" else GROUP)
    assert writer is not None
    writer.close()


def main(kind: str, amount: int, folder: Path) -> None:
    path = folder / "t.parquet"
    subprocess.run(
        [sys.executable, "-m", "tests.manifests.heavy_parquet", f"write-{kind}", str(amount), str(folder)], check=True
    )
    started = time.process_time()
    unit = only(path, keep=("n",) if kind == "addresses" else ())
    plan = grow_plan(load_plan(folder / "plan"), [unit], ["caption"], NothingAsked(), folder / "tmp")
    planned = time.process_time() - started
    rows = size = 0
    source = PlannedManifest(plan, {unit.name: unit})
    for shard in source.shards if kind == "pictures" else source.shards[-1:]:
        for row in source.scan(shard):
            rows, size = rows + 1, size + len(row.data or b"")
    assert rows == (amount * 10 if kind == "pictures" else 20_000)
    assert size == (amount * 10 * PICTURE if kind == "pictures" else 0)
    print(
        json.dumps(
            {"peak_mb": peak_mb(), "planned_s": round(planned, 1), "all_s": round(time.process_time() - started, 1)}
        )
    )


if __name__ == "__main__":
    if sys.argv[1].startswith("write-"):
        write(sys.argv[1].removeprefix("write-"), int(sys.argv[2]), Path(sys.argv[3]) / "t.parquet")
    else:
        main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
