"""M1: planning and reading a long manifest of addresses. M2: the same with Parquet files that hold the pictures."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from bench.manifest_files import PICTURE_BYTES, write_addresses, write_pictures
from bench.process import BrokenError, printed
from bench.table import Figure

MB = 1_000_000
_ADDRESSES_GOAL_MB = 250
_FLAT = 1.1
"""Ten times as many rows may take so much more memory: nothing grows but a bit a row and the list of shards."""


@dataclass(frozen=True, slots=True)
class _Scan:
    """What `bench.scan` found."""

    rows: int
    bytes: int
    problems: int
    plan_s: float
    scan_s: float
    plan_peak_bytes: int
    peak_bytes: int

    @property
    def us(self) -> float:
        """Microseconds of CPU a row, planning and reading together."""
        return (self.plan_s + self.scan_s) * 1e6 / self.rows


def addresses(place: Path, *, quick: bool) -> list[Figure]:
    """M1."""
    figures = []
    for ending, few, many in ((".parquet", 1_000_000, 10_000_000), (".csv.gz", 300_000, 3_000_000)):
        short, long = (_addresses(place, ending, rows) for rows in ((20_000, 60_000) if quick else (few, many)))
        what = f"{long.rows:,} addresses, {ending}"
        times = f"{long.rows // short.rows} times fewer"
        mine, reference = long.peak_bytes / MB, short.peak_bytes / MB
        figures += [
            Figure("M1", f"peak memory, {what}", "MB", mine, goal=_ADDRESSES_GOAL_MB),
            Figure("M1", f"  against {times}", "MB", mine, reference, _FLAT, goal_of_ratio=True),
            Figure("M1", f"  planned and read, against {times}", "us of CPU a row", long.us, short.us),
        ]
    return figures


def pictures(place: Path, *, quick: bool) -> list[Figure]:
    """M2."""
    figures = []
    total = 100 * MB if quick else 2_000 * MB
    for group_mb, goal in ((20, 350), (1_000, 700)):
        path = place / "pictures.parquet"
        count = total // PICTURE_BYTES
        print(f"M2: writing {total // MB:,} MB in row groups of {group_mb:,} MB", flush=True)
        write_pictures(path, count, group_mb * MB // PICTURE_BYTES)
        scan = _scanned(path, place / f"plan-{group_mb}")
        _check(scan, count, count * PICTURE_BYTES)
        path.unlink()
        what = f"{scan.bytes / MB:,.0f} MB of pictures, row groups of {group_mb:,} MB"
        figures += [
            Figure("M2", f"peak memory, {what}", "MB", scan.peak_bytes / MB, goal=goal),
            Figure("M2", "  planned and read", "ms of CPU a picture", (scan.plan_s + scan.scan_s) * 1000 / scan.rows),
        ]
    return figures


def _addresses(place: Path, ending: str, rows: int) -> _Scan:
    path = place / f"{rows}{ending}"
    print(f"M1: {rows:,} addresses as {ending}", flush=True)
    write_addresses(path, rows)
    scan = _scanned(path, place / f"plan-{rows}{ending}", "n")
    _check(scan, rows, 0)
    path.unlink()
    return scan


def _scanned(manifest: Path, folder: Path, *keep: str) -> _Scan:
    return _Scan(**printed([sys.executable, "-m", "bench.scan", str(manifest), str(folder), *keep]))


def _check(scan: _Scan, rows: int, size: int) -> None:
    if (scan.rows, scan.bytes, scan.problems) != (rows, size, 0):
        raise BrokenError(f"{rows:,} rows with {size:,} bytes were written; read were {scan}")
