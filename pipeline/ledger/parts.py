"""Committed files: data parts and failure snapshots, each with the bitmap of its ordinals in the Parquet footer.

`data/<task>/part-<shard>-<seq>.parquet` is create-only and the only truth about what is answered.
`failures/<task>/shard-<shard>-<generation>.parquet` says what stands failed; the highest generation counts.
Nothing unfinished is ever visible: a file is written in `_run/tmp` and gets its name when it is whole.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyroaring import BitMap

from pipeline.core.errors import LedgerError
from pipeline.storage.local import make_folder, publish, write_error

_ORDINALS = b"vlm_batch.ordinals"
_TOTALS = b"vlm_batch.totals"
_RUN = b"vlm_batch.run_id"
_DATA = re.compile(r"part-(\d{6,})-(\d{6,})\.parquet")
_FAILURES = re.compile(r"shard-(\d{6,})-(\d{6,})\.parquet")


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A committed file: `number` is the sequence of a data part, or the generation of a failure snapshot."""

    shard: int
    number: int
    path: Path


@dataclass(frozen=True, slots=True)
class Summary:
    """A committed file in short: which rows it holds, and their totals (see `totals_of`)."""

    ordinals: BitMap
    totals: Mapping[str, float]


def data_path(folder: Path, shard: int, sequence: int) -> Path:
    """Where data part `sequence` of a shard lies under `data/<task>`."""
    return folder / f"part-{shard:06}-{sequence:06}.parquet"


def snapshot_path(folder: Path, shard: int, generation: int) -> Path:
    """Where failure snapshot `generation` of a shard lies under `failures/<task>`."""
    return folder / f"shard-{shard:06}-{generation:06}.parquet"


def list_data(folder: Path) -> list[Part]:
    """The data parts in a task's folder, by shard and sequence."""
    return _listing(folder, _DATA)


def list_snapshots(folder: Path) -> list[Part]:
    """The failure snapshots in a task's folder, by shard and generation."""
    return _listing(folder, _FAILURES)


def _listing(folder: Path, pattern: re.Pattern[str]) -> list[Part]:
    if not folder.is_dir():
        return []
    found = ((pattern.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted(Part(int(match[1]), int(match[2]), path) for match, path in found if match)


def write(table: pa.Table, final: Path, scratch_folder: Path, run_id: str) -> Summary:
    """Commit a table whose rows are sorted by ordinal. Raises LedgerError, also when the name is taken."""
    ordinals = BitMap(table.column("ordinal").to_pylist())
    totals = totals_of(table)
    make_folder(scratch_folder)
    # No name under _run ends in .parquet: after a kill a reader's `**` would take the half file for data.
    scratch = scratch_folder / f"{final.parent.name}-{final.name}.new"
    footer = {
        _ORDINALS: base64.b64encode(ordinals.serialize()),
        _TOTALS: orjson.dumps(totals),
        _RUN: run_id.encode(),
    }
    try:
        with pq.ParquetWriter(scratch, table.schema, compression="zstd", write_page_checksum=True) as writer:
            writer.write_table(table)
            # In the footer's key-value metadata alone; schema metadata would store the bitmap twice.
            writer.add_key_value_metadata(footer)
    except OSError as error:
        with suppress(OSError):  # the first error is the one to tell; the next start clears the folder
            scratch.unlink()
        raise write_error(error, final) from None
    if not publish(scratch, final):
        raise LedgerError(f"{final} exists already although this process holds the output.")
    return Summary(ordinals, totals)


def totals_of(table: pa.Table) -> dict[str, float]:
    """Rows, tokens, USD and, for failures, rows by kind. What no row knows is left out, not 0.

    `unpriced` counts the rows whose cost is not known, if there are any.
    """
    totals: dict[str, float] = {"rows": table.num_rows}
    if unpriced := table.column("cost_usd").null_count:
        totals["unpriced"] = unpriced
    for name in ("prompt_tokens", "cached_tokens", "completion_tokens", "cost_usd"):
        value = pc.sum(table.column(name)).as_py()
        if value is not None:
            totals[name] = value
    if "kind" in table.column_names:
        counts = pc.value_counts(table.column("kind")).to_pylist()
        totals |= {f"kind.{count['values']}": count["counts"] for count in counts}
    return totals


def read_summary(path: Path) -> Summary:
    """What a committed file holds, from its footer alone. Raises LedgerError."""
    metadata: Mapping[bytes, bytes] = _open(path, pq.read_metadata).metadata or {}
    if _ORDINALS not in metadata or _TOTALS not in metadata:
        raise LedgerError(f"{path} was not written by vlm-batch: its footer holds no row list. Move it away.")
    try:
        ordinals = BitMap.deserialize(base64.b64decode(metadata[_ORDINALS]))
        totals = {str(name): float(value) for name, value in orjson.loads(metadata[_TOTALS]).items()}
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise LedgerError(f"The footer of {path} is damaged: {error}. Run vlm-batch verify on this output.") from None
    return Summary(ordinals, totals)


def read_columns(path: Path, columns: list[str]) -> list[dict[str, Any]]:
    """Some columns of a committed file, as one mapping per row. Raises LedgerError."""
    rows: list[dict[str, Any]] = _open(path, lambda file: pq.read_table(file, columns=columns)).to_pylist()
    return rows


def read_table(path: Path) -> pa.Table:
    """A committed file whole. Raises LedgerError."""
    return _open(path, lambda file: pq.ParquetFile(file).read())


def read_batches(path: Path, rows: int) -> Iterator[pa.RecordBatch]:
    """A committed file, so many rows at a time. Raises LedgerError."""
    with _open(path, pq.ParquetFile) as file:
        batches = file.iter_batches(rows, use_threads=False)  # each thread would hold memory of its own
        while (batch := _open(path, lambda _: next(batches, None))) is not None:
            yield batch


def _open(path: Path, read: Any) -> Any:
    try:
        return read(path)
    except (OSError, pa.ArrowException) as error:
        raise LedgerError(f"Cannot read {path}: {str(error).splitlines()[0]}") from None
