"""Checks one committed file against its own footer, its name and the plan, and gives what it really holds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyroaring import BitMap

from pipeline.core.errors import LedgerError
from pipeline.ledger.audit_keys import KeyAudit, Said
from pipeline.ledger.findings import Findings
from pipeline.ledger.parts import Part, Summary, read_summary

BATCH_ROWS = 2048
_READ_AHEAD = 1024 * 1024
_SUMMED = ("prompt_tokens", "cached_tokens", "completion_tokens", "cost_usd")
_NEEDED = ("key", "request_sha256", "request_id", "dedup_of", "finished_at", "shard", "ordinal", *_SUMMED)
_UNREADABLE = (OSError, ValueError, TypeError, LookupError, OverflowError, pa.ArrowException)
"""What pyarrow, pyroaring and orjson raise over a file that was tampered with."""


@dataclass(slots=True)
class Held:
    """What a committed file holds, by its content and not by its footer."""

    ordinals: BitMap = field(default_factory=BitMap)
    retryable: BitMap = field(default_factory=BitMap)
    cost_usd: float | None = None
    """None when no row has a known price."""


@dataclass(slots=True)
class _Sums:
    """The totals of the rows read so far, as `totals_of` would give them."""

    totals: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        self.totals[name] = self.totals.get(name, 0) + value

    def equal(self, footer: Mapping[str, float]) -> bool:
        ours = {name: value for name, value in self.totals.items() if name != "unpriced" or name in footer}
        return ours.keys() == footer.keys() and all(
            math.isclose(value, footer[name], rel_tol=1e-9, abs_tol=1e-9) for name, value in ours.items()
        )


class FileAudit:
    """Reads committed files of one output, one at a time."""

    def __init__(self, root: Path, findings: Findings, keys: KeyAudit) -> None:
        self._root = root
        self._findings = findings
        self._keys = keys
        self._schemas: dict[Path, tuple[pa.Schema, str]] = {}

    def read(self, part: Part, task: str, planned: Sequence[str] | None) -> Held | None:
        """Check a file whose rows have these `planned` keys, None when unknown; None when it cannot be read."""
        name = str(part.path.relative_to(self._root))
        held, sums = Held(), _Sums({"rows": 0})
        repeated = strangers = wrong_keys = costly = 0
        try:
            summary = read_summary(part.path)
            if not all(isinstance(total, int | float) for total in dict(summary.totals).values()):
                raise ValueError("the totals in its footer are no numbers")
            with pq.ParquetFile(part.path, buffer_size=_READ_AHEAD, page_checksum_verification=True) as file:
                self._compare_schema(part.path.parent, name, file.schema_arrow.remove_metadata())
                for columns in _batches(file):
                    ordinals = columns["ordinal"]
                    before = len(held.ordinals)
                    held.ordinals.update(ordinals)
                    repeated += len(ordinals) - (len(held.ordinals) - before)
                    strangers += sum(shard != part.shard for shard in columns["shard"])
                    _add_up(sums, columns)
                    # A row that was asked itself before it followed another has a price, but no tokens of this answer.
                    costly += sum(
                        bool(cost) and original is not None and tokens is not None
                        for cost, original, tokens in zip(
                            columns["cost_usd"], columns["dedup_of"], columns["prompt_tokens"], strict=True
                        )
                    )
                    wrong_keys += self._rows(task, part.shard, columns, planned, held, name)
        except LedgerError as error:
            self._findings.add("file_unreadable", f"{name}: {error}")
            return None
        except _UNREADABLE as error:
            self._findings.add("file_unreadable", f"{name}: {type(error).__name__}: {_first_line(error)}")
            return None
        held.cost_usd = sums.totals.get("cost_usd")
        for code, count in (("row_repeated", repeated), ("shard_column_wrong", strangers), ("copy_costs", costly)):
            if count:
                self._findings.add(code, f"{name}: {count:,} rows", count)
        self._compare_footer(name, summary, held, sums)
        return held

    def _rows(
        self,
        task: str,
        shard: int,
        columns: Mapping[str, list[Any]],
        planned: Sequence[str] | None,
        held: Held,
        name: str,
    ) -> int:
        """Hand each row on to be compared by key, and compare it with the plan."""
        wrong = 0
        retryable = columns.get("retryable") or [False] * len(columns["ordinal"])
        said = zip(*(columns[name] for name in _NEEDED[:5]), strict=True)
        for ordinal, passing, values in zip(columns["ordinal"], retryable, said, strict=True):
            row = Said(*values)
            if passing:
                held.retryable.add(ordinal)
            if planned is not None and ordinal < len(planned) and planned[ordinal] != row.key:
                wrong += 1
                self._findings.add(
                    "key_wrong", f"{name}: row {ordinal} is {row.key!r}, planned was {planned[ordinal]!r}"
                )
            self._keys.add(task, shard, ordinal, row, settled=not passing, answered="kind" not in columns)
        return wrong

    def _compare_footer(self, name: str, footer: Summary, held: Held, sums: _Sums) -> None:
        if footer.ordinals != held.ordinals:
            extra, missing = footer.ordinals - held.ordinals, held.ordinals - footer.ordinals
            self._findings.add(
                "rows_mislisted",
                f"{name}: {len(extra):,} rows are listed and not there{_few(extra)}, "
                f"{len(missing):,} are there and not listed{_few(missing)}",
            )
        if not sums.equal(footer.totals):
            wrong = sorted(
                key for key in {*sums.totals, *footer.totals} if sums.totals.get(key) != footer.totals.get(key)
            )
            self._findings.add("totals_wrong", f"{name}: {', '.join(wrong)}")

    def _compare_schema(self, folder: Path, name: str, schema: pa.Schema) -> None:
        first, example = self._schemas.setdefault(folder, (schema, name))
        if schema != first:
            ours, theirs = (
                set(zip(schema.names, schema.types, strict=True)),
                set(zip(first.names, first.types, strict=True)),
            )
            columns = sorted({column for column, _ in ours ^ theirs}) or ["their order"]
            self._findings.add("schema_differs", f"{name}: {', '.join(columns)}, compared with {example}")


def _batches(file: pq.ParquetFile) -> Iterator[dict[str, list[Any]]]:
    """The file's columns that count, some rows at a time. All are read: a reader would need them, too."""
    wanted = [*_NEEDED, *(name for name in ("retryable", "kind") if name in file.schema_arrow.names)]
    for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
        columns = {}
        for name in wanted:
            column = batch.column(name)
            # A time as a number: as a datetime it costs more than all the rest of its row.
            columns[name] = (column.cast(pa.int64()) if name == "finished_at" else column).to_pylist()
        if None in columns["key"] or not all(ordinal >= 0 for ordinal in columns["ordinal"]):
            raise ValueError("a row has no key, or a negative ordinal")
        yield columns


def _add_up(sums: _Sums, columns: Mapping[str, list[Any]]) -> None:
    sums.add("rows", len(columns["ordinal"]))
    for name in _SUMMED:
        known = [value for value in columns[name] if value is not None]
        if known:
            sums.add(name, sum(known))
    if unpriced := columns["cost_usd"].count(None):
        sums.add("unpriced", unpriced)  # footers of the first versions do not have it
    for kind in columns.get("kind", ()):
        sums.add(f"kind.{kind}", 1)


def _few(ordinals: BitMap) -> str:
    shown = ", ".join(str(ordinal) for ordinal, _ in zip(ordinals, range(3), strict=False))
    return f" ({shown}{', ...' if len(ordinals) > 3 else ''})" if ordinals else ""


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no reason given"])[0]
