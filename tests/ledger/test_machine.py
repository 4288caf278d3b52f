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
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pyroaring import BitMap

from pipeline.core.errors import KINDS
from pipeline.core.outcomes import Frame, Move
from pipeline.core.types import RowId, Shard
from pipeline.ledger import journal, standing
from tests.ledger.test_recovery import KilledError, killed_at
from tests.ledger.world import Session, answer, answered, failed, problem, segments

TASKS = ("caption", "ocr")
PICTURES = 6
STEPS = (
    *("answer", "answer", "answer", "cut", "timeout", "timeout", "not_found"),
    *("checkpoint", "copy", "copy", "sync", "commit"),
)
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
        self.cut: set[Question] = set()
        """Unusable answers that await their repair."""
        self.between: set[Question] = set()
        """Questions between two attempts."""
        self.waiting: set[Question] = set()
        """Failures to be tried again of which it does not matter whether this run or the next asks."""
        self.attempts: dict[Question, int] = defaultdict(int)
        self.moves: list[Move] = []
        self.places: dict[Question, RowId] = {}
        """Where a question has got its outcome."""
        self.runs = 0
        self.open(TASKS)

    def teardown(self) -> None:
        if not hasattr(self, "folder"):
            return
        try:
            self.check_the_end()
        finally:
            self.session.die()
            self.patch.undo()
            self.folder.cleanup()

    def check_the_end(self) -> None:
        """After orderly runs without a question asked, a reader finds what was ever answered, and nothing else."""
        for _ in range(2):
            self.end()
            self.open(TASKS)
        assert set(self.asked().values()) == self.todo(), "what is committed as failed for now is asked again"
        self.end()
        rows = [(self.question(row, task), row["caption"]) for task in TASKS for row in answered(self.root, task)]
        assert sorted(rows) == sorted(self.answers.items())
        failures = [(self.question(row, task), row["kind"]) for task in TASKS for row in failed(self.root, task)]
        assert len(dict(failures)) == len(failures)
        assert {item for item in failures if not KINDS[item[1]].retryable} == set(self.final.items())
        for task in TASKS:
            self.check_files(task)
        assert bool(segments(self.root)) == bool(self.cut | self.between), "a journal is kept for what is not ended"

    def open(self, tasks: tuple[str, ...], **plan: Any) -> None:
        self.runs += 1
        self.tasks = tasks
        self.session = Session(
            self.root,
            tasks=tasks,
            shards=self.shards,
            retired=self.retired,
            moves=self.moves,
            run_id=f"run-{self.runs}",
            **plan,
        )

    def todo(self) -> set[Question]:
        return {(key, task) for key in self.keys.values() for task in self.tasks} - {*self.answers, *self.final}

    def end(self) -> None:
        """An orderly end, after which a reader finds no question both answered and failed."""
        self.session.end()
        for task in self.tasks:
            found = [(row["shard"], row["ordinal"]) for rows in (answered, failed) for row in rows(self.root, task)]
            assert len(set(found)) == len(found)

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

    @rule(
        data=st.data(),
        steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=8),
        end=st.sampled_from(["orderly", "killed", "killed within a commit", "killed with an answer in hand"]),
        kill_at=st.integers(0, 12),
        tasks=st.sampled_from([TASKS, TASKS, TASKS[:1], TASKS[1:]]),
        changed=st.sampled_from([False, False, True]),
    )
    def a_run(
        self, data: st.DataObject, steps: list[str], end: str, kill_at: int, tasks: tuple[str, ...], changed: bool
    ) -> None:
        """One process: what it is told, how it ends, and what the next one finds configured."""
        for step in steps:
            self.play(step, data)
        if end == "orderly":
            self.end()
        elif end == "killed with an answer in hand":
            self.play("answer", data, add=False)
        elif end == "killed within a commit":
            with pytest.MonkeyPatch.context() as patch, suppress(KilledError):
                killed_at(patch, kill_at)
                self.session.end()
        self.session.die()
        self.open(TASKS if changed else tasks)
        if changed:
            self.plan_anew()

    def play(self, step: str, data: st.DataObject, *, add: bool = True) -> None:
        ledger, asked = self.session.ledger, self.asked()
        if step == "sync":
            ledger.sync()
        elif step == "commit":
            ledger.commit(everything=True)
        elif asked:
            row = data.draw(st.sampled_from(sorted(asked)))
            before = self.session.lives.get(row) or ledger.life(row)
            assert before.spent.answers == (asked[row] in self.cut), "a paid answer is never forgotten"
            assert before.spent.attempts == self.attempts[asked[row]], "nor is an attempt"
            if step == "copy":
                self.copy(data, row, asked[row], add=add)
                return
            frame = self.frame(row, asked[row], step)
            if not add:
                ledger.append(frame)
            elif self.session.receive(frame):
                ledger.commit()
            self.expect(asked[row], step)
            self.places[asked[row]] = row

    def copy(self, data: st.DataObject, row: RowId, question: Question, *, add: bool) -> None:
        """The question is found equal to one that has ended."""
        ended = sorted(other for other in {*self.answers, *self.final} if other[1] == row.task)
        if not ended:
            return
        leader = data.draw(st.sampled_from(ended))
        found = self.session.ledger.outcome(self.places[leader])
        assert found is not None, "what has ended can be found"
        self.session.share(row, found, add=add, received_at=1_700_000_000.0 + self.runs)
        if leader in self.answers:
            self.answers[question] = self.answers[leader]
        else:
            self.final[question] = self.final[leader]
        self.places[question] = row
        for kind in (self.cut, self.waiting, self.between):
            kind.discard(question)

    def frame(self, row: RowId, question: Question, event: str) -> Frame:
        self.attempts[question] += 1
        values: dict[str, Any] = {
            "task": row.task,
            "shard": row.shard,
            "attempts": self.attempts[question],
            "run_id": f"run-{self.runs}",
            "received_at": 1_700_000_000.0 + self.runs,
        }
        if event == "checkpoint":
            return problem(row.ordinal, "timeout", ended=False, failed=1, **values)
        if event in KINDS and event != "cut":
            return problem(row.ordinal, event, **values)
        return answer(row.ordinal, "?half" if event == "cut" else self.text(question), **values)

    def text(self, question: Question) -> str:
        return f"{question} answered in run {self.runs}"

    def expect(self, question: Question, event: str) -> None:
        if event == "checkpoint":
            self.between.add(question)
            return
        repaired = question in self.cut
        for kind in (self.cut, self.waiting, self.between):
            kind.discard(question)
        if event == "answer":
            self.answers[question] = self.text(question)
        elif repaired:
            self.final[question] = "cut"  # the paid answer says more than the error that ended its repair
        elif event == "cut":
            self.cut.add(question)
        elif event == "timeout":
            self.waiting.add(question)
        else:
            self.final[question] = event

    def plan_anew(self) -> None:
        """The manifest has changed: every shard is retired; what no retired shard has settled is planned anew."""
        numbers = [*self.retired, *(shard.number for shard in self.shards)]
        settled = {
            (self.keys[number, ordinal], task)
            for number in numbers
            for task in TASKS
            for ordinal in self.session.ledger.settled(task, number)
        }
        spent = [
            ((self.keys[number, ordinal], task), RowId(task, number, ordinal), used)
            for number in numbers
            for task in self.tasks
            for ordinal, used in self.session.ledger.unsettled(task, number).items()
        ]
        lacking: dict[tuple[str, ...], list[str]] = {}
        for key in sorted(set(self.keys.values())):
            tasks = tuple(task for task in TASKS if (key, task) not in settled)
            lacking.setdefault(tasks, []).append(key)
        self.shards, self.retired = [], numbers
        for number, (tasks, keys) in enumerate(sorted(lacking.items()), start=max(numbers) + 1):
            if tasks:
                self.shards.append(Shard(number, len(keys), "pictures", tasks))
                self.keys |= {(number, ordinal): key for ordinal, key in enumerate(keys)}
        places = {
            (self.keys[shard.number, ordinal], task): RowId(task, shard.number, ordinal)
            for shard in self.shards
            for ordinal in range(shard.rows)
            for task in shard.tasks or TASKS
        }
        for question, old, used in spent:
            new = places[question]
            self.moves.append(Move(*old, new.shard, new.ordinal, used.attempts, used.answers, used.cost_usd))
        self.session.ledger.plan(self.shards, self.retired, self.moves)
        self.final |= dict.fromkeys(self.cut, "cut")
        self.cut.clear()
        self.between.clear()

    @invariant()
    def asked_is_what_has_no_outcome(self) -> None:
        if not hasattr(self, "session"):
            return
        asked = self.asked()
        assert len(set(asked.values())) == len(asked), "one question in two shards"
        assert set(asked.values()) <= self.todo()
        assert self.todo() - self.waiting <= set(asked.values())

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


LedgerMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=6, deadline=None, derandomize=True)
test_the_ledger_in_any_order = LedgerMachine.TestCase
