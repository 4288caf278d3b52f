"""Any history of edits, task sets and outcomes: every question of today's manifest is planned once, and only once, and
whatever was spent on it is found where it is asked now."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.outcomes import Spent
from pipeline.core.types import RowId
from pipeline.manifests import generation
from pipeline.manifests.plan import load_plan
from tests.manifests.job import Job, images, total
from tests.manifests.pages import listing, opened

KEYS = "abcdefg"
TASKS = ("caption", "ocr", "moderate")
Question = tuple[str, str]


class Day(NamedTuple):
    """What is reopened before the day's run, what the run finds, and what comes of it."""

    reopened: set[Question]
    pages: tuple[list[str], list[str]]
    tasks: set[str]
    spent: dict[Question, Spent]
    settled: set[Question]


_questions = st.tuples(st.sampled_from(KEYS), st.sampled_from(TASKS))
_spent = st.builds(Spent, st.integers(1, 9), st.integers(0, 2), st.sampled_from([0.0, 0.25, 0.5, None]))
_days = st.builds(
    Day,
    st.sets(_questions),
    st.lists(st.sampled_from(KEYS), unique=True, max_size=len(KEYS)).flatmap(
        lambda keys: st.integers(0, len(keys)).map(lambda cut: (keys[:cut], keys[cut:]))
    ),
    st.sets(st.sampled_from(TASKS), min_size=1),
    st.dictionaries(_questions, _spent),
    st.sets(_questions),
)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(days=st.lists(_days, min_size=1, max_size=6), rows=st.sampled_from([2, 3, 20_000]), still=st.booleans())
def test_every_question_is_planned_exactly_once(days: list[Day], rows: int, still: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "SHARD_ROWS", rows)
        patch.setattr(os, "fsync", lambda descriptor: None)  # hundreds of plans: nobody pulls the plug here
        world = World(Path(folder))
        for number, day in enumerate(days):
            # Every other day of a still manifest brings no edit: what is reopened must find its place all the same.
            pages = days[number - 1].pages if still and number % 2 else day.pages
            world.reopen(day.reopened)
            if any(pages):
                world.run(pages, tuple(task for task in TASKS if task in day.tasks))
                world.go_on(day.spent, day.settled)


class World:
    """A manifest of two listings, an output, and what must be true of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.job = Job(root / "run")
        self.content: list[list[str] | None] = [None, None]
        self.settled: set[Question] = set()
        self.spent: dict[Question, Spent] = {}
        self.numbers: set[int] = set()

    def reopen(self, wishes: set[Question]) -> None:
        self.job.reopen(*wishes)
        self.settled -= wishes

    def run(self, pages: tuple[list[str], list[str]], tasks: tuple[str, ...]) -> None:
        for number, page in enumerate(pages):
            if page != self.content[number]:  # a listing that is not touched is not planned again
                path = self.root / f"{number}.jsonl"
                listing(path, *images(*page)) if page else path.unlink(missing_ok=True)
                self.content[number] = page
        named = {key for page in pages for key in page}
        before = self.job.plan
        lost = sum(
            self.key(RowId(task, shard, ordinal)) not in named
            for task, shard in self.job.reopened
            if shard in before.retired and task in tasks
            for ordinal in self.job.unsettled(task, shard).keys()
            - {move.from_ordinal for move in before.moved if (move.task, move.from_shard) == (task, shard)}
        )
        plan = self.job.run(opened(self.root / "*.jsonl"), *tasks)
        assert plan.unplaced == lost
        self.check_questions({(key, task) for key in named for task in tasks})
        assert set(plan.shards) >= set(before.shards), "no shard is forgotten"
        assert not (set(plan.shards) - set(before.shards)) & self.numbers, "no number is used again"
        self.numbers |= set(plan.shards)
        assert all(shard.rows <= generation.SHARD_ROWS for shard in plan.shards.values())
        again = load_plan(plan.folder)  # as the next process reads it
        assert (again.shards, again.retired, again.moved) == (plan.shards, plan.retired, plan.moved)
        assert (again.generation, again.units) == (plan.generation, plan.units)
        self.check_moves()

    def check_questions(self, wanted: set[Question]) -> None:
        asked = Counter(self.job.todo())
        assert set(asked) == wanted - self.settled
        assert max(asked.values(), default=1) == 1
        for question, row in self.job.places():
            assert self.job.account(row) == self.spent.get(question, Spent()), "lost or doubled on the way"

    def check_moves(self) -> None:
        plan = self.job.plan
        sources = Counter(RowId(move.task, move.from_shard, move.from_ordinal) for move in plan.moved)
        assert max(sources.values(), default=1) == 1, "a row moves away from a place once"
        for move in plan.moved:
            assert move.from_shard in plan.retired
            here = RowId(move.task, move.to_shard, move.to_ordinal)
            assert self.key(here) == self.key(RowId(move.task, move.from_shard, move.from_ordinal))
            assert move.task in (plan.shards[move.to_shard].tasks or ())
        todo = set(self.job.todo())
        for task in self.job.tasks:
            for shard in plan.retired:
                for ordinal in self.job.unsettled(task, shard):
                    row = RowId(task, shard, ordinal)
                    assert row in sources or (self.key(row), task) not in todo, "nothing stays behind"

    def go_on(self, spent: dict[Question, Spent], settled: set[Question]) -> None:
        todo = set(self.job.todo())
        for question in spent.keys() & todo:
            self.job.spend(spent[question], question)
            self.spent[question] = total(self.spent.get(question, Spent()), spent[question])
        self.job.settle(*settled)
        self.settled |= settled & todo

    def key(self, row: RowId) -> str:
        return self.job.plan.keys(row.shard)[row.ordinal]
