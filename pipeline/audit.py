"""Checks an output against the promises made about it. The plan and the ledger meet here."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import ConfigError, LedgerError, ManifestError
from pipeline.core.types import Shard
from pipeline.ledger.findings import Findings
from pipeline.ledger.output import Output
from pipeline.ledger.verify import Checked, verify
from pipeline.manifests.plan import Plan, load_plan
from pipeline.storage.local import reason


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found in an output, and what was looked at."""

    root: Path
    findings: Findings
    checked: Checked


@dataclass(frozen=True, slots=True)
class _PlanAsRead:
    """The plan, as the ledger's checks see it."""

    plan: Plan

    @property
    def shards(self) -> Mapping[int, Shard]:
        return self.plan.shards

    @property
    def retired(self) -> AbstractSet[int]:
        return self.plan.retired

    def keys(self, shard: int) -> Sequence[str]:
        try:
            keys = [row.key for row in self.plan.placed(shard)]
        except (ValueError, LookupError, SystemError) as error:
            # Swapped for another file, or a bit flipped: no such batch, no text, an offset that pyarrow stumbles over.
            raise ManifestError(f"{self.plan.folder}: shard {shard}: {type(error).__name__}: {error}") from None
        if len(keys) != self.plan.shards[shard].rows or None in keys:
            raise ManifestError(f"{self.plan.folder}: shard {shard} has other rows than its record says")
        return keys


def audit(root: Path) -> Audit:
    """Check everything, under the output's lock where there is one to take; nothing in the output is changed.

    Raises ConfigError when there is no output, HeldError, LedgerError when it cannot be read.
    """
    output, findings = Output(root), Findings()
    try:
        if not root.is_dir():
            raise ConfigError([f"There is no folder {root}. Name the run.output of a configuration."])
        if not output.run.is_dir() and not output.holds_answers():
            raise ConfigError([f"{root} is no output of vlm-batch: it has no folder _run and no answers in data/."])
        with (
            output.lock_to_read() or nullcontext(),
            tempfile.TemporaryDirectory(prefix="vlm-batch-verify-", ignore_cleanup_errors=True) as scratch,
        ):
            plan = _plan(output, findings)
            checked = verify(output, plan, findings, Path(scratch))
    except OSError as error:
        raise LedgerError(f"Cannot read {error.filename or root}: {reason(error)}.") from None
    return Audit(root, findings, checked)


def _plan(output: Output, findings: Findings) -> _PlanAsRead | None:
    """None when there is none that the answers could be held against; why is told as a finding."""
    try:
        plan = load_plan(output.plan)
    except ManifestError as error:
        findings.add("plan_unreadable", str(error))
        return None
    if plan.generation == 0 and (output.holds_answers() or output.success.exists()):
        findings.add("plan_missing", "_run/plan")
        return None
    shards = plan.shards.values()
    if not all(isinstance(number, int) for shard in shards for number in (shard.number, shard.rows)):
        findings.add("plan_unreadable", "_run/plan: a shard's number or size is no number")
        return None
    return _PlanAsRead(plan)
