"""What a run has answered, read from its output: `data/<task>/` and `failures/<task>/`, Parquet both.

A row that failed is an answer too: the worst one. Of a shard's failure snapshots the highest generation counts; a row
that stands in the data as well has been answered since.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.errors import KINDS, RunError
from pipeline.evaluation.ask import shown

_SNAPSHOT = re.compile(r"shard-(\d+)-(\d+)\.parquet")
_ENVELOPE = "raw_text"
"""The first of the columns that follow the answer's own (`ledger/schema.py`)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How one row of one task ended.

    `text` is the caption, the text on the picture, verdict and labels, or the answer, fields as JSON; None where the
    row failed, and `failure` is its kind and message. `fields` are the answer's own columns.
    """

    task: str
    kind: str
    key: str
    uri: str
    text: str | None
    failure: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    request_sha256: str | None = None


def read_answers(root: Path, tasks: Mapping[str, str]) -> tuple[Answer, ...]:
    """Every row of these tasks (name -> kind), by task in the order given, by key. Raises RunError."""
    return tuple(answer for task, kind in tasks.items() for answer in _task(root, task, kind))


def may_pass(failure: str | None) -> bool:
    """Whether a failure says nothing of the answer, so that the next run asks again: a server that was busy or away."""
    kind = KINDS.get((failure or "").partition(":")[0])
    return kind is not None and kind.retryable


def verdict_of(text: str | None) -> str:
    """The verdict at the beginning of a moderation's text; "failed" where there is none."""
    return "failed" if text is None else text.split(" ", 1)[0]


def moderation_text(verdict: str, labels: Iterator[str] | tuple[str, ...] | list[str]) -> str:
    """Verdict and labels as one text, such as "unsafe (violence)"."""
    named = ", ".join(labels)
    return f"{verdict} ({named})" if named else verdict


def _task(root: Path, task: str, kind: str) -> list[Answer]:
    found: dict[str, Answer] = {}
    for path in _snapshots(root / "failures" / task):
        for row in _rows(path):
            failure = f"{row['kind']}: {row['message']}"
            found[row["key"]] = _answer(task, kind, row, None, {}, failure)
    for path in sorted((root / "data" / task).glob("*.parquet")):
        for row in _rows(path):
            names = list(row)
            fields = {name: row[name] for name in names[2 : names.index(_ENVELOPE)]}
            found[row["key"]] = _answer(task, kind, row, _text(kind, fields), fields, None)
    return [found[key] for key in sorted(found)]


def _answer(
    task: str, kind: str, row: Mapping[str, Any], text: str | None, fields: Mapping[str, Any], failure: str | None
) -> Answer:
    return Answer(task, kind, row["key"], row["uri"] or "", text, failure, fields, row["request_sha256"])


def _text(kind: str, fields: Mapping[str, Any]) -> str:
    if kind == "caption":
        return fields["caption"] or ""
    if kind == "ocr":
        return fields["text"] or ""
    if kind == "moderate":
        return moderation_text(fields["verdict"], fields["labels"] or [])
    return shown(next(iter(fields.values())) if list(fields) == ["answer"] else dict(fields))


def _snapshots(folder: Path) -> list[Path]:
    """The newest snapshot of each shard."""
    newest: dict[int, tuple[int, Path]] = {}
    for path in folder.glob("*.parquet"):
        if match := _SNAPSHOT.fullmatch(path.name):
            shard, generation = int(match[1]), int(match[2])
            newest[shard] = max(newest.get(shard, (-1, path)), (generation, path))
    return [path for _, (_, path) in sorted(newest.items())]


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = pq.ParquetFile(path).read().to_pylist()
    except (OSError, pa.ArrowException) as error:
        told = str(error).splitlines()[0]
        raise RunError(f"Cannot read {path}: {told}. Run vlm-batch verify on this output.") from None
    return rows
