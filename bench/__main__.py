"""Measure what the product costs over the least that the same work can cost; `python -m bench`.

    python -m bench                      everything; about twenty minutes on two cores, fifteen of them M1
    python -m bench --only W1,P1         these workloads
    python -m bench --quick              small numbers: shows that it works, measures nothing

    W1  2 KB pictures, 256 requests at once          P1  12 MP photographs to 1,024 px, images a second
    W2  100 KB pictures, 128 requests at once        P2  pictures that need nothing
    S   start to the first request, --help           P3  peak memory over 500 photographs of 12 MP
    M1  millions of addresses, planned and read      M2  2 GB of pictures in Parquet files, planned and read
    M3  200 KB objects from an object store, 64 at once

W1 and W2 are the real command, journal and Parquet included, against a server on a core of its own, in turns with a raw
aiohttp client that posts bodies made beforehand. CPU is that of the whole process tree, less that of a run of 8. The
server answers at once, so a client slower than it has fewer requests open than it might; with answers after 100 ms the
CPU of both came out the same (2026-11-25).
Machines are noisy: trust the ratios within a run. A goal that is not met is no error; what broke is.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import calls, manifests, memory, objects, preparation
from bench.process import BrokenError
from bench.table import Figure, print_table

WORKLOADS: dict[str, Callable[..., list[Figure]]] = {
    "W1": calls.text_sized,
    "W2": calls.ordinary,
    "S": calls.start,
    "P1": preparation.large_photographs,
    "P2": preparation.untouched,
    "P3": memory.large_photographs,
    "M1": manifests.addresses,
    "M2": manifests.pictures,
    "M3": objects.fetched,
}


def main(arguments: list[str]) -> int:
    """Measure and print. 0 unless a workload broke or there is none of that name."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(WORKLOADS), metavar="NAMES", help="workloads, separated by commas")
    parser.add_argument("--quick", action="store_true", help="small numbers")
    options = parser.parse_args(arguments)
    chosen = options.only.split(",")
    if unknown := set(chosen) - WORKLOADS.keys():
        print(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(WORKLOADS)}")
        return 2
    load = os.getloadavg()[0]
    figures: list[Figure] = []
    broken: list[str] = []
    for name in chosen:
        print(f"{name} ...", flush=True)
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="vlm-batch-bench-") as place:
            try:
                figures += WORKLOADS[name](Path(place), quick=options.quick)
            except BrokenError as error:
                broken.append(f"{name} broke: {error}")
        print(f"{name} took {time.monotonic() - started:.0f} s", flush=True)
    print_table(figures)
    print(f"Load average before it began: {load:.1f} on {os.cpu_count()} cores; above 0.5 trust the ratios alone.")
    print("\n".join(broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
