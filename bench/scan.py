"""Plans a manifest and reads every planned row, as a run does before anything is fetched; prints what it took.

python -m bench.scan MANIFEST FOLDER [COLUMN ...]     columns are kept; FOLDER gets the plan
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench.process import peak_bytes
from pipeline.manifests.comparison import NothingAsked
from pipeline.manifests.growth import grow_plan
from pipeline.manifests.open import open_manifest
from pipeline.manifests.plan import PlannedManifest, load_plan
from pipeline.memory import give_back_pictures


def _main(manifest: str, folder: Path, keep: tuple[str, ...]) -> None:
    started = time.process_time()
    units = open_manifest([manifest], keep=keep, avoid=folder)
    plan = grow_plan(load_plan(folder / "plan"), units, ["caption"], NothingAsked(), folder / "scratch")
    planned = time.process_time()
    plan_peak = peak_bytes()
    give_back_pictures()
    source = PlannedManifest(plan, {unit.name: unit for unit in units})
    rows = size = problems = 0
    for shard in source.shards:
        for row in source.scan(shard):
            rows, size, problems = rows + 1, size + len(row.data or b""), problems + (row.problem is not None)
    found = {
        "rows": rows,
        "bytes": size,
        "problems": problems,
        "plan_s": planned - started,
        "scan_s": time.process_time() - planned,
        "plan_peak_bytes": plan_peak,
        "peak_bytes": peak_bytes(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), tuple(sys.argv[3:]))
