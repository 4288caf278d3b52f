"""Plans and reads one hostile manifest in a process of its own, and prints what came of it and what it took.

python -m tests.manifests.weighed PATH [OPTIONS AS JSON]
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pipeline.core.errors import ManifestError
from pipeline.manifests.unit import Placed
from tests.manifests.pages import opened
from tests.manifests.rewritten import peak_mb

ROOT = Path(__file__).parents[2]


def weighed(path: Path | str, **options: Any) -> dict[str, Any]:
    """`error` (the one line that ended it), else `rows` planned and `problems` by kind; peak `mb` and CPU `seconds`."""
    command = [sys.executable, "-m", "tests.manifests.weighed", str(path), json.dumps(options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(path, found)
    return found


def main(path: str, options: dict[str, Any]) -> None:
    before, started = peak_mb(), time.process_time()
    found: dict[str, Any] = {"rows": 0, "read": 0, "problems": {}, "longest_key": 0}
    try:
        for unit in opened(path, **options):
            for row in unit.rows():
                found["rows"] += 1
                found["longest_key"] = max(found["longest_key"], len(row.key))
            kept = unit.columns()
            placed = (Placed(number, row.key, row.ref) for number, row in enumerate(unit.rows()))
            for read in unit.read(1, placed, kept):
                found["read"] += 1
                if read.problem is not None:
                    kind = read.problem.kind
                    found["problems"][kind] = found["problems"].get(kind, 0) + 1
                    found["last_problem"] = str(read.problem)[:500]
    except ManifestError as error:
        found["error"] = str(error)
    found |= {"mb": peak_mb() - before, "seconds": time.process_time() - started}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
