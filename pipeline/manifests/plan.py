"""The plan: which rows there are, in shards that never change, kept in create-only generations.

    _run/plan/<generation>.json   units, shards, retired shards, moved rows; its existence commits the generation
    _run/plan/<generation>.rows   one Arrow record batch a shard: key, ref

A unit that did not change keeps its shards. A changed one has its shards retired: what is settled in them stays, and
its rows are planned anew in new shards, each for the tasks that its key still lacks. A key is the identity of a
picture in an output, wherever the manifest names it. `growth.py` decides what a new generation holds, `generation.py`
writes it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from pipeline.core.errors import ManifestError
from pipeline.core.outcomes import Move
from pipeline.core.types import Column, ManifestRow, Shard
from pipeline.manifests.duplicates import read_named
from pipeline.manifests.unit import Placed, Unit
from pipeline.storage.local import make_folder, sync_folder, write_error


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
    moved: list[Move] = field(default_factory=list)
    """Rows on which something was spent before their shard was retired and they got a new place; oldest first."""
    kept: list[Column] | None = None
    generation: int = 0
    new_rows: int = 0
    vanished: int = 0
    """Rows planned at any time from a unit changed now that the manifest no longer names."""
    unplaced: int = 0
    """Rows reopened in retired shards that the manifest no longer names: they cannot be asked again."""
    repeated: int = 0
    """Rows that the last planning left out or numbered, because their key was named before."""

    @property
    def active(self) -> list[Shard]:
        """The shards to work on, oldest first."""
        return [shard for number, shard in sorted(self.shards.items()) if number not in self.retired]

    def placed(self, shard: int) -> Iterator[Placed]:
        """A shard's rows by ordinal. Raises ManifestError."""
        keys, refs = self._read(shard, "key", "ref")
        return (Placed(ordinal, key, ref) for ordinal, (key, ref) in enumerate(zip(keys, refs, strict=True)))

    def keys(self, shard: int) -> list[str]:
        """The keys of a shard's rows by ordinal. Raises ManifestError."""
        return self._read(shard, "key")[0]

    def _read(self, shard: int, *columns: str) -> list[list[Any]]:
        generation, batch_number = self.places[shard]
        path = _own(self.folder / f"{generation:06}.rows")
        try:
            with pa.memory_map(str(path)) as file:
                batch = pa.ipc.open_file(file).get_batch(batch_number)
                batch.validate(full=True)  # a flipped bit in an offset would lead out of the file
                return [batch.column(name).to_pylist() for name in columns]
        except (OSError, pa.ArrowException) as error:
            raise ManifestError(f"Cannot read {path}: {str(error).splitlines()[0]}") from None


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
        return read_named(unit, shard.number, self.plan.placed(shard.number), self.plan.kept or [])


def copy_plan(folder: Path, to: Path) -> None:
    """All generations, for another output with the same rows; `to` appears when it is whole. Raises LedgerError."""
    unfinished = to.with_name(f"{to.name}.copy")
    make_folder(unfinished)
    try:
        for path in sorted(folder.iterdir()):
            with path.open("rb") as source, (unfinished / path.name).open("wb") as copy:
                shutil.copyfileobj(source, copy)
                copy.flush()
                os.fsync(copy.fileno())
        sync_folder(unfinished)
        unfinished.rename(to)
        sync_folder(to.parent)
    except OSError as error:
        raise write_error(error, to) from None


def load_plan(folder: Path) -> Plan:
    """Every generation committed so far. Raises ManifestError."""
    plan = Plan(folder)
    for path in map(_own, sorted(folder.glob("[0-9]*.json"))) if folder.is_dir() else []:
        plan.generation += 1
        if path.name != f"{plan.generation:06}.json":
            raise ManifestError(
                f"{path.parent} has no generation {plan.generation}, but {path.name}. Was a file deleted?"
            )
        try:
            record = orjson.loads(path.read_bytes())
            plan.units = record["units"]
            # An older record has no classes.
            plan.kept = [Column(name, kind, *map(tuple, classes)) for name, kind, *classes in record["kept"]]
            plan.retired.update(record["retired"])
            plan.moved += [Move(*move) for move in record.get("moved", ())]  # an older record has none
            for batch, (number, rows, unit, tasks) in enumerate(record["shards"]):
                plan.shards[number] = Shard(number, rows, unit, tuple(tasks) if tasks is not None else None)
                plan.places[number] = (plan.generation, batch)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ManifestError(f"Cannot read the plan {path}: {type(error).__name__} {error}.") from None
    return plan


def _own(path: Path) -> Path:
    """A generation's file under its own name: the next plan may grow beside links, in a folder that nobody knows."""
    return path.readlink() if path.is_symlink() else path
