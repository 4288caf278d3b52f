"""Whole outputs for `verify`: planned, grown, answered and failed by the product's own writers, only small."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from pipeline import audit
from pipeline.core.outcomes import Envelope, Frame, Row
from pipeline.core.types import Column, Facts, RowId
from pipeline.ledger import standing
from pipeline.ledger.findings import Findings
from pipeline.manifests import generation
from pipeline.manifests.growth import grow_plan
from pipeline.manifests.plan import Plan, load_plan
from pipeline.manifests.unit import PlannedRow
from tests.ledger.world import Session, answer, problem

TASKS = ("caption", "ocr")
SHARD_ROWS, PART_ROWS = 4, 2


class Pictures:
    """A unit of these keys; other keys, other fingerprint."""

    name = "pictures"

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys

    def fingerprint(self) -> str:
        return repr(self._keys)

    def rows(self) -> Iterator[PlannedRow]:
        return (PlannedRow(key, key.encode()) for key in self._keys)

    def columns(self) -> list[Column]:
        return []


class House:
    """One output over its life: `grow` plans, `work` is a run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run_number = 0
        self.clock = 1_700_000_000.0
        self.session: Session

    def open(self, *keys: str) -> Session:
        """A run opens the output over a manifest of these keys."""
        self.run_number += 1
        moves = load_plan(self.root / "_run/plan").moved
        self.session = Session(self.root, tasks=TASKS, shards=(), moves=moves, run_id=f"run-{self.run_number}")
        output, ledger = self.session.output, self.session.ledger
        plan = grow_plan(load_plan(output.plan), [Pictures(keys)], TASKS, ledger, output.scratch)  # type: ignore[list-item]
        tasks = [{"name": None, "kind": "caption"}, {"name": "ocr", "kind": "ask"}]
        output.record_config({"fingerprints": {task: {} for task in TASKS}, "config": {"tasks": tasks}})
        ledger.plan(plan.active, plan.retired, plan.moved)
        return self.session

    @property
    def plan(self) -> Plan:
        return load_plan(self.session.output.plan)

    def todo(self) -> list[tuple[RowId, str]]:
        """What is still to be asked, with its key."""
        return [
            (RowId(task, shard.number, row.ordinal), row.key)
            for shard in self.plan.active
            for row in self.plan.placed(shard.number)
            for task in self.session.ledger.outstanding(shard, row.ordinal)
        ]

    def frame(self, row: RowId, key: str, kind: str | None = None) -> Frame:
        """An answer to this row, or its end by a failure of this kind. Every one has its own time and request."""
        self.clock += 1
        values = {"shard": row.shard, "task": row.task, "run_id": self.session.run_id, "received_at": self.clock}
        attempts = self.session.ledger.life(row).spent.attempts + 1
        made = (
            problem(row.ordinal, kind, attempts=attempts, **values)
            if kind
            else answer(row.ordinal, f"what {key} shows", attempts=attempts, **values)
        )
        return replace(made, facts=facts(row.task, key), request_id=f"request-{self.clock}")

    def receive(self, row: RowId, key: str, kind: str | None = None) -> None:
        self.session.receive(self.frame(row, key, kind))

    def copy(self, row: RowId, key: str, original: str) -> None:
        """The row shares the answer of an equal question."""
        envelope = Envelope(self.session.run_id, self.clock, 0, cost_usd=0.0, request_id="r", dedup_of=original)
        shared = replace(facts(row.task, key), request_sha256=facts(row.task, original).request_sha256)
        self.session.ledger.add(Row(row, shared, {"caption": f"what {original} shows"}, envelope))

    def work(self, failing: Mapping[str, str] | None = None, *, until: int | None = None) -> None:
        """Ask what is to do, or the first `until` of it; `failing` maps keys to kinds."""
        for row, key in self.todo()[:until]:
            self.receive(row, key, (failing or {}).get(key))


def facts(task: str, key: str) -> Facts:
    return Facts(key, key, "model", request_sha256=hashlib.sha256(f"{task} {key}".encode()).hexdigest())


def names(count: int, start: int = 0) -> list[str]:
    return [f"k{number:02}.jpg" for number in range(start, start + count)]


def small(patch: pytest.MonkeyPatch) -> None:
    """Shards and parts of a few rows, so that a small output has many."""
    patch.setattr(generation, "SHARD_ROWS", SHARD_ROWS)
    patch.setattr(standing, "PART_ROWS", PART_ROWS)


def finished(root: Path) -> House:
    """Two tasks, two generations of the plan, retired shards, failures tried again, a copy, `_SUCCESS`, an index."""
    house = House(root)
    house.open(*names(10))
    house.work({"k02.jpg": "not_found", "k03.jpg": "timeout"}, until=11)
    house.session.end()
    house.open(*names(14))
    (twin, key), *rest = house.todo()
    house.copy(twin, key, next(key for row, key in rest if row.task == twin.task))
    house.work({"k11.jpg": "not_an_image", "k12.jpg": "timeout"})
    house.session.end()
    house.open(*names(14))
    house.work()
    house.session.end()
    with (root / "_run/segments").open("a") as record:
        record.write("+00000")  # torn by a kill
    (root / "_SUCCESS").write_bytes(orjson.dumps({}))
    return house


def stopped(root: Path) -> House:
    """The same, killed in its second run: rows to do, failures to be tried again, frames that are not committed."""
    house = House(root)
    house.open(*names(10))
    house.work({"k02.jpg": "not_found", "k03.jpg": "timeout", "k04.jpg": "timeout"}, until=11)
    house.session.end()
    house.open(*names(10))
    house.work(until=5)
    house.session.die()
    return house


def found(root: Path) -> tuple[set[str], set[str]]:
    """The codes of the damage and of the notes that `verify` finds."""
    findings = look(root)
    return {one.code for one in findings.damage()}, {one.code for one in findings.notes()}


def look(root: Path) -> Findings:
    return audit.audit(root).findings


def tree(root: Path) -> dict[str, str]:
    """Every file with a hash of its content; the lock, which names its last holder, left out."""
    files = [path for path in root.rglob("*") if path.is_file() and path.name != "lock"]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
