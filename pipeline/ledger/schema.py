"""The columns of a task's two data sets, and rows as Arrow tables.

One schema per data set, fixed when the output is created: explicit types and no null types, so that every part is read
alike by every reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from pipeline.core.errors import KINDS
from pipeline.core.types import Column, Envelope, Failure, Row

_TYPES: Mapping[str, Any] = {
    "string": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "list<string>": pa.list_(pa.string()),
}
_IDENTITY = (("key", pa.string()), ("uri", pa.string()))
_FAILURE = (
    ("stage", pa.string()),
    ("kind", pa.string()),
    ("error_class", pa.string()),
    ("retryable", pa.bool_()),
    ("next_try_at", pa.timestamp("us", "UTC")),
    ("http_status", pa.int32()),
    ("message", pa.string()),
)
_ENVELOPE = (
    ("raw_text", pa.string()),
    ("finish_reason", pa.string()),
    ("model", pa.string()),
    ("served_model", pa.string()),
    ("prompt_sha256", pa.string()),
    ("image_sha256", pa.string()),
    ("request_sha256", pa.string()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("sent_width", pa.int32()),
    ("sent_height", pa.int32()),
    ("prompt_tokens", pa.int64()),
    ("cached_tokens", pa.int64()),
    ("image_tokens", pa.int64()),
    ("completion_tokens", pa.int64()),
    ("reasoning_tokens", pa.int64()),
    ("cost_usd", pa.float64()),
    ("attempts", pa.int32()),
    ("latency_ms", pa.int64()),
    ("request_id", pa.string()),
    ("dedup_of", pa.string()),
    ("finished_at", pa.timestamp("us", "UTC")),
    ("run_id", pa.string()),
    ("shard", pa.int32()),
    ("ordinal", pa.int32()),
)


@dataclass(frozen=True, slots=True)
class TaskSchema:
    """Both schemas of one task, and under which name each kept column is written."""

    data: pa.Schema
    failures: pa.Schema
    kept_names: Mapping[str, str]


def task_schema(answer: Sequence[Column], kept: Sequence[Column]) -> TaskSchema:
    """The schemas for these answer columns and kept columns; a kept name already taken becomes `source_<name>`.

    Raises ValueError when two kept columns would get the same name, or an answer column takes an envelope's name.
    """
    own = [name for name, _ in (*_IDENTITY, *_FAILURE, *_ENVELOPE)]
    for column in answer:
        if column.name in own:
            raise ValueError(f"the answer column {column.name!r} has the name of one of vlm-batch's own columns")
    taken = {*own, *(column.name for column in answer)}
    names: dict[str, str] = {}
    for column in kept:
        name = f"source_{column.name}" if column.name in taken else column.name
        if name in taken:
            raise ValueError(f"the kept column {column.name!r} cannot be written: {name!r} is taken too")
        taken.add(name)
        names[column.name] = name
    answers = [(column.name, _TYPES[column.type]) for column in answer]
    extra = [(names[column.name], _TYPES[column.type]) for column in kept]
    return TaskSchema(
        pa.schema([*_IDENTITY, *answers, *_ENVELOPE, *extra]),
        pa.schema([*_IDENTITY, *_FAILURE, *_ENVELOPE, *extra]),
        names,
    )


def data_table(schema: TaskSchema, rows: Iterable[Row]) -> pa.Table:
    """Rows as a table, in the order given."""
    return pa.Table.from_pylist(
        [
            {"key": row.key, "uri": row.uri, **row.answer, **_envelope(row.envelope), **_kept(schema, row.kept)}
            for row in rows
        ],
        schema=schema.data,
    )


def failure_table(schema: TaskSchema, failures: Iterable[Failure]) -> pa.Table:
    """Failures as a table, in the order given."""
    return pa.Table.from_pylist(
        [
            {
                "key": failure.key,
                "uri": failure.uri,
                **_meaning(failure),
                **_envelope(failure.envelope),
                **_kept(schema, failure.kept),
            }
            for failure in failures
        ],
        schema=schema.failures,
    )


def _meaning(failure: Failure) -> dict[str, Any]:
    kind = KINDS[failure.problem.kind]
    return {
        "stage": kind.stage,
        "kind": failure.problem.kind,
        "error_class": kind.error_class,
        "retryable": kind.retryable,
        "http_status": failure.problem.http_status,
        "message": failure.problem.message,
    }


def _envelope(envelope: Envelope) -> dict[str, Any]:
    values = {name: getattr(envelope, name) for name, _ in _ENVELOPE}
    values["finished_at"] = datetime.fromtimestamp(envelope.finished_at, UTC)
    return values


def _kept(schema: TaskSchema, kept: Mapping[str, Any]) -> dict[str, Any]:
    return {schema.kept_names[name]: value for name, value in kept.items() if name in schema.kept_names}
