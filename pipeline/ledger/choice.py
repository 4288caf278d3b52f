"""Which failures a person wants tried again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyroaring import BitMap

from pipeline.ledger import parts
from pipeline.ledger.book import Book, Selection


@dataclass(frozen=True, slots=True)
class Choice:
    """Failures of any of these kinds, and of any of these stages, and of any of these statuses, and no younger.

    What is empty or None leaves no failure out. `before` is when a failure must have ended at the latest.
    """

    kinds: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()
    before: datetime | None = None

    def includes(self, failure: Mapping[str, Any]) -> bool:
        """Whether a row of a failure snapshot is chosen."""
        return (
            (not self.kinds or failure["kind"] in self.kinds)
            and (not self.stages or failure["stage"] in self.stages)
            and (not self.statuses or failure["http_status"] in self.statuses)
            and (self.before is None or failure["finished_at"] <= self.before)
        )


def choose(book: Book, choice: Choice) -> Selection:
    """The chosen rows of what stands failed, committed or just recovered. Raises LedgerError."""
    selection: dict[tuple[str, int], BitMap] = {}
    for standing, path in book.snapshots():
        columns = ["ordinal", "kind", "stage", "http_status", "finished_at"]
        gone = standing.done | standing.given_up
        chosen = BitMap(row["ordinal"] for row in parts.read_columns(path, columns) if choice.includes(row)) - gone
        if chosen:
            selection[standing.task, standing.shard] = chosen
    return selection
