"""How long answers took, from what is committed."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Final

from pipeline.ledger import parts

_NEWEST: Final = 4
"""Data parts that are looked at: up to 40,000 answers."""


def median_latency(data_folder: Path) -> float | None:
    """The median time of a task's latest answers in seconds, None without any; copies of answers took none.

    Raises LedgerError.
    """
    found: list[int] = []
    for part in parts.list_data(data_folder)[-_NEWEST:]:
        rows = parts.read_columns(part.path, ["latency_ms", "dedup_of"])
        found += [row["latency_ms"] for row in rows if row["latency_ms"] is not None and row["dedup_of"] is None]
    return statistics.median(found) / 1000 if found else None
