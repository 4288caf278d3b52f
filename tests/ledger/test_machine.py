"""The ledger under every order of answers, commits, kills, other task sets and grown manifests.

The machine plays the engine, the plan and the person who kills it. What it demands at every step: a question whose
answer was appended is never asked again, a question without one is not forgotten, and a reader finds every row once.
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pyroaring import BitMap

from pipeline.core.errors import KINDS
from pipeline.core.types import Frame, RowId, Shard
from pipeline.ledger import journal, standing
from tests.ledger.test_recovery import KilledError, killed_at
from tests.ledger.world import Session, answer, answered, failed, problem, segments

TASKS = ("caption", "ocr")
PICTURES = 5
Question = tuple[str, str]
"""A picture's key and a task: what stays the same when a shard is retired."""


class LedgerMachine(RuleBasedStateMachine):
    @initialize()
    def new_output(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(standing, "PART_ROWS", 3)
        self.patch.setattr(journal.Journal.__init__, "__kwdefaults__", {"segment_bytes": 1200})
        for name in ("fsync", "fdatasync"):
            self.patch.setattr(os, name, lambda descriptor: None)  # the machine itself never dies, only processes do
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.keys = {(1, ordinal): f"picture-{ordinal}" for ordinal in range(PICTURES)}
        self.shards = [Shard(1, PICTURES, "pictures")]
        self.retired: list[int] = []
        self.answers: dict[Question, str] = {}
        self.final: dict[Question, str] = {}
        """Final failures, by kind."""
        self.cut: dict[Question, int] = {}
        """Unusable answers that await their repair."""
        self.waiting: set[Question] = set()
        """Failures to be tried again of which it does not matter whether this run or the next asks."""
        self.attempts: dict[Question, int] = defaultdict(int)
        self.runs = 0
        self.open(TASKS)

    def teardown(self) -> None:
        if not hasattr(self, "folder"):
            return
        self.session.end()
        self.open(TASKS)
        self.session.end()
        rows = [(self.question(row, task), row["caption"]) for task in TASKS for row in answered(self.root, task)]
        assert sorted(rows) == sorted(self.answers.items())
        failures = [(self.question(row, task), row["kind"]) for task in TASKS for row in failed(self.root, task)]
        assert len(dict(failures)) == len(failures)
        assert {item for item in failures if not KINDS[item[1]].retryable} == set(self.final.items())
        for task in TASKS:
            self.check_files(task)
        assert bool(segments(self.root)) == bool(self.cut), "a journal is kept for what awaits its repair, and no other"
        self.patch.undo()
        self.folder.cleanup()

    def open(self, tasks: tuple[str, ...], **plan: Any) -> None:
        self.runs += 1
        self.tasks = tasks
        self.session = Session(
            self.root, tasks=tasks, shards=self.shards, retired=self.retired, run_id=f"run-{self.runs}", **plan
        )

    def question(self, row: dict[str, Any], task: str) -> Question:
        return self.keys[row["shard"], row["ordinal"]], task

    def asked(self) -> dict[RowId, Question]:
        """What the engine would ask now."""
        ledger = self.session.ledger
        found = {
            RowId(task, shard.number, ordinal): (self.keys[shard.number, ordinal], task)
            for shard in self.shards
            for ordinal in range(shard.rows)
            for task in ledger.outstanding(shard, ordinal)
        }
        assert len(found) == sum(map(ledger.left, self.shards))
        return found

    def pick(self, data: st.DataObject) -> tuple[RowId, Question]:
        asked = self.asked()
        row = data.draw(st.sampled_from(sorted(asked)))
        return row, asked[row]

    def values(self, row: RowId, question: Question) -> dict[str, Any]:
        self.attempts[question] += 1
        return {
            "task": row.task,
            "shard": row.shard,
            "attempts": self.session.ledger.life(row).spent.attempts + 1,
            "run_id": f"run-{self.runs}",
            "received_at": 1_700_000_000.0 + self.runs,
        }

    def take(self, frame: Frame, die: bool) -> None:
        if not die:
            if self.session.receive(frame):
                self.session.ledger.commit()
            return
        self.session.ledger.append(frame)
        self.session.die()
        self.open(self.tasks)

    @precondition(lambda self: self.asked())
    @rule(data=st.data(), die=st.booleans())
    def an_answer(self, data: st.DataObject, die: bool) -> None:
        row, question = self.pick(data)
        text = f"{question} answered in run {self.runs}"
        self.take(answer(row.ordinal, text, **self.values(row, question)), die)
        self.answers[question] = text
        self.cut.pop(question, None)
        self.waiting.discard(question)

    @precondition(lambda self: self.asked())
    @rule(data=st.data(), die=st.booleans())
    def an_answer_that_is_cut(self, data: st.DataObject, die: bool) -> None:
        row, question = self.pick(data)
        before = self.session.lives.get(row) or self.session.ledger.life(row)
        assert before.spent.answers == self.cut.get(question, 0), "a paid answer is never forgotten"
        self.take(answer(row.ordinal, "?half", **self.values(row, question)), die)
        self.waiting.discard(question)
        if question in self.cut:
            del self.cut[question]
            self.final[question] = "cut"
        else:
            self.cut[question] = 1

    @precondition(lambda self: self.asked())
    @rule(data=st.data(), kind=st.sampled_from(["timeout", "not_found"]), die=st.booleans())
    def a_failure(self, data: st.DataObject, kind: str, die: bool) -> None:
        row, question = self.pick(data)
        self.take(problem(row.ordinal, kind, **self.values(row, question)), die)
        if self.cut.pop(question, 0):
            self.final[question] = "cut"  # the paid answer says more than the error that ended its repair
        elif kind == "not_found":
            self.final[question] = kind
            self.waiting.discard(question)
        else:
            self.waiting.add(question)

    @rule(everything=st.booleans())
    def a_commit(self, everything: bool) -> None:
        self.session.ledger.commit(everything=everything)

    @rule()
    def a_sync(self) -> None:
        self.session.ledger.sync()

    @rule(step=st.integers(0, 12))
    def a_kill_within_a_commit(self, step: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            killed_at(patch, step)
            with suppress(KilledError):
                self.session.end()
        self.session.die()
        self.open(self.tasks)

    @rule(tasks=st.sampled_from([TASKS, ("caption",), ("ocr",)]), orderly=st.booleans())
    def another_run(self, tasks: tuple[str, ...], orderly: bool) -> None:
        if orderly:
            self.session.end()
        else:
            self.session.die()
        self.open(tasks)

    @precondition(lambda self: len(self.retired) < 3)
    @rule(orderly=st.booleans())
    def a_run_on_a_changed_manifest(self, orderly: bool) -> None:
        """Every shard is retired; what no retired shard has settled is planned anew."""
        if orderly:
            self.session.end()
        else:
            self.session.die()
        self.open(TASKS)
        numbers = [*self.retired, *(shard.number for shard in self.shards)]
        settled = {
            (self.keys[number, ordinal], task)
            for number in numbers
            for task in TASKS
            for ordinal in self.session.ledger.settled(task, number)
        }
        lacking: dict[tuple[str, ...], list[str]] = {}
        for key in sorted(set(self.keys.values())):
            tasks = tuple(task for task in TASKS if (key, task) not in settled)
            lacking.setdefault(tasks, []).append(key)
        self.shards, self.retired = [], numbers
        for number, (tasks, keys) in enumerate(sorted(lacking.items()), start=max(numbers) + 1):
            if tasks:
                self.shards.append(Shard(number, len(keys), "pictures", tasks))
                self.keys |= {(number, ordinal): key for ordinal, key in enumerate(keys)}
        self.session.ledger.plan(self.shards, self.retired)
        for question in list(self.cut):
            del self.cut[question]
            self.final[question] = "cut"

    @invariant()
    def asked_is_what_has_no_outcome(self) -> None:
        if not hasattr(self, "session"):
            return
        asked = self.asked()
        assert len(set(asked.values())) == len(asked), "one question in two shards"
        todo = {(key, task) for key in self.keys.values() for task in self.tasks} - {*self.answers, *self.final}
        assert set(asked.values()) <= todo
        assert todo - self.waiting <= set(asked.values())

    def check_files(self, task: str) -> None:
        found: dict[int, BitMap] = defaultdict(BitMap)
        numbers: dict[int, list[int]] = defaultdict(list)
        for path in sorted((self.root / "data" / task).glob("*.parquet")):
            file = pq.ParquetFile(path)
            _, shard, sequence = path.stem.split("-")
            rows = BitMap(file.read(columns=["ordinal"]).column(0).to_pylist())
            stored = BitMap.deserialize(base64.b64decode(file.metadata.metadata[b"vlm_batch.ordinals"]))
            assert stored == rows
            assert found[int(shard)].isdisjoint(rows)
            found[int(shard)] |= rows
            numbers[int(shard)].append(int(sequence))
        for sequences in numbers.values():
            assert sequences == list(range(1, len(sequences) + 1))


LedgerMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
test_the_ledger_in_any_order = LedgerMachine.TestCase
