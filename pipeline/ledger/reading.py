"""Rows of committed files as outcomes again: the way back from `schema.py`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.outcomes import Envelope, Failure, Outcome, Problem, Row
from pipeline.core.types import Facts, RowId, Usage
from pipeline.ledger import parts
from pipeline.ledger.schema import TaskSchema

_FACTS = [item.name for item in fields(Facts) if item.name not in {"kept", "pages", "image_tokens_expected"}]
_USAGE = [item.name for item in fields(Usage) if item.name != "cache_write_tokens"]  # in the cost, no column
_ENVELOPE = [item.name for item in fields(Envelope) if item.name not in {"usage", "finished_at"}]
_AT_ONCE = 500
"""Rows that are Python objects at the same time."""


def outcome_of(task: str, schema: TaskSchema, row: Mapping[str, Any]) -> Outcome:
    """The outcome that a row of a part or, when it has a `kind`, of a snapshot was written from."""
    row_id = RowId(task, row["shard"], row["ordinal"])
    kept = {name: row[written] for name, written in schema.kept_names.items()}
    pages = row["pages"] if "pages" in schema.answers and "kind" not in row else None
    facts = Facts(**{name: row[name] for name in _FACTS}, kept=kept, pages=pages)
    envelope = Envelope(
        **{name: row[name] for name in _ENVELOPE},
        finished_at=row["finished_at"].timestamp(),
        usage=Usage(**{name: row[name] for name in _USAGE}),
    )
    if "kind" not in row:
        return Row(row_id, facts, {name: row[name] for name in schema.answers}, envelope)
    problem = Problem(row["kind"], row["message"], row["http_status"])
    next_try_at = row["next_try_at"].timestamp() if row["next_try_at"] else None
    return Failure(row_id, facts, problem, envelope, row["retryable"], next_try_at)


def stored_outcomes(task: str, schema: TaskSchema, path: Path) -> Iterator[Outcome]:
    """Every row of a committed file, with the columns that the file has. Raises LedgerError."""
    for batch in parts.read_batches(path, _AT_ONCE):
        written = as_written(schema, batch.schema.names)
        for row in batch.to_pylist():
            yield outcome_of(task, written, row)


def as_written(schema: TaskSchema, names: Sequence[str]) -> TaskSchema:
    """The schema for a file with these columns.

    It may be of an earlier version, in which the task had other answer columns and kept ones therefore other names:
    kept columns come last, answer columns stand between the row's identity and its envelope.
    """
    kept = names[len(names) - len(schema.kept_names) :]
    answers = tuple(names[names.index("uri") + 1 : names.index("raw_text")])
    return replace(schema, answers=answers, kept_names=dict(zip(schema.kept_names, kept, strict=True)))


class RecentTables:
    """The committed files read last: rows that share an answer mostly come together."""

    def __init__(self, most: int = 4) -> None:
        self._most = most
        self._tables: OrderedDict[Path, pa.Table] = OrderedDict()

    def row(self, path: Path, ordinal: int) -> Mapping[str, Any] | None:
        """One row of a committed file, None when it does not hold the ordinal. Raises LedgerError."""
        table = self._tables.pop(path, None) or parts.read_table(path)
        self._tables[path] = table
        if len(self._tables) > self._most:
            self._tables.popitem(last=False)
        place = pc.index(table.column("ordinal"), pa.scalar(ordinal, pa.int32())).as_py()
        if place < 0:
            return None
        row: Mapping[str, Any] = table.slice(place, 1).to_pylist()[0]
        return row
