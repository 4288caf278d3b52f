"""`_run/runs.jsonl`: when each run began to ask and how it ended; the only trace of calls whose answer never came.

One line when a run begins to ask and one when it has ended in order, whatever its exit code. A run without the second
was killed, and at most the calls that it had in flight were paid for in vain.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from pipeline.storage.local import make_folder, write_error


@dataclass(frozen=True, slots=True)
class Run:
    """One run. Times are Unix seconds; `in_vain` calls may have been billed although no answer was received."""

    run_id: str
    started_at: float
    concurrency: int
    to_do: int
    ended_at: float | None = None
    requests: int | None = None
    in_vain: int = 0
    image_tokens: Sequence[Mapping[str, object]] = ()
    """By task and model, what pictures were expected to cost and what they cost."""

    @property
    def most_in_vain(self) -> int:
        """At most so many calls were paid for in vain: for a killed run an estimate, what it may have had in flight."""
        return self.in_vain if self.ended_at is not None else min(self.concurrency, self.to_do)


def record_start(path: Path, run: Run) -> None:
    """The run is about to ask. Raises LedgerError."""
    line = {
        "run_id": run.run_id,
        "started_at": run.started_at,
        "concurrency": run.concurrency,
        "to_do": run.to_do,
    }
    _append(path, line)


def record_end(
    path: Path,
    run_id: str,
    *,
    ended_at: float,
    requests: int,
    in_vain: int,
    image_tokens: Sequence[Mapping[str, object]] = (),
) -> None:
    """The run has ended in order. Raises LedgerError."""
    line = {"run_id": run_id, "ended_at": ended_at, "requests": requests, "in_vain": in_vain}
    _append(path, {**line, "image_tokens": image_tokens})


def read_runs(path: Path) -> list[Run]:
    """Every run, oldest first; lines torn by a kill are passed over."""
    runs: dict[str, Run] = {}
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            values = orjson.loads(line)
            run_id = values.pop("run_id")
            runs[run_id] = replace(runs[run_id], **values) if run_id in runs else Run(run_id, **values)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return list(runs.values())


def _append(path: Path, values: dict[str, object]) -> None:
    make_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, b"\n" + orjson.dumps(values))  # a line torn by a kill or a full disk ends here
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise write_error(error, path) from None
