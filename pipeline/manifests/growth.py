"""Growing the plan: a new generation for what is new, changed, gone or reopened, in bounded memory.

Two passes over the units concerned. The first compares the manifest with the plan and the answers, key by key on the
disk (`comparison.py`), and notes the numbers of the rows to be planned. The second reads the units again and writes
those rows in the manifest's order (`generation.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.core.errors import ManifestError
from pipeline.core.types import Column
from pipeline.manifests.comparison import Comparison, Marks, Standings
from pipeline.manifests.duplicates import Naming, OnDuplicateKey
from pipeline.manifests.generation import GenerationWriter
from pipeline.manifests.plan import Plan, load_plan
from pipeline.manifests.unit import PlannedRow, Unit
from pipeline.storage.buckets import Buckets


def is_outdated(
    plan: Plan,
    fingerprints: Mapping[str, str],
    tasks: Sequence[str],
    reopened: Collection[tuple[str, int]] = (),
    on_duplicate_key: OnDuplicateKey = "error",
) -> bool:
    """Whether `grow_plan` would write a new generation; with rows reopened in retired shards, whether it may."""
    stale = _stale(plan, fingerprints, tasks, on_duplicate_key)
    return bool(stale or _reopened(plan, tasks, reopened))


def grow_plan(
    plan: Plan,
    units: Sequence[Unit],
    tasks: Sequence[str],
    standings: Standings,
    scratch: Path,
    reopened: Collection[tuple[str, int]] = (),
    on_duplicate_key: OnDuplicateKey = "error",
    keep: Sequence[str] = (),
    fingerprints: Mapping[str, str] | None = None,
) -> Plan:
    """Plan what is new or changed in the manifest since the last generation; the same plan when nothing is.

    `reopened` names (task, retired shard) pairs in which settled rows are to be asked again: those that the manifest
    still names get a new place, whether or not their unit has changed. `keep` names the kept columns: what no unit
    knows the type of is text. With `on_duplicate_key` other than "error" all units are read once more.
    `fingerprints` are those of the units when they were opened, for who knows them already.

    Raises ManifestError: unreadable units, a key that stands twice. Raises LedgerError: the disk is full.
    """
    fingerprints = fingerprints or {unit.name: unit.fingerprint() for unit in units}
    stale = _stale(plan, fingerprints, tasks, on_duplicate_key)
    pairs = _reopened(plan, tasks, reopened)
    if not stale and not pairs:
        return plan
    with Naming(units, on_duplicate_key, scratch) as naming:
        # A row's name may depend on the units before it: where it is another one now, its unit has changed, too.
        names = {unit.name: naming.of(unit.name) for unit in units}
        stale |= {name for name in names if plan.units.get(name, {}).get("repeated", "") != names[name]}
        records = {
            unit.name: {
                "fingerprint": fingerprints[unit.name],
                "tasks": list(tasks),
                "repeated": names[unit.name],
                **({"policy": on_duplicate_key} if names[unit.name] else {}),
            }
            if unit.name in stale
            else plan.units[unit.name]
            for unit in units
        }
        grown = _grown(plan, naming.units(), records, standings, scratch, stale, pairs, tasks, keep)
        grown.repeated = naming.repeated
        return grown


def _grown(
    plan: Plan,
    units: Sequence[Unit],
    records: Mapping[str, Any],
    standings: Standings,
    scratch: Path,
    stale: set[str],
    pairs: set[tuple[str, int]],
    tasks: Sequence[str],
    keep: Sequence[str],
) -> Plan:
    """The next generation, over units whose rows have the names that they are planned under."""
    changed = [unit for unit in units if unit.name in stale]
    # Changed units come first: a key that they name is planned there, with all that it lacks.
    sources = changed + [unit for unit in units if pairs and unit.name not in stale]
    with Buckets(scratch, "keys", "BQ") as spread:
        comparison = Comparison(plan, tasks, standings, stale, pairs, spread)
        comparison.spread_planned()
        comparison.spread_named(sources)
        comparison.decide()
    if comparison.duplicates:
        examples = ", ".join(_located(changed, list(comparison.duplicates[:3])))
        raise ManifestError(
            f"The manifest names keys more than once ({len(comparison.duplicates)} times too often), for example "
            f"{examples}. Set manifest.key to a column that is unique (rows may then share a picture), or "
            "manifest.on_duplicate_key to 'number' (later rows become key#2, key#3) or 'first' (they are left out)."
        )
    if not stale and not comparison.due:
        plan.unplaced = comparison.unplaced
        return plan
    writer = GenerationWriter(plan, scratch)
    for unit_name, row, lacking in _select(sources, comparison.marks()):
        writer.add(row, unit_name, lacking, comparison.taken_along(row.key, lacking))
    for unit in sources:  # row numbers of the first pass mean nothing in another content
        if unit.fingerprint() != records[unit.name]["fingerprint"]:
            raise ManifestError(f"{unit.name} was changed while it was being planned. Run the same command again.")
    retired = sorted(shard.number for shard in plan.active if shard.unit in stale)
    writer.commit(records, _merge_columns(plan.kept, changed, keep), retired)
    grown = load_plan(plan.folder)
    grown.new_rows, grown.vanished, grown.unplaced = writer.rows, comparison.vanished, comparison.unplaced
    return grown


def _stale(plan: Plan, fingerprints: Mapping[str, str], tasks: Sequence[str], policy: OnDuplicateKey) -> set[str]:
    """The units that are new, changed or gone, by name."""
    # A task added later is covered by shards that hold for every task; not by rows that were split up by task.
    split = any(shard.tasks is not None or shard.number in plan.retired for shard in plan.shards.values())
    stale = {shard.unit for shard in plan.active} - set(fingerprints)
    for name, fingerprint in fingerprints.items():
        record = plan.units.get(name)
        if record is None or record["fingerprint"] != fingerprint or (split and not set(tasks) <= set(record["tasks"])):
            stale.add(name)
        elif policy != "error" and record.get("policy", policy) != policy:
            stale.add(name)  # rows were left out and are to have numbers now, or the other way round
    return stale


def _reopened(plan: Plan, tasks: Sequence[str], pairs: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
    """The pairs that need a new place: rows of a shard that is worked on are asked again where they are."""
    return {(task, shard) for task, shard in pairs if task in tasks and shard in plan.retired}


def _merge_columns(fixed: Sequence[Column] | None, units: Sequence[Unit], keep: Sequence[str]) -> list[Column]:
    """The kept columns over all units; one whose type differs between them is text, unless types are `fixed` already.

    It has the classes that units give it, if those are the same; what was fixed without any gets none later.
    """
    types = {column.name: column.type for column in fixed or ()}
    classes = {column.name: {column.classes} for column in fixed or ()}
    for unit in units:
        for column in unit.columns():
            if fixed is None and types.setdefault(column.name, column.type) != column.type:
                types[column.name] = "string"
            if column.classes:
                classes.setdefault(column.name, set()).add(column.classes)
    if fixed is None:
        types |= {name: "string" for name in keep if name not in types}
    merged = []
    for name, kind in types.items():
        named = classes.get(name, set())
        merged.append(Column(name, kind, *(named if kind == "int" and len(named) == 1 else ())))
    return merged


def _located(units: Sequence[Unit], wanted: list[int]) -> Iterator[str]:
    """The keys of these rows, numbered over all units, with where they stand."""
    passed = 0
    for unit in units:
        for place, row in enumerate(unit.rows(), start=1):
            if wanted and passed == wanted[0]:
                del wanted[0]
                yield f"{row.key!r} again in row {place:,} of {unit.name}"
            if not wanted:
                return
            passed += 1


def _select(units: Sequence[Unit], marks: Marks) -> Iterator[tuple[str, PlannedRow, tuple[str, ...] | None]]:
    """The marked rows, each with its unit's name before it and its mark behind; numbers count over all units."""
    number, mark = next(marks, (-1, None))
    rows = ((unit.name, row) for unit in units for row in unit.rows())
    for passed, (unit_name, row) in enumerate(rows):
        if number < 0:
            return
        if passed == number:
            yield unit_name, row, mark
            number, mark = next(marks, (-1, None))
