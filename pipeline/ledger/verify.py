"""Holds an output against the promises made about it: what was answered is there, once, and where it belongs.

Nothing is changed. Memory: a batch of rows, the bitmaps of what is done, the keys of one shard, and a 256th of the
output's rows where they are compared by key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pyroaring import BitMap

from pipeline.core.errors import ManifestError
from pipeline.core.outcomes import Frame
from pipeline.core.types import Shard
from pipeline.ledger.audit_files import FileAudit, Held
from pipeline.ledger.audit_journal import Journaled, audit_journal
from pipeline.ledger.audit_keys import KeyAudit, Said
from pipeline.ledger.audit_records import Configured, Files, audit_config, audit_index, list_files
from pipeline.ledger.findings import Findings
from pipeline.ledger.output import Output
from pipeline.ledger.parts import Part

_SHARDS_KEPT = 4
"""How many shards' keys are held: at most so many are open in a journal."""


class Planned(Protocol):
    """The plan of an output, as it stands in its files."""

    @property
    def shards(self) -> Mapping[int, Shard]:
        """Every shard there ever was, by number."""
        ...

    @property
    def retired(self) -> AbstractSet[int]:
        """The shards whose undone rows are nobody's."""
        ...

    def keys(self, shard: int) -> Sequence[str]:
        """The keys of a shard by ordinal. Raises ManifestError."""
        ...


@dataclass(slots=True)
class Checked:
    """What was looked at. Questions are those of the plan's active shards and today's tasks."""

    tasks: list[str] = field(default_factory=list)
    shards: int = 0
    retired_shards: int = 0
    questions: int = 0
    answered: int = 0
    failed: int = 0
    retryable: int = 0
    left: int = 0
    parts: int = 0
    snapshots: int = 0
    segments: int = 0
    frames: int = 0
    uncommitted: int = 0
    cost_usd: float | None = None
    """Over the life of the output, as far as prices were known."""
    success: bool = False


@dataclass(frozen=True, slots=True)
class _Standing:
    """One task in one shard: rows answered, finally failed, failed for now. `whole`: every file could be read."""

    done: BitMap
    final: BitMap
    passing: BitMap
    whole: bool


def verify(output: Output, plan: Planned | None, findings: Findings, scratch: Path) -> Checked:
    """Check everything; `plan` is None when it is missing or cannot be read. Raises OSError, LedgerError.

    Rows that are compared by key lie in the folder `scratch` meanwhile, about 75 bytes each.
    """
    with KeyAudit(scratch) as keys:
        return _Audit(output, plan, findings, keys).run(scratch)


class _Audit:
    def __init__(self, output: Output, plan: Planned | None, findings: Findings, keys: KeyAudit) -> None:
        self._output = output
        self._plan = plan
        self._findings = findings
        self._keys = keys
        self._kept_keys: dict[int, Sequence[str] | None] = {}
        self._files = FileAudit(output.root, findings, keys)
        self._configured = Configured()
        self._journaled = Journaled()
        self._checked = Checked(success=output.success.exists())

    def run(self, scratch: Path) -> Checked:
        output, findings, checked = self._output, self._findings, self._checked
        self._configured = audit_config(output, findings)
        files = list_files(output, findings)
        self._journaled = audit_journal(output, findings, self._visit)
        checked.frames, checked.segments = self._journaled.frames, self._journaled.segments
        checked.tasks = sorted({*self._configured.ever, *files})
        planned = self._plan.shards if self._plan else {}
        checked.shards = len(planned)
        checked.retired_shards = len(self._plan.retired) if self._plan else 0
        held = {shard for task in files.values() for shard in (*task.data, *task.failures)}
        for shard in sorted({*planned, *held, *(shard for _, shard in self._journaled.rows)}):
            for task in checked.tasks:
                self._task_in_shard(task, shard, files.get(task, Files()))
        audit_index(output, findings, scratch)
        self._keys.compare(findings, self._describe)
        return checked

    # The journal

    def _visit(self, segment: str, frame: Frame) -> None:
        """One frame: its place must be planned, and its key be the one planned there."""
        row, facts = frame.row, frame.facts
        said = Said(facts.key, facts.request_sha256, dedup_of=frame.dedup_of)
        self._keys.add(row.task, row.shard, row.ordinal, said, settled=False, stored=False)
        if self._plan is None:
            return
        if why := self._unplanned(row.task, row.shard, row.ordinal):
            self._findings.add("unplanned", f"{segment}: {row.task}, shard {row.shard}, row {row.ordinal}: {why}")
            return
        keys = self._planned_keys(row.shard)
        if keys is not None and keys[row.ordinal] != facts.key:
            self._findings.add("key_wrong", f"{segment}: {self._describe(*row)} is {facts.key!r} in its frame")

    # One task in one shard

    def _task_in_shard(self, task: str, shard: int, files: Files) -> None:
        data, snapshots = files.data.get(shard, []), files.failures.get(shard, [])
        frames = self._journaled.of(task, shard)
        if not data and not snapshots and not frames and not self._asked(task, shard):
            return
        standing = self._stands(task, shard, data, snapshots)
        settled = standing.done | standing.final
        checked = self._checked
        checked.answered += len(standing.done)
        checked.failed += len(standing.final | standing.passing)
        open_frames = frames - settled
        checked.uncommitted += len(open_frames)
        if open_frames:
            self._findings.add("uncommitted", f"{task}, shard {shard}: {_rows(open_frames)}", len(open_frames))
        if self._plan is None:
            return
        self._check_places(task, shard, settled | standing.passing)
        if shard in self._plan.retired:
            if standing.passing:
                self._findings.add("retired_retryable", f"{task}, shard {shard}: {_rows(standing.passing)}")
        elif self._asked(task, shard):
            self._check_complete(task, self._plan.shards[shard], standing, open_frames)

    def _stands(self, task: str, shard: int, data: list[Part], snapshots: list[Part]) -> _Standing:
        """Read the files of one task in one shard. Data wins over what a snapshot says."""
        findings, frames = self._findings, self._journaled.of(task, shard)
        planned = self._planned_keys(shard)
        numbers = [part.number for part in data]
        if numbers != list(range(1, len(numbers) + 1)):
            findings.add("part_gap", f"data/{task}: shard {shard} has the parts {', '.join(map(str, numbers))}")
        done, whole = BitMap(), True
        for part in data:
            self._checked.parts += 1
            held = self._files.read(part, task, planned)
            whole = whole and held is not None
            if held is None:
                continue
            if again := done & held.ordinals:
                findings.add("row_in_two_parts", f"{self._name(part)}: {_rows(again)}", len(again))
            done |= held.ordinals
            self._add_cost(held)
        final, passing = BitMap(), BitMap()
        for older in snapshots[:-1]:
            findings.add("superseded_snapshot", self._name(older))
        for newest in snapshots[-1:]:
            self._checked.snapshots += 1
            held = self._files.read(newest, task, planned)
            whole = whole and held is not None
            if held is None:
                continue
            self._add_cost(held)
            both = done & held.ordinals
            mended = both & held.retryable & frames
            if mended:
                findings.add("half_committed", f"{self._name(newest)}: {_rows(mended)}", len(mended))
            if both - mended:
                findings.add("row_in_both", f"{self._name(newest)}: {_rows(both - mended)}", len(both - mended))
            final, passing = held.ordinals - held.retryable - done, held.retryable - done
        return _Standing(done, final, passing, whole)

    def _add_cost(self, held: Held) -> None:
        if held.cost_usd is not None:
            self._checked.cost_usd = (self._checked.cost_usd or 0.0) + held.cost_usd

    def _check_places(self, task: str, shard: int, rows: BitMap) -> None:
        if rows and (why := self._unplanned(task, shard, rows.max())):
            self._findings.add("unplanned", f"{task}, shard {shard}: {why}", len(rows))

    def _check_complete(self, task: str, shard: Shard, standing: _Standing, open_frames: BitMap) -> None:
        checked, findings = self._checked, self._findings
        left = BitMap(range(shard.rows)) - standing.done - standing.final - standing.passing
        checked.questions += shard.rows
        checked.retryable += len(standing.passing)
        checked.left += len(left)
        if not checked.success:
            return
        place = f"{task}, shard {shard.number}: "
        if left and standing.whole:  # a file that cannot be read has been told
            findings.add("success_unanswered", place + _rows(left), len(left))
        if standing.passing:
            findings.add("success_retryable", place + _rows(standing.passing), len(standing.passing))
        if open_frames:
            findings.add("success_uncommitted", place + _rows(open_frames), len(open_frames))

    # What the plan says

    def _asked(self, task: str, shard: int) -> bool:
        """Whether today's configuration asks this of an active shard."""
        if self._plan is None or shard not in self._plan.shards or shard in self._plan.retired:
            return False
        only = self._plan.shards[shard].tasks
        return task in self._configured.today and (only is None or task in only)

    def _unplanned(self, task: str, shard: int, ordinal: int) -> str | None:
        """Why an outcome cannot stand at this place."""
        planned = self._plan.shards.get(shard) if self._plan else None
        if planned is None:
            return "there is no such shard"
        if ordinal >= planned.rows:
            return f"the shard has {planned.rows:,} rows"
        ever = self._configured.ever
        if (planned.tasks is not None and task not in planned.tasks) or (ever and task not in ever):
            return "this was not asked there"
        return None

    def _planned_keys(self, shard: int) -> Sequence[str] | None:
        """A shard's keys by ordinal, None when they are unknown."""
        if self._plan is None or shard not in self._plan.shards:
            return None
        if shard not in self._kept_keys:
            if len(self._kept_keys) >= _SHARDS_KEPT:
                del self._kept_keys[next(iter(self._kept_keys))]
            try:
                keys: Sequence[str] | None = self._plan.keys(shard)
            except ManifestError as error:
                self._findings.add("plan_unreadable", str(error))
                keys = None
            self._kept_keys[shard] = keys
        return self._kept_keys[shard]

    def _describe(self, task: str, shard: int, ordinal: int) -> str:
        keys = self._planned_keys(shard)
        key = f" ({keys[ordinal]!r})" if keys is not None and ordinal < len(keys) else ""
        return f"{task}, shard {shard}, row {ordinal}{key}"

    def _name(self, part: Part) -> str:
        return str(part.path.relative_to(self._output.root))


def _rows(ordinals: BitMap) -> str:
    """A number of rows, and the first of them."""
    first = ", ".join(str(ordinal) for ordinal, _ in zip(ordinals, range(3), strict=False))
    return f"{len(ordinals):,} row{'' if len(ordinals) == 1 else 's'} ({first}{', ...' if len(ordinals) > 3 else ''})"
