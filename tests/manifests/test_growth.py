"""Any history of edits, task sets and answers: every question of today's manifest is planned once, and only once."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.manifests import generation
from pipeline.manifests.plan import load_plan
from tests.manifests.pages import listing, opened
from tests.manifests.test_plan import Job, images

KEYS = "abcdefg"
TASKS = ("caption", "ocr", "moderate")

_pages = st.lists(st.sampled_from(KEYS), unique=True, max_size=len(KEYS)).flatmap(
    lambda keys: st.integers(0, len(keys)).map(lambda cut: (keys[:cut], keys[cut:]))
)
"""The manifest of one day: each key in one of two listings."""
_days = st.tuples(
    _pages,
    st.sets(st.sampled_from(TASKS), min_size=1),
    st.sets(st.tuples(st.sampled_from(KEYS), st.sampled_from(TASKS))),
)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(days=st.lists(_days, min_size=1, max_size=6), rows=st.sampled_from([2, 3, 20_000]))
def test_every_question_is_planned_exactly_once(
    days: list[tuple[tuple[list[str], list[str]], set[str], set[tuple[str, str]]]], rows: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "SHARD_ROWS", rows)
        patch.setattr(os, "fsync", lambda descriptor: None)  # hundreds of plans: nobody pulls the plug here
        root = Path(folder)
        job, answered, content = Job(root / "run"), set(), [None, None]
        numbers: set[int] = set()
        for (first, second), chosen, wishes in days:
            for number, page in enumerate((first, second)):
                if page != content[number]:  # a listing that is not touched is not planned again
                    path = root / f"{number}.jsonl"
                    listing(path, *images(*page)) if page else path.unlink(missing_ok=True)
                    content[number] = page
            if not first and not second:
                continue
            tasks = tuple(task for task in TASKS if task in chosen)
            shards_before = set(job.plan.shards)
            plan = job.run(opened(root / "*.jsonl"), *tasks)

            asked = Counter(job.todo())
            wanted = {(key, task) for key in (*first, *second) for task in tasks}
            assert set(asked) == wanted - answered
            assert max(asked.values(), default=1) == 1
            assert set(plan.shards) >= shards_before, "no shard is forgotten"
            assert not (set(plan.shards) - shards_before) & numbers, "no number is used again"
            numbers |= set(plan.shards)
            assert all(shard.rows <= rows for shard in plan.shards.values())
            assert load_shape(job) == (plan.shards, plan.retired, plan.generation)

            done = wishes & set(asked)
            job.settle(*done)
            answered |= done


def load_shape(job: Job) -> tuple[object, object, int]:
    """The plan as the next process reads it."""
    again = load_plan(job.root / "plan")
    return again.shards, again.retired, again.generation
