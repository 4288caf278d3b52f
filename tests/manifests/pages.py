"""Manifests on the disk, and the few words that tests about them need."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from pipeline.core.types import ManifestRow
from pipeline.manifests.listing import Listing
from pipeline.manifests.open import open_manifest
from pipeline.manifests.unit import Placed, Unit


def touch(folder: Path, *names: str) -> None:
    """Files of a few bytes; their folders are made."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture")


_clock = iter(range(1, 10**9))


def listing(path: Path, *records: object) -> Path:
    """A .jsonl file: bytes are lines as they are, anything else is JSON. Every call gives it a new time."""
    lines = [record if isinstance(record, bytes) else orjson.dumps(record) for record in records]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    second = 1_700_000_000 + next(_clock)
    os.utime(path, (second, second))
    return path


def opened(path: Path | str, *, avoid: Path = Path("/nowhere"), **options: Any) -> list[Unit]:
    return open_manifest([str(path)], avoid=avoid, **options)


def only(path: Path | str, **options: Any) -> Unit:
    [unit] = opened(path, **options)
    return unit


def keys(unit: Unit) -> list[str]:
    return [row.key for row in unit.rows()]


def scanned(unit: Unit, ordinals: Sequence[int] | None = None) -> list[ManifestRow]:
    """Plan a unit and read its rows (or those at `ordinals`) back, as two processes would."""
    placed = [Placed(ordinal, row.key, row.ref) for ordinal, row in enumerate(unit.rows())]
    kept = unit.columns()
    return list(unit.read(1, [placed[ordinal] for ordinal in ordinals or range(len(placed))], kept))


def resumed(path: Path, rows: Iterable[Placed], **options: Any) -> list[ManifestRow]:
    """Read planned rows in a process that has not planned them."""
    return list(fresh(path, **options).read(1, rows, []))


def fresh(path: Path, **options: Any) -> Listing:
    unit = only(path, **options)
    assert isinstance(unit, Listing)
    return unit
