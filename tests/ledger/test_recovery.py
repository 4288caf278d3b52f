"""Opening an output after a kill: nothing that was journaled is lost, nothing that was committed is doubled."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import LedgerError
from pipeline.core.types import Shard
from pipeline.ledger.frames import encode
from tests.ledger.world import PRICE, Session, answer, answered, data_files, failed, problem, segments

SHARD = Shard(1, 6, "pictures")


def test_journaled_answers_are_restored(tmp_path: Path) -> None:
    session = Session(tmp_path, shards=[SHARD])
    session.receive(answer(0, "a cat"))
    session.receive(problem(1, "not_found"))
    session.ledger.append(answer(2, "a dog"))  # killed before anything else happened to it
    session.die()

    session = Session(tmp_path, shards=[SHARD], run_id="run-2")
    assert (session.recovery.frames, session.recovery.restored, session.recovery.damaged) == (3, 3, ())
    assert [bool(session.ledger.outstanding(SHARD, ordinal)) for ordinal in range(6)] == [False] * 3 + [True] * 3
    assert session.ledger.left(SHARD) == 3
    session.end()
    assert [(row["ordinal"], row["caption"], row["run_id"]) for row in answered(tmp_path)] == [
        (0, "a cat", "run-1"),
        (2, "a dog", "run-1"),
    ]
    assert [row["ordinal"] for row in failed(tmp_path)] == [1]
    assert segments(tmp_path) == []


def test_several_kills_in_a_row_lose_nothing(tmp_path: Path) -> None:
    for ordinal in range(4):
        session = Session(tmp_path)
        assert session.recovery.restored == ordinal
        session.receive(answer(ordinal))
        session.die()
    session = Session(tmp_path)
    session.end()

    assert [row["ordinal"] for row in answered(tmp_path)] == [0, 1, 2, 3]


def test_a_journal_that_outlived_its_commit_doubles_nothing(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(answer(0))
    session.receive(problem(1, "not_found"))
    session.receive(problem(2, "timeout", attempts=6))
    journal = tmp_path / "_run/journal"
    shutil.copytree(journal, tmp_path / "kept")
    session.end()
    shutil.rmtree(journal)
    shutil.copytree(tmp_path / "kept", journal)

    session = Session(tmp_path, shards=[SHARD], run_id="run-2")
    assert (session.recovery.frames, session.recovery.restored) == (3, 0)
    assert session.ledger.outstanding(SHARD, 2) == ("caption",)
    session.end()
    assert [row["ordinal"] for row in answered(tmp_path)] == [0]
    assert [row["ordinal"] for row in failed(tmp_path)] == [1, 2]
    assert segments(tmp_path) == []


def test_an_old_failure_still_in_the_journal_does_not_hide_a_later_answer(tmp_path: Path) -> None:
    """A segment lives as long as one of its rows is unsettled, so frames long superseded are met again and again."""
    session = Session(tmp_path)
    session.receive(answer(5, "?half an answ"))  # keeps the first segment until its repair
    session.receive(problem(0, "timeout", attempts=3))
    session.end()
    session = Session(tmp_path, run_id="run-2")
    session.receive(problem(0, "timeout", attempts=6, run_id="run-2", received_at=1_700_000_100.0))
    session.end()
    session = Session(tmp_path, shards=[SHARD], run_id="run-3")
    assert session.ledger.outstanding(SHARD, 0) == ("caption",)
    assert session.recovery.restored == 0
    session.receive(answer(0, "a cat at last", attempts=7, run_id="run-3", received_at=1_700_000_200.0))
    session.die()
    assert len(segments(tmp_path)) == 2

    session = Session(tmp_path, shards=[SHARD], run_id="run-4")
    assert session.ledger.outstanding(SHARD, 0) == ()
    session.end()
    assert [(row["caption"], row["attempts"]) for row in answered(tmp_path)] == [("a cat at last", 7)]
    assert failed(tmp_path) == []


def test_an_answer_is_never_passed_over_for_a_failure_before_it(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.ledger.append(problem(0, "timeout", attempts=3))
    session.ledger.append(answer(0, "a cat", attempts=4, run_id="run-2"))
    session.die()

    session = Session(tmp_path)
    session.end()
    assert [row["caption"] for row in answered(tmp_path)] == ["a cat"]
    assert failed(tmp_path) == []


def test_a_failure_without_a_new_attempt_is_still_newer_than_the_snapshot(tmp_path: Path) -> None:
    """A picture that cannot be fetched is never asked: its attempts stay 0 while its fate changes."""
    session = Session(tmp_path)
    session.receive(problem(0, "fetch_failed", attempts=0))
    session.end()
    session = Session(tmp_path, run_id="run-2")
    session.receive(problem(0, "not_found", attempts=0, run_id="run-2", received_at=1_700_000_100.0))
    session.die()

    session = Session(tmp_path, shards=[SHARD], run_id="run-3")
    assert session.ledger.outstanding(SHARD, 0) == ()
    session.end()
    assert [row["kind"] for row in failed(tmp_path)] == ["not_found"]


def test_an_unusable_answer_that_awaits_its_repair_is_remembered(tmp_path: Path) -> None:
    session = Session(tmp_path, shards=[SHARD])
    session.receive(answer(0, "?half an answ"))
    session.end()  # drained
    assert segments(tmp_path) == ["000001.vlj"]

    for run in (2, 3):  # drained again before it was its turn
        session = Session(tmp_path, shards=[SHARD], run_id=f"run-{run}")
        assert session.ledger.outstanding(SHARD, 0) == ("caption",)
        life = session.ledger.life(answer(0).row)
        assert (life.spent.attempts, life.spent.answers, life.spent.cost_usd) == (1, 1, PRICE)
        assert life.unusable is not None
        session.end()

    session = Session(tmp_path, shards=[SHARD], run_id="run-4")
    session.receive(answer(0, "a whole answer", attempts=2, run_id="run-4"))
    session.end()
    assert [(row["caption"], row["attempts"], row["cost_usd"]) for row in answered(tmp_path)] == [
        ("a whole answer", 2, 2 * PRICE)
    ]
    assert failed(tmp_path) == []
    assert segments(tmp_path) == []


def test_a_journal_kept_too_long_does_not_take_a_paid_answer_along(tmp_path: Path) -> None:
    """The row's old failure is committed, its newer answer is not: the old frame's end must not be the new one's."""
    session = Session(tmp_path)
    session.receive(problem(0, "timeout", attempts=3))
    segment = tmp_path / "_run/journal/000001.vlj"
    old = segment.read_bytes()
    session.end()
    segment.write_bytes(old)
    session = Session(tmp_path, run_id="run-2")
    session.receive(answer(0, "?half an answ", attempts=4, run_id="run-2"))
    session.die()
    segment.write_bytes(old)

    for run in (3, 4):
        session = Session(tmp_path, shards=[SHARD], run_id=f"run-{run}")
        assert session.ledger.outstanding(SHARD, 0) == ("caption",)
        assert session.ledger.life(answer(0).row).spent.answers == 1
        session.end()


def test_a_repair_is_bought_once(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(answer(0, "?half an answ"))
    session.die()
    session = Session(tmp_path, run_id="run-2")
    session.ledger.append(answer(0, "?half again", attempts=2, run_id="run-2"))
    session.die()

    session = Session(tmp_path, shards=[SHARD], run_id="run-3")
    assert session.ledger.outstanding(SHARD, 0) == ()
    session.end()
    assert [(row["kind"], row["raw_text"], row["cost_usd"]) for row in failed(tmp_path)] == [
        ("cut", "?half again", 2 * PRICE)
    ]


def test_answers_of_a_task_that_is_not_configured_today_wait_for_it(tmp_path: Path) -> None:
    both = ("caption", "ocr")
    session = Session(tmp_path, tasks=both)
    session.receive(answer(0))
    session.receive(answer(0, "STOP", task="ocr"))
    session.die()

    for run in (2, 3):
        session = Session(tmp_path, tasks=["caption"], run_id=f"run-{run}")
        session.end()
        assert segments(tmp_path) == ["000001.vlj"]
    assert len(answered(tmp_path)) == 1

    session = Session(tmp_path, tasks=both, shards=[SHARD], run_id="run-4")
    assert session.ledger.outstanding(SHARD, 0) == ()
    assert session.ledger.outstanding(SHARD, 1) == both
    session.end()
    assert [row["caption"] for row in answered(tmp_path, "ocr")] == ["STOP"]
    assert segments(tmp_path) == []


def test_a_shard_is_asked_only_of_its_tasks(tmp_path: Path) -> None:
    session = Session(tmp_path, tasks=("caption", "ocr"))
    shard = Shard(3, 2, "pictures", ("ocr",))
    assert session.ledger.outstanding(shard, 0) == ("ocr",)
    assert session.ledger.left(shard) == 2
    session.end()


def test_a_torn_tail_is_no_damage_and_a_hole_is(tmp_path: Path) -> None:
    session = Session(tmp_path)
    for ordinal in range(3):
        session.receive(answer(ordinal))
    session.die()
    segment = tmp_path / "_run/journal/000001.vlj"
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-10])
    session = Session(tmp_path)
    assert (session.recovery.restored, session.recovery.damaged) == (2, ())
    session.die()

    size = len(encode(answer(0)))
    segment.write_bytes(whole[: size + 40] + b"\0" + whole[size + 41 :])
    session = Session(tmp_path, shards=[SHARD])
    assert (session.recovery.restored, session.recovery.damaged) == (1, (str(segment),))
    assert session.ledger.left(SHARD) == 5, "what cannot be read is asked again"
    session.end()
    assert segment.exists(), "there are answers behind the hole: the file is a person's to judge"


class KilledError(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


def killed_at(patch: pytest.MonkeyPatch, step: int) -> None:
    """Die before the `step`-th of the operations that change names or reach the disk."""
    left = step

    def counted(operation: Callable[..., object]) -> Callable[..., object]:
        def call(*values: object, **named: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise KilledError
            return operation(*values, **named)

        return call

    for owner, name in ((os, "link"), (os, "fsync"), (os, "fdatasync"), (Path, "unlink")):
        patch.setattr(owner, name, counted(getattr(owner, name)))


def test_a_kill_at_any_step_of_a_commit_loses_and_doubles_nothing(tmp_path: Path) -> None:
    for step in range(60):
        root = tmp_path / str(step)
        session = Session(root)
        session.receive(problem(0, "timeout"))
        session.receive(problem(1, "timeout"))
        session.end()
        session = Session(root, run_id="run-2")
        session.receive(answer(0, "a cat", attempts=2, run_id="run-2"))
        session.receive(answer(2, "a dog", run_id="run-2"))
        session.receive(problem(3, "not_found", run_id="run-2"))
        session.receive(answer(4, "?half", run_id="run-2"))
        finished = True
        with pytest.MonkeyPatch.context() as patch:
            killed_at(patch, step)
            try:
                session.end()
            except KilledError:
                finished = False
        session.die()

        session = Session(root, shards=[SHARD], run_id="run-3")
        left = [ordinal for ordinal in range(6) if session.ledger.outstanding(SHARD, ordinal)]
        assert left == [1, 4, 5], f"killed at step {step}"
        assert session.ledger.life(answer(4).row).spent.answers == 1
        session.end()
        assert [(row["ordinal"], row["caption"]) for row in answered(root)] == [(0, "a cat"), (2, "a dog")]
        assert [row["ordinal"] for row in failed(root)] == [1, 3]
        assert data_files(root) == ["part-000001-000001.parquet"]
        if finished:
            assert step >= 10, "the steps are really there"
            return
    raise AssertionError("a commit of one shard does not take so many steps")


def test_a_full_disk_at_a_commit_keeps_every_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(tmp_path)
    session.receive(answer(0))
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(28, os.strerror(28))

        patch.setattr(os, "link", full)
        with pytest.raises(LedgerError, match="The disk is full"):
            session.ledger.commit(everything=True)
    session.die()
    assert data_files(tmp_path) == []

    session = Session(tmp_path)
    session.end()
    assert len(answered(tmp_path)) == 1
    assert list((tmp_path / "_run/tmp").iterdir()) == []
