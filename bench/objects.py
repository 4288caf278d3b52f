"""M3: what a picture in an object store costs to fetch, over the bare client underneath."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from statistics import median

from bench.fetching import BYTES
from bench.process import BrokenError, Cost, cores, measured
from bench.server import Counts, Server
from bench.table import Figure

_FEW = 8
"""Objects of the run whose CPU is taken off: start-up."""
_AT_ONCE = 64
_GOAL_MS = 0.5


def fetched(place: Path, *, quick: bool) -> list[Figure]:
    """M3."""
    del place
    n, rounds = (50, 1) if quick else (2_000, 5)
    server_core, client_core = cores()
    with Server(server_core, BYTES) as server:
        os.environ |= {
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_REGION": "us-east-1",
        }

        def run(who: str, count: int) -> tuple[Cost, Counts]:
            server.counts()
            command = [sys.executable, "-m", "bench.fetching", who, str(count), str(_AT_ONCE)]
            cost = measured(command, {client_core})
            counts = server.counts()
            if counts.answers != count:
                raise BrokenError(f"{count} objects were fetched; the server gave {counts.answers}")
            return cost, counts

        def round_of(who: str) -> tuple[float, float]:
            few, (many, counts) = run(who, _FEW)[0], run(who, n)
            return (many.cpu_s - few.cpu_s) * 1000 / (n - _FEW), counts.per_second

        for who in ("ours", "bare"):
            run(who, _FEW)  # compiles modules and fills the disk's cache
        mine, theirs = zip(*((round_of("ours"), round_of("bare")) for _ in range(rounds)), strict=True)
    what = f"objects of {BYTES // 1000} KB, {_AT_ONCE} at once, against obstore alone"
    return [
        Figure("M3", f"CPU, {what}", "ms an object", _middle(mine, 0), _middle(theirs, 0), _GOAL_MS),
        Figure("M3", "  fetched", "a second", _middle(mine, 1), _middle(theirs, 1)),
    ]


def _middle(rounds: tuple[tuple[float, float], ...], which: int) -> float:
    return median(one[which] for one in rounds)
