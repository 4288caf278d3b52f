"""Writes committed files anew, as nobody should: other rows, other footers."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pyroaring import BitMap

from pipeline.ledger.parts import totals_of


def one(root: Path, pattern: str, chance: random.Random) -> Path:
    return chance.choice(sorted(root.glob(pattern)))


def rewrite(
    path: Path,
    change: Callable[[pa.Table], pa.Table] = lambda table: table,
    footer: Mapping[bytes, bytes | None] | None = None,
) -> None:
    """Write a committed file anew with other rows; its footer tells the truth about them, but for what is given."""
    table = change(pq.ParquetFile(path).read().replace_schema_metadata(None))  # which repeats the footer
    told: dict[bytes, bytes | None] = {
        b"vlm_batch.ordinals": base64.b64encode(BitMap(table.column("ordinal").to_pylist()).serialize()),
        b"vlm_batch.totals": orjson.dumps(totals_of(table)),
        **(footer or {}),
    }
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({name: value for name, value in told.items() if value is not None})


def changed(column: str, value: Any, row: int = 0) -> Callable[[pa.Table], pa.Table]:
    """The table with one value changed."""

    def change(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        rows[row][column] = value
        return pa.Table.from_pylist(rows, schema=table.schema)

    return change
