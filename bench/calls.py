"""W1 and W2: what a small picture costs from file to Parquet, over a client that only posts. S: how soon it starts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import pictures
from bench.process import ROOT, BrokenError, Cost, cores, measured
from bench.product import COMMAND, Job, run
from bench.server import Counts, Server
from bench.table import Figure

_FEW = 8
"""Pictures of the run whose CPU is taken off: start-up, and what ends every run."""
_ORIGINALS = 16
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class _Load:
    """So many pictures of `size` bytes, `width x height`, so many requests at once; goals in ms of CPU and MB."""

    name: str
    size: int
    width: int
    height: int
    concurrency: int
    n: int
    rounds: int
    bytes_in_flight_mib: int
    goal_ms: float


_W1 = _Load("W1", 2_048, 64, 48, 256, 12_000, 3, 8, 0.35)  # more rows than a part holds
_W2 = _Load("W2", 100_000, 800, 600, 128, 1_500, 5, 64, 0.55)
_BASE_MB = 150
"""The goal for memory besides the bytes in flight."""


def text_sized(place: Path, *, quick: bool) -> list[Figure]:
    """W1."""
    return _compared(_W1, place, quick=quick)


def ordinary(place: Path, *, quick: bool) -> list[Figure]:
    """W2."""
    return _compared(_W2, place, quick=quick)


def _compared(load: _Load, place: Path, *, quick: bool) -> list[Figure]:
    n, rounds = (200, 1) if quick else (load.n, load.rounds)
    folder = place / "pictures"
    originals = [pictures.sized_photograph(seed, load.width, load.height, load.size) for seed in range(_ORIGINALS)]
    pictures.write_copies(folder, originals, n)
    job = Job(folder, load.concurrency, f"{load.bytes_in_flight_mib} MiB")
    server_core, client_core = cores()
    with Server(server_core) as server:

        def ours(count: int) -> tuple[Cost, Counts]:
            return run(job, count, server, place, {client_core})

        def raw(count: int) -> tuple[Cost, Counts]:
            arguments = [server.base_url, str(folder), str(count), str(load.concurrency)]
            server.counts()
            cost = measured([sys.executable, "-m", "bench.raw_client", *arguments], {client_core})
            counts = server.counts()
            if counts.answers != count:
                raise BrokenError(f"the raw client asked {count} times, the server answered {counts.answers}")
            return cost, counts

        ours(_FEW)  # compiles modules and fills the disk's cache
        found = []
        for number in range(1, rounds + 1):
            print(f"{load.name}: round {number} of {rounds}", flush=True)
            found.append((_round(ours, n), _round(raw, n)))
    mine, theirs = zip(*found, strict=True)
    goal_mb = _BASE_MB + load.bytes_in_flight_mib * 2**20 / MB
    return [
        Figure(
            load.name,
            f"CPU, {load.size / 1000:.0f} KB pictures, {load.concurrency} at once, against raw aiohttp",
            "ms a request",
            median(one.cpu_ms for one in mine),
            median(one.cpu_ms for one in theirs),
            load.goal_ms,
        ),
        Figure(
            load.name, "peak memory", "MB", median(one.mb for one in mine), median(one.mb for one in theirs), goal_mb
        ),
        Figure(
            load.name,
            "requests, first to last",
            "a second",
            median(one.per_second for one in mine),
            median(one.per_second for one in theirs),
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Round:
    cpu_ms: float
    mb: float
    per_second: float


def _round(ask: Callable[[int], tuple[Cost, Counts]], n: int) -> _Round:
    few, _ = ask(_FEW)
    many, counts = ask(n)
    cpu_ms = (many.cpu_s - few.cpu_s) * 1000 / (n - _FEW)
    return _Round(cpu_ms, many.peak_bytes / MB, counts.per_second)


def start(place: Path, *, quick: bool) -> list[Figure]:
    """S: from the start of the command to the first request at the server, and --help."""
    rounds = 1 if quick else 5
    folder = place / "pictures"
    pictures.write_copies(folder, [pictures.photograph(1, 64, 48)], _FEW)
    job = Job(folder, _FEW, "8 MiB")
    with Server(cores()[0]) as server:
        run(job, _FEW, server, place)  # compiles modules and fills the disk's cache
        found = [run(job, _FEW, server, place) for _ in range(rounds)]
    helped = [_seconds_of([*COMMAND, "--help"]) for _ in range(rounds)]
    bare = [_seconds_of([sys.executable, "-c", "pass"]) for _ in range(rounds)]
    to_first = median(counts.first_at - cost.started_at for cost, counts in found)
    return [
        Figure("S", "start to first request, against Python alone", "s", to_first, median(bare), 1.0),
        Figure("S", "--help, against Python alone", "s", median(helped), median(bare), 0.3),
        Figure("S", "CPU of a whole run of 8", "s", median(cost.cpu_s for cost, _ in found)),
    ]


def _seconds_of(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started
