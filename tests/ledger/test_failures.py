"""Failure snapshots: what stands failed in a shard now, and what the next run tries again."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyroaring import BitMap

from pipeline.core.outcomes import Move, Spent
from pipeline.core.types import RowId, Shard
from tests.ledger.world import PRICE, Session, answer, answered, data_files, failed, failure_files, problem, segments

SHARD = Shard(1, 4, "pictures")


def test_a_failure_says_what_happened(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(problem(1, "http_429", attempts=3))
    session.receive(problem(0, "not_found", attempts=0))
    session.end()

    rows = failed(tmp_path)
    names = ("ordinal", "stage", "kind", "error_class", "retryable", "message", "attempts", "cost_usd", "raw_text")
    assert [tuple(row[name] for name in names) for row in rows] == [
        (0, "fetch", "not_found", "row", False, "it was not_found", 0, 0.0, None),
        (1, "call", "http_429", "quota", True, "it was http_429", 3, 0.0, None),
    ]
    assert data_files(tmp_path) == []


def test_a_new_generation_takes_the_place_of_the_last(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(problem(0, "not_found"))
    session.ledger.commit(everything=True)
    assert failure_files(tmp_path) == ["shard-000001-000001.parquet"]
    session.ledger.commit(everything=True)
    assert failure_files(tmp_path) == ["shard-000001-000001.parquet"], "nothing new, nothing written"

    session.receive(problem(2, "unreadable"))
    session.end()
    assert failure_files(tmp_path) == ["shard-000001-000002.parquet"]
    assert [row["ordinal"] for row in failed(tmp_path)] == [0, 2]


def test_the_new_generation_stands_before_the_old_one_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(tmp_path)
    session.receive(problem(0, "not_found"))
    session.ledger.commit(everything=True)
    session.receive(problem(1, "not_found"))
    seen: list[list[str]] = []
    unlink = Path.unlink

    def watched(path: Path, missing_ok: bool = False) -> None:
        if path.parent.name == "caption":
            seen.append(failure_files(tmp_path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", watched)
    session.ledger.commit(everything=True)
    assert seen == [["shard-000001-000001.parquet", "shard-000001-000002.parquet"]]
    session.end()


def test_the_next_run_tries_again_what_may_pass_and_nothing_else(tmp_path: Path) -> None:
    session = Session(tmp_path, shards=[SHARD])
    session.receive(answer(0))
    session.receive(problem(1, "timeout"))
    session.receive(problem(2, "not_found"))
    assert session.ledger.left(SHARD) == 1, "in the same run nothing is tried again"
    session.end()
    assert session.ledger.retryable() == 1

    session = Session(tmp_path, shards=[SHARD], run_id="run-2")
    assert [session.ledger.outstanding(SHARD, ordinal) for ordinal in range(4)] == [(), ("caption",), (), ("caption",)]
    assert session.ledger.left(SHARD) == 2
    session.end()


def test_a_failure_that_succeeds_later_is_one_no_more(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(problem(0, "timeout"))
    session.receive(problem(1, "timeout"))
    session.end()
    session = Session(tmp_path, run_id="run-2")
    session.receive(answer(0, attempts=2, run_id="run-2"))
    session.end()

    assert [row["ordinal"] for row in answered(tmp_path)] == [0]
    assert [row["ordinal"] for row in failed(tmp_path)] == [1]
    assert failure_files(tmp_path) == ["shard-000001-000002.parquet"]
    assert session.ledger.totals()["caption"]["failures"]["rows"] == 1
    assert session.ledger.retryable() == 1

    session = Session(tmp_path, run_id="run-3")
    session.receive(answer(1, attempts=2, run_id="run-3"))
    session.end()
    assert failure_files(tmp_path) == []
    assert session.ledger.totals()["caption"]["failures"] == {}


def test_a_failure_that_fails_again_stands_once_with_its_latest_reason(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(problem(0, "timeout", attempts=3))
    session.end()
    session = Session(tmp_path, run_id="run-2")
    session.receive(problem(0, "connection", attempts=6, run_id="run-2"))
    session.end()

    assert [(row["kind"], row["attempts"], row["run_id"]) for row in failed(tmp_path)] == [("connection", 6, "run-2")]


def test_what_earlier_runs_spent_is_carried_on(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(answer(0, "! a server's excuse", attempts=2))
    session.receive(problem(0, "http_5xx", attempts=2))
    session.receive(problem(1, "timeout", attempts=6))
    session.end()

    session = Session(tmp_path, run_id="run-2")
    spent = session.ledger.life(answer(1).row).spent
    assert (spent.attempts, spent.answers, spent.cost_usd) == (6, 0, 0.0)
    session.receive(answer(1, attempts=7, run_id="run-2"))
    session.end()
    assert [(row["attempts"], row["cost_usd"]) for row in answered(tmp_path)] == [(7, PRICE)]


def test_data_wins_over_a_snapshot_left_by_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(tmp_path)
    session.receive(problem(0, "timeout"))
    session.receive(problem(1, "timeout"))
    session.end()
    session = Session(tmp_path, run_id="run-2")
    session.receive(answer(0, attempts=2, run_id="run-2"))
    for _ in session.ledger.standing("caption", 1).write_parts(session.output.scratch, "run-2"):
        pass
    session.die()  # between the part and the snapshot
    assert [row["ordinal"] for row in failed(tmp_path)] == [0, 1]

    session = Session(tmp_path, shards=[SHARD], run_id="run-3")
    assert [bool(session.ledger.outstanding(SHARD, ordinal)) for ordinal in range(4)] == [False, True, True, True]
    assert session.ledger.retryable() == 1
    session.end()
    assert [row["ordinal"] for row in failed(tmp_path)] == [1]
    assert [row["ordinal"] for row in answered(tmp_path)] == [0]


def test_an_older_generation_left_by_a_kill_is_cleaned_up(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(problem(0, "not_found"))
    session.ledger.commit(everything=True)
    folder = tmp_path / "failures/caption"
    first = (folder / "shard-000001-000001.parquet").read_bytes()
    session.receive(problem(1, "not_found"))
    session.end()
    (folder / "shard-000001-000001.parquet").write_bytes(first)

    session = Session(tmp_path)
    assert failure_files(tmp_path) == ["shard-000001-000002.parquet"]
    assert session.ledger.settled("caption", 1) == BitMap([0, 1])
    session.end()


def test_scratch_files_left_by_a_kill_are_cleaned_up(tmp_path: Path) -> None:
    Session(tmp_path).end()
    scratch = tmp_path / "_run/tmp"
    scratch.mkdir(exist_ok=True)
    (scratch / "caption-part-000001-000001.parquet.new").write_bytes(b"PAR1 half")

    Session(tmp_path).end()
    assert list(scratch.iterdir()) == []


# Retired shards: their unit has changed, and what is not settled is planned anew in a newer shard


def test_a_retired_shard_keeps_what_is_settled_and_gives_up_what_has_moved(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(answer(0))
    session.receive(problem(1, "timeout", attempts=3))
    session.receive(problem(2, "not_found"))
    session.end()

    session = Session(tmp_path, run_id="run-2")
    assert session.ledger.settled("caption", 1) == BitMap([0, 2])
    assert session.ledger.unsettled("caption", 1) == {1: Spent(3, 0, 0.0)}
    moves = [Move("caption", 1, 1, 2, 0, 3, 0, 0.0)]
    session.ledger.plan([Shard(2, 1, "pictures")], [1], moves)
    assert session.ledger.retryable() == 0
    assert session.ledger.unsettled("caption", 1) == {}, "it is somebody else's now"
    assert session.ledger.life(RowId("caption", 2, 0)).spent == Spent(3, 0, 0.0)
    session.end()
    assert [row["ordinal"] for row in answered(tmp_path)] == [0]
    assert [row["ordinal"] for row in failed(tmp_path)] == [2]

    session = Session(tmp_path, shards=[Shard(2, 1, "pictures")], retired=[1], moves=moves, run_id="run-3")
    assert session.ledger.unsettled("caption", 2) == {0: Spent(3, 0, 0.0)}
    session.receive(answer(0, shard=2, attempts=4))
    session.end()
    assert [(row["shard"], row["attempts"]) for row in answered(tmp_path)] == [(1, 1), (2, 4)]


def test_a_failure_that_the_manifest_names_no_more_stays_where_it_stands(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(problem(1, "timeout", attempts=3))
    session.end()
    for run in ("run-2", "run-3"):
        session = Session(tmp_path, shards=[], retired=[1], run_id=run)
        assert session.ledger.unsettled("caption", 1) == {1: Spent(3, 0, 0.0)}, "its key may come back"
        assert session.ledger.retryable() == 0, "nobody asks it today"
        session.end()
    assert [row["ordinal"] for row in failed(tmp_path)] == [1]


def test_an_unusable_answer_in_a_retired_shard_is_kept_as_a_failure(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(answer(0, "?half an answ"))
    session.die()

    session = Session(tmp_path, shards=[Shard(2, 1, "pictures")], retired=[1], run_id="run-2")
    assert session.ledger.settled("caption", 1) == BitMap([0]), "paid for: not asked again in the newer shard"
    session.end()
    assert [(row["kind"], row["raw_text"], row["cost_usd"]) for row in failed(tmp_path)] == [
        ("cut", "?half an answ", PRICE)
    ]
    assert segments(tmp_path) == []


def test_a_failure_that_a_kill_left_in_the_journal_of_a_retired_shard_is_planned_anew(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(problem(0, "timeout"))
    session.receive(problem(1, "not_found"))
    session.receive(answer(2, "!a server's excuse"))
    session.die()

    # The manifest has grown: the plan asks what is settled before it retires the shard.
    session = Session(tmp_path, run_id="run-2")
    assert session.ledger.settled("caption", 1) == BitMap([1]), "the other two go into a newer shard"
    assert set(session.ledger.unsettled("caption", 1)) == {0, 2}
    session.ledger.plan(
        [Shard(2, 2, "pictures")],
        [1],
        [Move("caption", 1, 0, 2, 0, 1, 0, 0.0), Move("caption", 1, 2, 2, 1, 1, 0, 0.0)],
    )
    session.end()
    assert [row["ordinal"] for row in failed(tmp_path)] == [1]
    assert segments(tmp_path) == [], "nothing is left that a journal would have to be kept for"
