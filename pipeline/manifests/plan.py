"""The plan: which rows there are, in shards that never change, kept in create-only generations.

    _run/plan/<generation>.json   units, shards, retired shards; its existence commits the generation
    _run/plan/<generation>.rows   one Arrow record batch a shard: key, ref

A unit that did not change keeps its shards. A changed one has its shards retired: what is settled in them stays, and
its rows are planned anew in new shards, each for the tasks that its key still lacks. A key is the identity of a
picture in an output, wherever the manifest names it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson
import pyarrow as pa

from pipeline.core.errors import ManifestError
from pipeline.core.types import Column, ManifestRow, Shard
from pipeline.manifests.unit import Placed, PlannedRow, Unit
from pipeline.storage.local import create, make_folder, publish, write_error

SHARD_ROWS = 20_000
_ROWS = pa.schema([("key", pa.string()), ("ref", pa.binary())])


class Ordinals(Protocol):
    """A set of row numbers within a shard."""

    def __contains__(self, ordinal: int, /) -> bool:
        """Whether the row is in the set."""
        ...


Settled = Callable[[str, int], Ordinals]
"""(task, shard) -> the rows that need not be asked again."""


@dataclass(slots=True)
class Plan:
    """All generations read together, and what the last planning found."""

    folder: Path
    units: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By unit name: its fingerprint and the tasks it was planned for."""
    shards: dict[int, Shard] = field(default_factory=dict)
    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By shard: its generation, and its batch in that generation's row file."""
    retired: set[int] = field(default_factory=set)
    kept: list[Column] | None = None
    generation: int = 0
    new_rows: int = 0
    vanished: int = 0
    """Rows planned at any time from a unit changed now that the manifest no longer names."""

    @property
    def active(self) -> list[Shard]:
        """The shards to work on, oldest first."""
        return [shard for number, shard in sorted(self.shards.items()) if number not in self.retired]

    def placed(self, shard: int) -> Iterator[Placed]:
        """A shard's rows by ordinal. Raises ManifestError."""
        generation, batch_number = self.places[shard]
        path = self.folder / f"{generation:06}.rows"
        try:
            with pa.memory_map(str(path)) as file:
                batch = pa.ipc.open_file(file).get_batch(batch_number)
                keys, refs = batch.column("key").to_pylist(), batch.column("ref").to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise ManifestError(f"Cannot read {path}: {str(error).splitlines()[0]}") from None
        return (Placed(ordinal, key, ref) for ordinal, (key, ref) in enumerate(zip(keys, refs, strict=True)))


@dataclass(frozen=True, slots=True)
class PlannedManifest:
    """The engine's source: a plan and the units behind it."""

    plan: Plan
    units: Mapping[str, Unit]

    @property
    def shards(self) -> Sequence[Shard]:
        """Every shard to work on, oldest first."""
        return self.plan.active

    def scan(self, shard: Shard) -> Iterator[ManifestRow]:
        """The shard's rows by ordinal. Raises ManifestError."""
        unit = self.units[shard.unit]
        if unit.fingerprint() != self.plan.units[shard.unit]["fingerprint"]:
            raise ManifestError(f"{unit.name} was changed after it was planned. Run the same command again.")
        return unit.read(shard.number, self.plan.placed(shard.number), self.plan.kept or [])


def load_plan(folder: Path) -> Plan:
    """Every generation committed so far. Raises ManifestError."""
    plan = Plan(folder)
    for path in sorted(folder.glob("[0-9]*.json")) if folder.is_dir() else []:
        plan.generation += 1
        if path.name != f"{plan.generation:06}.json":
            raise ManifestError(f"{folder} has no generation {plan.generation}, but {path.name}. Was a file deleted?")
        try:
            record = orjson.loads(path.read_bytes())
            plan.units = record["units"]
            plan.kept = [Column(*column) for column in record["kept"]]
            plan.retired.update(record["retired"])
            for batch, (number, rows, unit, tasks) in enumerate(record["shards"]):
                plan.shards[number] = Shard(number, rows, unit, tuple(tasks) if tasks is not None else None)
                plan.places[number] = (plan.generation, batch)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ManifestError(f"Cannot read the plan {path}: {type(error).__name__} {error}.") from None
    return plan


def is_outdated(plan: Plan, units: Sequence[Unit], tasks: Sequence[str]) -> bool:
    """Whether `grow_plan` would write a new generation."""
    return bool(_stale(plan, {unit.name: unit.fingerprint() for unit in units}, tasks))


def grow_plan(plan: Plan, units: Sequence[Unit], tasks: Sequence[str], settled: Settled, scratch: Path) -> Plan:
    """Plan what is new or changed in the manifest since the last generation; the same plan when nothing is.

    Raises ManifestError: unreadable units, a key that stands twice.
    """
    fingerprints = {unit.name: unit.fingerprint() for unit in units}
    stale = _stale(plan, fingerprints, tasks)
    if not stale:
        return plan
    changed = [unit for unit in units if unit.name in stale]
    retired = sorted(shard.number for shard in plan.active if shard.unit in stale)
    writer = _GenerationWriter(plan, scratch)
    known = _known(plan, tasks, settled, {*plan.retired, *retired})
    seen = {_digest(row.key) for shard in plan.active if shard.unit not in stale for row in plan.placed(shard.number)}
    duplicates: list[str] = []
    for unit in changed:
        for row in unit.rows():
            digest = _digest(row.key)
            if digest in seen:
                duplicates.append(row.key)
                continue
            seen.add(digest)
            if digest not in known:
                writer.add(row, unit.name, None)
            elif missing := tuple(task for task in tasks if task not in known[digest]):
                writer.add(row, unit.name, missing)
    if duplicates:
        raise ManifestError(
            f"The manifest names keys more than once ({len(duplicates)} times too often), for example "
            f"{', '.join(repr(key) for key in duplicates[:3])}. Set manifest.key to a column that is unique."
        )
    before = {
        _digest(row.key) for shard in plan.shards.values() if shard.unit in stale for row in plan.placed(shard.number)
    }
    kept = plan.kept if plan.kept is not None else _merge_columns(changed)
    records = {
        unit.name: {"fingerprint": fingerprints[unit.name], "tasks": list(tasks)}
        if unit in changed
        else plan.units[unit.name]
        for unit in units
    }
    writer.commit(records, kept, retired)
    grown = load_plan(plan.folder)
    grown.new_rows, grown.vanished = writer.rows, len(before - seen)
    return grown


def _stale(plan: Plan, fingerprints: Mapping[str, str], tasks: Sequence[str]) -> set[str]:
    """The units that are new, changed or gone, by name."""
    gone = {shard.unit for shard in plan.active} - set(fingerprints)
    return gone | {name for name, fingerprint in fingerprints.items() if _changed(plan, name, fingerprint, tasks)}


def _changed(plan: Plan, name: str, fingerprint: str, tasks: Sequence[str]) -> bool:
    record = plan.units.get(name)
    if record is None or record["fingerprint"] != fingerprint:
        return True
    # A task added later is covered by shards that hold for every task; not by rows that were split up by task.
    split = any(shard.tasks is not None or shard.number in plan.retired for shard in plan.shards.values())
    return split and not set(tasks) <= set(record["tasks"])


def _known(plan: Plan, tasks: Sequence[str], settled: Settled, retired: set[int]) -> dict[bytes, set[str]]:
    """By key digest: the tasks settled in retired shards; a key that stands in one without any maps to an empty set."""
    known: dict[bytes, set[str]] = {}
    for number in sorted(retired):
        done = {task: settled(task, number) for task in tasks}
        for row in plan.placed(number):
            tasks_done = known.setdefault(_digest(row.key), set())
            tasks_done.update(task for task in tasks if row.ordinal in done[task])
    return known


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _merge_columns(units: Sequence[Unit]) -> list[Column]:
    """The kept columns over all units; a column whose type differs between them is text."""
    merged: dict[str, Column] = {}
    for unit in units:
        for column in unit.columns():
            before = merged.get(column.name, column)
            merged[column.name] = column if before == column else Column(column.name, "string")
    return list(merged.values())


class _GenerationWriter:
    """Writes one generation: shards as they fill, then the record that commits them."""

    def __init__(self, plan: Plan, scratch: Path) -> None:
        self._folder = plan.folder
        self._generation = plan.generation + 1
        self._next_shard = max(plan.shards, default=0) + 1
        self._scratch = scratch
        self._waiting: dict[tuple[str, tuple[str, ...] | None], list[PlannedRow]] = {}
        self._shards: list[tuple[int, int, str, tuple[str, ...] | None]] = []
        make_folder(scratch)
        make_folder(plan.folder)
        self._path = scratch / f"{self._generation:06}.rows"
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        try:
            self._file = pa.ipc.new_file(str(self._path), _ROWS, options=options)
        except OSError as error:
            raise write_error(error, self._path) from None
        self.rows = 0

    def add(self, row: PlannedRow, unit: str, tasks: tuple[str, ...] | None) -> None:
        rows = self._waiting.setdefault((unit, tasks), [])
        rows.append(row)
        self.rows += 1
        if len(rows) == SHARD_ROWS:
            self._flush(unit, tasks)

    def commit(self, units: Mapping[str, Any], kept: Sequence[Column], retired: Sequence[int]) -> None:
        for unit, tasks in list(self._waiting):
            self._flush(unit, tasks)
        final = self._folder / f"{self._generation:06}.rows"
        try:
            self._file.close()
        except OSError as error:
            raise write_error(error, final) from None
        final.unlink(missing_ok=True)  # of a planning that was killed before it was committed: nothing refers to it
        committed = publish(self._path, final)
        columns = [tuple(column) for column in kept]  # a named tuple is no JSON
        record = {"units": units, "kept": columns, "retired": retired, "shards": self._shards}
        committed = committed and create(final.with_suffix(".json"), orjson.dumps(record), self._scratch)
        if not committed:
            raise ManifestError(f"{final} or its record appeared while this process held the output.")

    def _flush(self, unit: str, tasks: tuple[str, ...] | None) -> None:
        rows = self._waiting.pop((unit, tasks))
        keys, refs = [row.key for row in rows], [row.ref for row in rows]
        try:
            self._file.write_batch(pa.record_batch([pa.array(keys, pa.string()), pa.array(refs, pa.binary())], _ROWS))
        except OSError as error:
            raise write_error(error, self._path) from None
        self._shards.append((self._next_shard, len(rows), unit, tasks))
        self._next_shard += 1
