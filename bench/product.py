"""The real command over a folder or a listing, in a fresh output, as anybody would start it."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.process import BrokenError, Cost, measured
from bench.server import Counts, Server

COMMAND = [sys.executable, "-m", "pipeline"]


@dataclass(frozen=True, slots=True)
class Job:
    """One run: `pictures` is a folder, or a listing with the columns `id` and `title`, which is quoted to the model."""

    pictures: Path
    concurrency: int
    bytes_in_flight: str


def run(job: Job, n: int, server: Server, place: Path, chosen: set[int] | None = None) -> tuple[Cost, Counts]:
    """Ask about the first `n` pictures. Raises BrokenError when the run fails or the server saw another number."""
    out, config, listing = place / "out", place / "job.toml", job.pictures.is_file()
    shutil.rmtree(out, ignore_errors=True)
    config.write_text(
        f"""
[run]
output = {json.dumps(str(out))}
[manifest]
path = {json.dumps(str(job.pictures))}
{'key = "id"' * listing}
[provider]
dialect = "generic"
base_url = "{server.base_url}"
model = "bench"
[[tasks]]
kind = "caption"
context = {json.dumps(["title"] * listing)}
[limits]
concurrency = {job.concurrency}
bytes_in_flight = "{job.bytes_in_flight}"
"""
    )
    server.counts()
    cost = measured([*COMMAND, "run", str(config), "--limit", str(n)], chosen)
    counts = server.counts()
    if counts.answers != n:
        raise BrokenError(f"{n} questions, but the server answered {counts.answers}")
    return cost, counts
