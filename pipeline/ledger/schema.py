"""The columns of a task's two data sets, and rows as Arrow tables.

One schema per data set, fixed when the output is created: explicit types and no null types, so that every part is read
alike by every reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import pyarrow as pa

from pipeline.core.errors import KINDS
from pipeline.core.outcomes import Failure, Outcome, Row
from pipeline.core.types import Column
from pipeline.ledger.features import metadata_of

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
    ("raw_text", pa.string(), "envelope.raw_text"),
    ("finish_reason", pa.string(), "envelope.finish_reason"),
    ("model", pa.string(), "facts.model"),
    ("served_model", pa.string(), "envelope.served_model"),
    ("prompt_sha256", pa.string(), "facts.prompt_sha256"),
    ("image_sha256", pa.string(), "facts.image_sha256"),
    ("request_sha256", pa.string(), "facts.request_sha256"),
    ("width", pa.int32(), "facts.width"),
    ("height", pa.int32(), "facts.height"),
    ("sent_width", pa.int32(), "facts.sent_width"),
    ("sent_height", pa.int32(), "facts.sent_height"),
    ("prompt_tokens", pa.int64(), "envelope.usage.prompt_tokens"),
    ("cached_tokens", pa.int64(), "envelope.usage.cached_tokens"),
    ("image_tokens", pa.int64(), "envelope.usage.image_tokens"),
    ("completion_tokens", pa.int64(), "envelope.usage.completion_tokens"),
    ("reasoning_tokens", pa.int64(), "envelope.usage.reasoning_tokens"),
    ("cost_usd", pa.float64(), "envelope.cost_usd"),
    ("attempts", pa.int32(), "envelope.attempts"),
    ("latency_ms", pa.int64(), "envelope.latency_ms"),
    ("request_id", pa.string(), "envelope.request_id"),
    ("dedup_of", pa.string(), "envelope.dedup_of"),
    ("finished_at", pa.timestamp("us", "UTC"), "envelope.finished_at"),
    ("run_id", pa.string(), "envelope.run_id"),
    ("shard", pa.int32(), "id.shard"),
    ("ordinal", pa.int32(), "id.ordinal"),
)
"""Name, type, and where an outcome holds it."""
_VALUES = [(name, attrgetter(place)) for name, _, place in _ENVELOPE]


@dataclass(frozen=True, slots=True)
class TaskSchema:
    """Both schemas of one task, its answer columns, and under which name each kept column is written."""

    data: pa.Schema
    failures: pa.Schema
    answers: tuple[str, ...]
    kept_names: Mapping[str, str]


def task_schema(answer: Sequence[Column], kept: Sequence[Column]) -> TaskSchema:
    """The schemas for these answer columns and kept columns; a kept name already taken becomes `source_<name>`.

    Raises ValueError when two kept columns would get the same name, or an answer column takes an envelope's name.
    """
    envelope = [(name, kind) for name, kind, _ in _ENVELOPE]
    own = [name for name, _ in (*_IDENTITY, *_FAILURE, *envelope)]
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
    classes = {names[column.name]: column.classes for column in kept}
    data = [*_IDENTITY, *answers, *envelope, *extra]
    failures = [*_IDENTITY, *_FAILURE, *envelope, *extra]
    return TaskSchema(
        pa.schema(data, metadata_of(data, classes)),
        pa.schema(failures, metadata_of(failures, classes)),
        tuple(column.name for column in answer),
        names,
    )


def data_table(schema: TaskSchema, rows: Iterable[Row]) -> pa.Table:
    """Rows as a table, in the order given."""
    return pa.Table.from_pylist([{**row.answer, **_shared(schema, row)} for row in rows], schema=schema.data)


def failure_table(schema: TaskSchema, failures: Iterable[Failure]) -> pa.Table:
    """Failures as a table, in the order given."""
    rows = [{**_meaning(failure), **_shared(schema, failure)} for failure in failures]
    return pa.Table.from_pylist(rows, schema=schema.failures)


def _meaning(failure: Failure) -> dict[str, Any]:
    kind = KINDS[failure.problem.kind]
    return {
        "stage": kind.stage,
        "kind": failure.problem.kind,
        "error_class": kind.error_class,
        "retryable": failure.retryable,
        "next_try_at": None if failure.next_try_at is None else datetime.fromtimestamp(failure.next_try_at, UTC),
        "http_status": failure.problem.http_status,
        "message": failure.problem.message,
    }


def _shared(schema: TaskSchema, outcome: Outcome) -> dict[str, Any]:
    """The columns that both data sets have: identity, envelope, kept."""
    facts = outcome.facts
    values = {name: value_of(outcome) for name, value_of in _VALUES}
    values["finished_at"] = datetime.fromtimestamp(outcome.envelope.finished_at, UTC)
    kept = {schema.kept_names[name]: value for name, value in facts.kept.items() if name in schema.kept_names}
    return {"key": facts.key, "uri": facts.uri, **values, **kept}
