"""Opens an output for a run: one path after a clean end, a drain or a kill. The rooms meet here, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from pipeline.compose import OpenTask, open_provider, open_schemas, open_tasks, record_of
from pipeline.config import Config
from pipeline.core.errors import ConfigError, LedgerError, ManifestError
from pipeline.core.types import Column
from pipeline.engine.settle import Settler
from pipeline.ledger.ledger import OutputLedger
from pipeline.ledger.output import Output, merge_fingerprints, refuse_changes
from pipeline.ledger.recovery import open_ledger
from pipeline.ledger.schema import TaskSchema
from pipeline.manifests.comparison import NothingAsked
from pipeline.manifests.directory import Directory
from pipeline.manifests.growth import grow_plan, is_outdated
from pipeline.manifests.open import open_manifest
from pipeline.manifests.plan import Plan, PlannedManifest, load_plan
from pipeline.manifests.unit import Unit
from pipeline.storage.http import AiohttpTransport

log = structlog.get_logger()


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


def open_output(config: Config, output: Output, run_id: str, transport: AiohttpTransport) -> Opened:
    """Read what is there, recover what was journaled, plan what is new; blocking, under the output's lock.

    Raises ConfigError, ManifestError, LedgerError. Until the plan is grown nothing but the lock is written.
    """
    old, new = output.newest_config(), record_of(config)
    if old is not None:
        refuse_changes(old, new, output.root)
    tasks = open_tasks(config)
    # Reading answers needs no server: recovery works before one is there.
    reader = open_provider(config, config.provider.base_url or "", transport)
    units = _units(config, output)
    plan = _first_plan(config, output, tasks, units)
    schemas = open_schemas(tasks, plan.kept or [])
    settler = Settler(tasks, reader, config.retry.repairs, config.retry.lifetime_attempts)
    ledger, recovery = open_ledger(output, schemas, run_id, settler, in_flight=config.limits.concurrency)
    if recovery.frames:
        log.info("run.resumed", frames=recovery.frames, restored=recovery.restored)
    for segment in recovery.damaged:
        log.error(
            "journal.damaged",
            segment=segment,
            effect="what stands behind the damage is asked again; the file is kept, move it away",
        )
    ledger.check(plan.shards)
    if is_outdated(plan, units, list(tasks)):
        output.take_back_success()  # before the plan says that there is more to do
    plan = grow_plan(plan, units, list(tasks), ledger, output.scratch)
    _log_opened(plan, units, schemas)
    output.record_config(merge_fingerprints(old, new))
    ledger.plan(plan.active, plan.retired)
    return Opened(output, tasks, ledger, PlannedManifest(plan, {unit.name: unit for unit in units}))


def _first_plan(config: Config, output: Output, tasks: Mapping[str, OpenTask], units: Sequence[Unit]) -> Plan:
    """The plan as it stands; a new output gets its first generation, which fixes the kept columns."""
    if not any(True for unit in units for _ in unit.rows()):
        raise ConfigError([f"manifest.path: no picture is found in {config.manifest.path}"])
    plan = load_plan(output.plan)
    if plan.generation == 0:
        if output.holds_answers():
            raise LedgerError(
                f"{output.root} holds answers, but the plan they belong to is missing in {output.plan}. Bring it back, "
                "or choose a new run.output."
            )
        # What is wrong with the names is told before anything is written.
        open_schemas(tasks, [Column(name, "string") for name in config.manifest.keep])
        return grow_plan(plan, units, list(tasks), NothingAsked(), output.scratch)
    kept = sorted(column.name for column in plan.kept or [])
    if kept != sorted(config.manifest.keep):
        fixed = f"manifest.keep: the columns of {output.root} are fixed as {kept}"
        raise ConfigError([f"{fixed}. Choose a new run.output, or set it back."])
    return plan


def _units(config: Config, output: Output) -> list[Unit]:
    """What the manifest's path names today. Raises ConfigError: the path or the columns it needs are not there."""
    try:
        return open_manifest(
            config.manifest.path,
            image=config.manifest.image,
            key=config.manifest.key,
            keep=config.manifest.keep,
            context=tuple({name: None for task in config.tasks for name in task.context}),
            avoid=output.root,
        )
    except ManifestError as error:
        raise ConfigError([str(error)]) from None


def _log_opened(plan: Plan, units: Sequence[Unit], schemas: Mapping[str, TaskSchema]) -> None:
    for unit in units:
        if isinstance(unit, Directory) and unit.ignored:
            log.info("manifest.ignored", folder=unit.name, files=unit.ignored, because="no picture by their suffix")
    for name, schema in schemas.items():
        for column, written in schema.kept_names.items():
            if column != written:
                log.info("output.column_renamed", task=name, column=column, written_as=written)
    if plan.new_rows or plan.vanished:
        log.info("manifest.planned", new_rows=plan.new_rows, vanished=plan.vanished, generation=plan.generation)
