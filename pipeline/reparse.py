"""A new output from the kept raw answers, as the parser of today reads them. No call is made.

The new output has the old one's plan, so that places, shards and keys stay and a run may ask in it what the old one
lacks. The plan is copied last: until all answers are there, no run takes the folder for an output and asks them again.
Of the old output nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from pipeline.closing import mark_complete, too_many_failed, write_derived
from pipeline.compose import OpenTask, kept_config, new_run_id, open_reader, open_schemas, open_tasks, record_of
from pipeline.config import Config
from pipeline.core.errors import ConfigError, LedgerError, RunError
from pipeline.core.outcomes import Frame, Outcome
from pipeline.engine.settle import Settler
from pipeline.ledger.book import Book
from pipeline.ledger.journal import read_frames
from pipeline.ledger.ledger import OutputLedger
from pipeline.ledger.output import Output
from pipeline.ledger.reading import stored_outcomes
from pipeline.ledger.recovery import read_book
from pipeline.ledger.standing import Standing
from pipeline.manifests.plan import Plan, copy_plan, load_plan
from pipeline.reporting.changes import Changes

TELL_EVERY = 100_000
"""Rows between two lines of progress."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reparsed:
    """What has become of the answers, and where they lie now."""

    changes: Mapping[str, Changes]
    message: str
    folders: Sequence[Path]


@dataclass(frozen=True, slots=True)
class _Old:
    """The old output as it stands, journal included."""

    output: Output
    config: Config
    tasks: Mapping[str, OpenTask]
    plan: Plan
    book: Book
    settler: Settler


def reparse(source: Path, target: str) -> Reparsed:
    """Fill the folder `target`, new or empty. Raises ConfigError, HeldError, RunError."""
    output = Output(source)
    kept_config(output, to_ask=False)  # before the lock, which makes a folder where none is
    with output.lock():
        _mind(output, target)
        old = _open(output)
        new = Output(Path(target))
        with new.lock():
            try:
                return _fill(new, old)
            except RunError as error:
                incomplete = f"{error} {target} is not complete: delete it before you start again."
                raise type(error)(incomplete) from None


def _mind(output: Output, target: str) -> None:
    """Refuse a folder that holds anything, or that belongs to the old output. Raises ConfigError."""
    if "://" in target:
        raise ConfigError(["--to: expected a folder; this version does not write to object stores"])
    folder, root = Path(target), output.root.resolve()
    if folder.resolve() == root or root in folder.resolve().parents:
        raise ConfigError([f"--to: {target} lies in {output.root}. Choose a folder outside of it."])
    begun = Output(folder)
    try:
        if not folder.exists() or not any(folder.iterdir()):
            return
    except OSError as error:
        raise ConfigError([f"--to: {target}: {error.strerror}. Choose a new folder."]) from None
    if begun.run.is_dir() and not begun.plan.is_dir():
        raise ConfigError([f"--to: {target} is not complete: what filled it was stopped. Delete it and start again."])
    raise ConfigError([f"--to: {target} exists and is not empty. Choose a new folder."])


def _open(output: Output) -> _Old:
    """Read what stands in the old output and what a kill left in its journal. Raises ConfigError, RunError."""
    config = kept_config(output, to_ask=False)
    tasks, plan = open_tasks(config), load_plan(output.plan)
    if plan.generation == 0:
        raise LedgerError(f"The plan of {output.root} is missing in {output.plan}. Bring it back.")
    settler = Settler(tasks, open_reader(config), config.retry.repairs, config.retry.lifetime_attempts)
    book, recovery = read_book(output, open_schemas(tasks, plan.kept or []), settler, moves=plan.moved)
    for segment in recovery.damaged:
        log.error("journal.damaged", segment=segment, effect="what stands behind the damage is left out")
    book.check(plan.shards)
    book.plan(plan.active, plan.retired, plan.moved)
    for folder in sorted((output.root / "data").glob("*")):
        if folder.is_dir() and folder.name not in tasks:
            log.warning("reparse.left_out", task=folder.name, because="its last run was not configured with it")
    return _Old(output, config, tasks, plan, book, settler)


def _fill(new: Output, old: _Old) -> Reparsed:
    ledger = OutputLedger(new, old.book.schemas, new_run_id())
    try:
        ledger.plan(old.plan.active, old.plan.retired, old.plan.moved)
        _carry_journal(old, ledger)
        changes = _read_again(old, ledger)
        new.record_config(_record(old, new))
        copy_plan(old.plan.folder, new.plan)
        left = sum(ledger.left(shard) for shard in old.plan.active)
        totals = write_derived(new, old.tasks, ledger, left)
        too_many = too_many_failed(old.config, totals)
        if left == 0 and ledger.retryable() == 0 and too_many is None:
            mark_complete(new, totals, left)
    finally:
        ledger.close()
    said = f" {too_many}" if too_many else ""
    if left:
        said += f" {left:,} questions are left, as in {old.output.root}: a run with run.output={new.root} asks them."
    if again := ledger.retryable():
        said += f" {again:,} failed in a way that may pass: such a run tries them again."
    return Reparsed(changes, f"No call was made.{said}", [new.data(name) for name in old.tasks])


def _read_again(old: _Old, ledger: OutputLedger) -> Mapping[str, Changes]:
    """Write every outcome as today's parser has it, and forget each shard once it is. Raises LedgerError."""
    changes = {name: Changes() for name in old.tasks}
    rows = 0
    for place in list(old.book.standings):
        standing = old.book.standings.pop(place)
        for before in _outcomes(standing):
            after = old.settler.read_again(before)
            changes[standing.task].count(before, after)
            if ledger.add(after):
                _commit(ledger)
            rows += 1
            if rows % TELL_EVERY == 0:
                log.info("reparse.progress", rows=rows, task=standing.task, shard=standing.shard)
        _commit(ledger, everything=True)
    return changes


def _outcomes(standing: Standing) -> Iterator[Outcome]:
    """What counts of a task in a shard: committed answers, then failures that nothing has replaced, then the journal's.

    Raises LedgerError.
    """
    for path, _ in standing.committed:
        yield from stored_outcomes(standing.task, standing.schema, path)
    if standing.snapshot is not None:
        for failure in stored_outcomes(standing.task, standing.schema, standing.snapshot.path):
            at = failure.id.ordinal
            replaced = at in standing.done or at in standing.rows or at in standing.failures
            if not replaced and at not in standing.given_up:
                yield failure
    yield from standing.rows.values()
    yield from standing.failures.values()


def _commit(ledger: OutputLedger, *, everything: bool = False) -> None:
    """Write what is due. Raises LedgerError at the first trouble: nothing here is worth a reserve."""
    ledger.commit(everything=everything)
    if trouble := ledger.trouble():
        raise trouble


def _carry_journal(old: _Old, ledger: OutputLedger) -> None:
    """Questions between two attempts go on waiting: what was spent on them stands in the journal alone."""
    for _, item in read_frames(old.output.journal):
        if isinstance(item, Frame) and old.book.waits(item.row):
            ledger.append(item)
            ledger.shelve(item.row, old.book.life(item.row))
    ledger.sync()


def _record(old: _Old, new: Output) -> Mapping[str, Any]:
    """The configuration of the new output; its answers were got with the settings that the old one's record names."""
    kept = old.output.newest_config() or {}
    run = old.config.run.model_copy(update={"output": str(new.root.resolve())})
    record = record_of(old.config.model_copy(update={"run": run}))
    names = {name: kept["fingerprints"][name] for name in record["fingerprints"] if name in kept["fingerprints"]}
    record["fingerprints"] |= names
    return {**record, "started_in": kept.get("started_in", record["started_in"])}
