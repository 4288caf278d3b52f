"""Parquet files for tests: columns in, a file with a time of its own out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

HF = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_clock = count(1_700_000_000)


def parquet(path: Path, columns: Mapping[str, Any], *, hf: Mapping[str, Any] | None = None, **options: Any) -> Path:
    """Columns are lists or Arrow arrays; `hf` are the features of Hugging Face metadata; options as `write_table`."""
    table: pa.Table = pa.table(dict(columns))
    if hf is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": dict(hf)}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    second = next(_clock)
    os.utime(path, (second, second))
    return path


def images(*items: tuple[bytes | None, str | None] | None) -> pa.Array:
    """Hugging Face structs of (bytes, path)."""
    return pa.array([item and {"bytes": item[0], "path": item[1]} for item in items], HF)
