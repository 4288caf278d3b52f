"""Equal questions are asked once: finds how a question equal to this one has ended, in memory or on the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.core.errors import LedgerError
from pipeline.core.outcomes import Failure, Outcome, Row
from pipeline.core.types import RowId
from pipeline.ledger import parts
from pipeline.ledger.book import Book
from pipeline.ledger.index import DamagedIndexError, Entry, QuestionIndex, digested
from pipeline.storage.buckets import Buckets


class Twins:
    """The outcomes that other rows may share: answers, and failures that are final. Retryable ones are asked again.

    Outcomes that wait to be committed are found in `_waiting`, committed ones by the index. A row that is itself a copy
    is never anybody's leader. `guard` keeps a snapshot from being replaced while it is read.
    """

    def __init__(self, index: Path, book: Book, *, read_only: bool = False) -> None:
        self.guard = threading.Lock()
        self._index = QuestionIndex(index, read_only=read_only)
        self._book = book
        self._waiting: dict[tuple[str, str], RowId] = {}

    def note(self, outcome: Outcome) -> None:
        """This outcome was taken over."""
        question = outcome.facts.request_sha256
        if question is not None and _leads(outcome):
            self._waiting[outcome.id.task, question] = outcome.id

    def find(self, task: str, request_sha256: str, *, answers_only: bool) -> Outcome | None:
        """The outcome of an equal question of this task. Raises LedgerError."""
        row = self._waiting.get((task, request_sha256)) or self._index.find(task, request_sha256)
        if row is None or (standing := self._book.standings.get((task, row.shard))) is None:
            return None
        with self.guard:
            found = self._book.outcome(row)
        if found is None or found.facts.request_sha256 != request_sha256 or row.ordinal not in standing.settled:
            return None
        return found if isinstance(found, Row) or not (answers_only or found.retryable) else None

    def committed(self, task: str, name: str, rows: Sequence[Row]) -> None:
        """These rows stand in the data part `name`. Raises LedgerError."""
        self._index.add_part(task, name, _entries(rows))
        self._forget(rows)

    def failed(self, task: str, snapshot: parts.Part | None, failures: Sequence[Failure]) -> None:
        """These failures, just written, stand in the snapshot. Raises LedgerError."""
        if snapshot is not None and failures:
            self._index.add_failures(task, snapshot.path.name, _entries(failures))
            self._forget(failures)

    def check(self) -> None:
        """Raises LedgerError when a part that was there is gone."""
        for task in self._book.schemas:
            standings = [standing for standing in self._book.standings.values() if standing.task == task]
            data = {path.name for standing in standings for path, _ in standing.committed}
            if missing := sorted(self._index.parts(task) - data):
                raise LedgerError(
                    f"{self._book.output.data(task) / missing[0]} is missing ({len(missing)} such). It was committed, "
                    f"and vlm-batch deletes no part. Bring it back, or delete {self._index.path} to have its rows "
                    "asked again."
                )

    def cover(self, warn: Callable[[int], None]) -> None:
        """Bring the index up to what is committed; `warn` is told how many files that takes.

        An index that cannot be read is built again. Raises LedgerError when a part that was there is gone.
        """
        try:
            self._cover(warn)
        except DamagedIndexError as damage:
            self._index.begin_anew(damage)
            self._cover(warn)

    def _cover(self, warn: Callable[[int], None]) -> None:
        self.check()
        for task in self._book.schemas:
            standings = [standing for (name, _), standing in self._book.standings.items() if name == task]
            covered = self._index.parts(task)
            data = {path.name: path for standing in standings for path, _ in standing.committed}
            snapshots = {item.snapshot.path.name: item.snapshot.path for item in standings if item.snapshot}
            known = self._index.snapshots(task)
            fresh = sorted(data.keys() - covered)
            if fresh:
                self._cover_parts(task, [data[name] for name in fresh], warn)
            for name in sorted(snapshots.keys() - known):
                self._index.add_snapshot(task, name, _read_entries(snapshots[name], ["retryable"]))
            self._index.forget_snapshots(task, known - snapshots.keys())

    def _cover_parts(self, task: str, paths: Sequence[Path], warn: Callable[[int], None]) -> None:
        """Sorted on the disk first: see `QuestionIndex.add_parts`."""
        if len(paths) > 1:
            warn(len(paths))
        with Buckets(self._book.output.scratch, "questions", "II") as spread:
            for path in paths:
                for question, shard, ordinal in _read_entries(path, []):
                    spread.add(digested(question), shard, ordinal)
            self._index.add_parts(task, [path.name for path in paths], (sorted(bucket) for bucket in spread))

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def _forget(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            question = (outcome.id.task, outcome.facts.request_sha256 or "")
            if self._waiting.get(question) == outcome.id:  # a copy's question is still its leader's
                del self._waiting[question]


def _leads(outcome: Outcome) -> bool:
    if outcome.envelope.dedup_of is not None:
        return False
    return isinstance(outcome, Row) or not outcome.retryable


def _entries(outcomes: Sequence[Outcome]) -> list[Entry]:
    return [
        (outcome.facts.request_sha256, outcome.id.shard, outcome.id.ordinal)
        for outcome in outcomes
        if outcome.facts.request_sha256 is not None and _leads(outcome)
    ]


def _read_entries(path: Path, more: list[str]) -> list[Entry]:
    rows = parts.read_columns(path, ["request_sha256", "shard", "ordinal", "dedup_of", *more])
    return [
        (row["request_sha256"], row["shard"], row["ordinal"])
        for row in rows
        if row["request_sha256"] is not None and row["dedup_of"] is None and not row.get("retryable")
    ]
