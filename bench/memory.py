"""P3: the memory of a run over large photographs. A few files are asked about often, each time with another title."""

from __future__ import annotations

import json
from pathlib import Path

from bench import pictures
from bench.process import cores
from bench.product import Job, run
from bench.server import Server
from bench.table import Figure

_GOAL_MB = 400
MB = 1_000_000


def large_photographs(place: Path, *, quick: bool) -> list[Figure]:
    """The largest sum of resident memory over the process tree, and how fast it went."""
    n = 12 if quick else 500
    listing = place / "photographs.jsonl"
    for seed in range(6):
        (place / f"{seed}.jpg").write_bytes(pictures.photograph(seed, *pictures.TWELVE_MEGAPIXELS))
    rows = ({"id": f"{index}", "image": f"{index % 6}.jpg", "title": f"photograph {index}"} for index in range(n))
    listing.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(f"P3: {n} photographs are asked about", flush=True)
    with Server(cores()[0]) as server:
        cost, counts = run(Job(listing, 64, "64 MiB"), n, server, place)
    what = f"peak memory, {n} photographs of 12 MP, 64 MiB in flight"
    return [
        Figure("P3", what, "MB", cost.peak_bytes / MB, goal=_GOAL_MB),
        Figure("P3", "photographs, first request to last answer", "a second", counts.per_second),
    ]
