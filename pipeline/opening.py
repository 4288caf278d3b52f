"""Opens an output for a run: one path after a clean end, a drain or a kill. The rooms meet here, too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from pyroaring import BitMap

from pipeline.compose import OpenTask, open_provider, open_schemas, open_tasks, record_of
from pipeline.config import Config, columns_of
from pipeline.core.errors import ConfigError, LedgerError, ManifestError
from pipeline.core.outcomes import Move
from pipeline.core.types import Column
from pipeline.engine.settle import Settler
from pipeline.ledger.book import Selection
from pipeline.ledger.choice import Choice, choose
from pipeline.ledger.ledger import OutputLedger
from pipeline.ledger.output import Output, changed_settings, merge_fingerprints
from pipeline.ledger.recovery import open_ledger
from pipeline.ledger.schema import TaskSchema
from pipeline.manifests.comparison import NothingAsked
from pipeline.manifests.growth import grow_plan, is_outdated
from pipeline.manifests.open import open_manifest
from pipeline.manifests.plan import Plan, PlannedManifest, load_plan
from pipeline.manifests.remarks import remarks_on
from pipeline.manifests.unit import Unit
from pipeline.storage.http import AiohttpTransport

log = structlog.get_logger()
_COLUMNS = {"kind", "labels", "schema"}
"""Settings that decide which columns an answer has."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An output under its lock, with its plan grown to today's manifest."""

    output: Output
    tasks: Mapping[str, OpenTask]
    ledger: OutputLedger
    source: PlannedManifest

    def left(self) -> int:
        """Questions still to be asked."""
        return sum(self.ledger.left(shard) for shard in self.source.shards)


def open_output(
    config: Config,
    output: Output,
    run_id: str,
    transport: AiohttpTransport,
    *,
    accept_change: bool = False,
    choice: Choice | None = None,
) -> Opened:
    """Read what is there, recover what was journaled, plan what is new; blocking, under the output's lock.

    `accept_change`: settings that decide answers may differ from those that earlier answers were got with; `choice`:
    the run is about these failures alone, final ones included.

    Raises ConfigError, ManifestError, LedgerError. Until the plan is grown nothing but the lock is written.
    """
    old, new = output.newest_config(), record_of(config)
    mind_changes(old, new, output, accept=accept_change)
    tasks = open_tasks(config)
    # Reading answers needs no server: recovery works before one is there.
    reader = open_provider(config, config.provider.base_url or "", transport)
    units = manifest_units(config, output)
    seen = {unit.name: unit.fingerprint() for unit in units}  # once: in a store each is a request
    plan = first_plan(config, output, tasks, units, seen)
    schemas = open_schemas(tasks, plan.kept or [])
    settler = Settler(tasks, reader, config.retry.repairs, config.retry.lifetime_attempts)
    ledger, recovery = open_ledger(
        output, schemas, run_id, settler, moves=plan.moved, in_flight=config.limits.concurrency
    )
    if recovery.frames:
        log.info("run.resumed", frames=recovery.frames, restored=recovery.restored)
    for segment in recovery.damaged:
        log.error(
            "journal.damaged",
            segment=segment,
            effect="what stands behind the damage is asked again; the file is kept, move it away",
        )
    try:
        return _plan_on(config, output, tasks, ledger, plan, units, seen, (old, new), choice)
    except BaseException:
        ledger.abandon()
        raise


def _plan_on(
    config: Config,
    output: Output,
    tasks: Mapping[str, OpenTask],
    ledger: OutputLedger,
    plan: Plan,
    units: Sequence[Unit],
    seen: Mapping[str, str],
    records: tuple[Mapping[str, Any] | None, Mapping[str, Any]],
    choice: Choice | None,
) -> Opened:
    """Grow the plan to today's manifest, and let the ledger know what is to do."""
    ledger.check(plan.shards)
    selection = None
    if choice is not None:
        ledger.commit(everything=True)  # what a kill left in the journal can be chosen, too
        selection = choose(ledger, choice)
        ledger.reopen(selection)
    reopened = list(selection or ())
    policy = config.manifest.on_duplicate_key
    if is_outdated(plan, seen, list(tasks), reopened, policy):
        output.take_back_success()  # before the plan says that there is more to do
    grown = grow_plan(plan, units, list(tasks), ledger, output.scratch, reopened, policy, fingerprints=seen)
    if grown is not plan:  # else it was told when it was planned
        _log_repeated(config, grown)
    plan = grown
    _log_opened(plan, units, ledger.schemas)
    output.record_config(merge_fingerprints(*records))
    ledger.plan(plan.active, plan.retired, plan.moved)
    if selection is not None:
        ledger.restrict(_followed(selection, plan.moved))
    return Opened(output, tasks, ledger, PlannedManifest(plan, {unit.name: unit for unit in units}))


def mind_changes(old: Mapping[str, Any] | None, new: Mapping[str, Any], output: Output, *, accept: bool) -> None:
    """Refuse settings that differ from those of earlier answers, unless somebody wants that. Raises ConfigError."""
    changes = changed_settings(old, new) if old is not None else {}
    if accept:
        fixed = [(task, name) for task, settings in changes.items() for name in settings if name in _COLUMNS]
        if fixed:
            fixed_by = f"the columns of {output.root}, which are fixed. Choose a new run.output."
            raise ConfigError([f"tasks.{task}: {name} decides {fixed_by}" for task, name in fixed])
        for task, settings in changes.items():
            log.warning("output.change_accepted", task=task, settings=settings, effect="earlier answers stay")
    elif changes:
        raise ConfigError([_refusal(task, settings, output) for task, settings in changes.items()])


def _refusal(task: str, settings: Sequence[str], output: Output) -> str:
    return (
        f"tasks.{task}: {', '.join(settings)} changed since {output.root} was created. Its answers were paid for under "
        "the old setting. Choose a new run.output, set it back, or keep the answers and ask what is left under the new "
        "setting: --accept-change."
    )


def _followed(selection: Selection, moves: Iterable[Move]) -> Selection:
    """The chosen rows at the places where they are asked now."""
    places: dict[tuple[str, int], BitMap] = {key: ordinals.copy() for key, ordinals in selection.items()}
    for move in moves:
        old, new = move.places
        if old.ordinal in places.get((old.task, old.shard), ()):
            places.setdefault((new.task, new.shard), BitMap()).add(new.ordinal)
    return places


def first_plan(
    config: Config, output: Output, tasks: Mapping[str, OpenTask], units: Sequence[Unit], seen: Mapping[str, str]
) -> Plan:
    """The plan as it stands; a new output gets its first generation, which fixes the kept columns.

    `seen`: the fingerprints of the units. Raises ConfigError, LedgerError, ManifestError.
    """
    plan = load_plan(output.plan)
    policy, keep = config.manifest.on_duplicate_key, config.manifest.keep
    # What is planned and unchanged has rows; to read one may mean to read the whole file.
    new = plan.generation == 0 or is_outdated(plan, seen, list(tasks), on_duplicate_key=policy)
    if new and not any(True for unit in units for _ in unit.rows()):
        raise ConfigError([f"manifest.path: no picture is found in {', '.join(config.manifest.path)}"])
    if plan.generation == 0:
        if output.holds_answers():
            raise LedgerError(
                f"{output.root} holds answers, but the plan they belong to is missing in {output.run / 'plan'}. Bring "
                "it back, or choose a new run.output."
            )
        # What is wrong with the names is told before anything is written.
        open_schemas(tasks, [Column(name, "string") for name in keep])
        plan = grow_plan(plan, units, list(tasks), NothingAsked(), output.scratch, (), policy, keep, seen)
        _log_repeated(config, plan)
        return plan
    kept = sorted(column.name for column in plan.kept or [])
    if kept != sorted(keep):
        fixed = f"manifest.keep: the columns of {output.root} are fixed as {kept}"
        raise ConfigError([f"{fixed}. Choose a new run.output, or set it back."])
    return plan


def manifest_units(config: Config, output: Output) -> list[Unit]:
    """What the manifest's path names today. Raises ConfigError: the path or the columns it needs are not there."""
    try:
        return open_manifest(
            config.manifest.path,
            kind=config.manifest.kind,
            image=config.manifest.image,
            key=config.manifest.key,
            keep=config.manifest.keep,
            context=tuple({name: None for task in config.tasks for name in columns_of(task)}),
            on_bad_file=config.manifest.on_bad_file,
            avoid=output.root,
        )
    except ManifestError as error:
        raise ConfigError([str(error)]) from None


def _log_repeated(config: Config, plan: Plan) -> None:
    if plan.repeated:
        effect = "left out" if config.manifest.on_duplicate_key == "first" else "numbered"
        log.warning("manifest.duplicate_keys", rows=plan.repeated, effect=effect)


def _log_opened(plan: Plan, units: Sequence[Unit], schemas: Mapping[str, TaskSchema]) -> None:
    for event, facts, warns in remarks_on(units):
        (log.warning if warns else log.info)(event, **facts)
    for name, schema in schemas.items():
        for column, written in schema.kept_names.items():
            if column != written:
                log.info("output.column_renamed", task=name, column=column, written_as=written)
    if plan.new_rows or plan.vanished:
        log.info("manifest.planned", new_rows=plan.new_rows, vanished=plan.vanished, generation=plan.generation)
    if plan.unplaced:
        log.warning("rerun.vanished", rows=plan.unplaced, because="the manifest names them no more")
