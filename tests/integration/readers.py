"""An output as the tools read it that people use: each gives a task's (key, column) pairs in the order of the keys."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq

Pairs = list[tuple[str, str]]


class Loaded(NamedTuple):
    """What `datasets.load_dataset` makes of one task: its features as a dictionary, and its rows by key."""

    features: Mapping[str, Any]
    rows: list[dict[str, Any]]


def pairs_by_reader(out: Path, task: str, column: str, scratch: Path) -> dict[str, Pairs]:
    """By the reader's name. Polars is strict: a column that a file lacks or has in another type is an error."""
    folder = out / "data" / task
    table = pq.read_table(folder, columns=["key", column]).sort_by("key")
    frame = pd.read_parquet(folder)[["key", column]].sort_values("key")
    files = pl.scan_parquet(folder / "*.parquet", missing_columns="raise", extra_columns="raise")
    found = duckdb.sql(f"select key, {column} from '{folder}/*.parquet' order by key")  # noqa: S608 - our own path
    return {
        "pyarrow": list(zip(*table.to_pydict().values(), strict=True)),
        "pandas": list(frame.itertuples(index=False, name=None)),
        "polars": files.collect().select("key", column).sort("key").rows(),
        "duckdb": found.fetchall(),
        "datasets": [(row["key"], row[column]) for row in loaded(out, task, scratch).rows],
    }


def loaded(out: Path, task: str, scratch: Path) -> Loaded:
    """By the output's card."""
    code = (
        "import datasets, json, sys; found = datasets.load_dataset(sys.argv[1], sys.argv[2])['train'];"
        "print(json.dumps([found.features.to_dict(), sorted(found, key=lambda row: row['key'])], default=str))"
    )
    env = {"HF_HOME": str(scratch), "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(scratch / "cache")}
    return Loaded(*_said(code, str(out), task, **env))


def samples(urls: str) -> list[dict[str, Any]]:
    """What a WebDataset loader makes of tars: `__key__`, and the bytes of each field."""
    code = (
        "import base64, json, sys, webdataset; found = webdataset.WebDataset(sys.argv[1], shardshuffle=False);"
        "print(json.dumps([{name: value if name[0] == '_' else base64.b64encode(value).decode()"
        " for name, value in sample.items()} for sample in found], default=str))"
    )
    return [
        {name: value if name.startswith("_") else base64.b64decode(value) for name, value in sample.items()}
        for sample in _said(code, urls)
    ]


def _said(code: str, *arguments: str, **env: str) -> Any:
    """In a process of its own: such packages read the environment when they are imported, and leave files open."""
    command = [sys.executable, "-c", code, *arguments]
    read = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=120)
    assert read.returncode == 0, read.stderr
    return json.loads(read.stdout)
