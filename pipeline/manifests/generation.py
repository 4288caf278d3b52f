"""Writes one generation of the plan: shards as they fill, then the record that commits them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from pipeline.core.errors import ManifestError
from pipeline.core.outcomes import Move
from pipeline.core.types import Column
from pipeline.manifests.comparison import Unsettled
from pipeline.manifests.plan import Plan
from pipeline.manifests.unit import PlannedRow
from pipeline.storage.local import create, make_folder, publish, write_error

SHARD_ROWS = 20_000
_ROWS = pa.schema([("key", pa.string()), ("ref", pa.binary())])


@dataclass(slots=True)
class _Waiting:
    """Rows that do not fill a shard yet; `earlier` are the former places of some, beside their ordinals here."""

    rows: list[PlannedRow] = field(default_factory=list)
    earlier: list[tuple[int, Unsettled]] = field(default_factory=list)


class GenerationWriter:
    """Takes rows unit by unit, in the order of the manifest, and gives them their places.

    Memory: at most one shard for each combination of tasks that a unit's rows lack.
    """

    def __init__(self, plan: Plan, scratch: Path) -> None:
        self._folder = plan.folder
        self._generation = plan.generation + 1
        self._next_shard = max(plan.shards, default=0) + 1
        self._scratch = scratch
        self._unit = ""
        self._waiting: dict[tuple[str, ...] | None, _Waiting] = {}
        self._shards: list[tuple[int, int, str, tuple[str, ...] | None]] = []
        self._moved: list[Move] = []
        make_folder(scratch)
        make_folder(plan.folder)
        self._path = scratch / f"{self._generation:06}.rows"
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        try:
            self._file = pa.ipc.new_file(str(self._path), _ROWS, options=options)
        except OSError as error:
            raise write_error(error, self._path) from None
        self.rows = 0

    def add(self, row: PlannedRow, unit: str, tasks: tuple[str, ...] | None, earlier: Sequence[Unsettled]) -> None:
        """Plan a row for these tasks (None: for every task, later ones too); what `earlier` spent moves with it."""
        if unit != self._unit:
            self._flush_all()  # else thousands of listings would each hold back part of a shard
            self._unit = unit
        waiting = self._waiting.setdefault(tasks, _Waiting())
        waiting.earlier += [(len(waiting.rows), place) for place in earlier]
        waiting.rows.append(row)
        self.rows += 1
        if len(waiting.rows) == SHARD_ROWS:
            self._flush(tasks)

    def commit(self, units: Mapping[str, Any], kept: Sequence[Column], retired: Sequence[int]) -> None:
        """Write what waits, then the record. Raises LedgerError, ManifestError."""
        self._flush_all()
        final = self._folder / f"{self._generation:06}.rows"
        try:
            self._file.close()
        except OSError as error:
            raise write_error(error, final) from None
        final.unlink(missing_ok=True)  # of a planning that was killed before it was committed: nothing refers to it
        committed = publish(self._path, final)
        record = {
            "units": units,
            "kept": [tuple(column) for column in kept],  # a named tuple is no JSON
            "retired": retired,
            "shards": self._shards,
            "moved": [tuple(move) for move in self._moved],
        }
        committed = committed and create(final.with_suffix(".json"), orjson.dumps(record), self._scratch)
        if not committed:
            raise ManifestError(f"{final} or its record appeared while this process held the output.")

    def _flush_all(self) -> None:
        for tasks in list(self._waiting):
            self._flush(tasks)

    def _flush(self, tasks: tuple[str, ...] | None) -> None:
        waiting = self._waiting.pop(tasks)
        keys, refs = [row.key for row in waiting.rows], [row.ref for row in waiting.rows]
        try:
            self._file.write_batch(pa.record_batch([pa.array(keys, pa.string()), pa.array(refs, pa.binary())], _ROWS))
        except OSError as error:
            raise write_error(error, self._path) from None
        self._shards.append((self._next_shard, len(keys), self._unit, tasks))
        self._moved += [
            Move(task, shard, old, self._next_shard, new, spent.attempts, spent.answers, spent.cost_usd)
            for new, (task, shard, old, spent) in waiting.earlier
        ]
        self._next_shard += 1
