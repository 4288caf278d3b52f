"""How an equal question ended: found in memory, in parts, in snapshots, across runs, and only where it is true."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pyroaring import BitMap

from pipeline.core.errors import LedgerError
from pipeline.core.outcomes import Failure, Move, Row
from pipeline.core.types import RowId, Shard
from tests.ledger.test_index import ASKED, OTHER, SHARD, asking
from tests.ledger.world import PRICE, Session, answer, answered, failed, problem, segments


def test_an_answer_is_found_from_the_moment_it_is_taken_over(tmp_path: Path) -> None:
    session = Session(tmp_path)
    assert session.ledger.twin("caption", ASKED) is None
    session.receive(asking(answer(0, "a cat", kept={})))
    for moment in ("waiting", "committed"):
        found = session.ledger.twin("caption", ASKED)
        assert isinstance(found, Row), moment
        assert (found.id, found.answer, found.envelope.cost_usd) == (
            RowId("caption", 1, 0),
            {"caption": "a cat"},
            PRICE,
        )
        session.ledger.commit(everything=True)
    assert session.ledger.twin("caption", OTHER) is None
    assert session.ledger.twin("ocr", ASKED) is None
    session.end()
    session = Session(tmp_path, run_id="run-2")
    found = session.ledger.twin("caption", ASKED)
    assert isinstance(found, Row)
    assert (found.facts.key, found.answer) == ("picture-0.jpg", {"caption": "a cat"})
    session.end()


def test_a_row_read_back_is_the_row_that_was_written(tmp_path: Path) -> None:
    session = Session(tmp_path)
    frame = asking(replace(answer(3, "ein Bär"), latency_ms=77))
    session.receive(frame)
    waiting = session.ledger.twin("caption", ASKED)
    session.ledger.commit(everything=True)
    assert session.ledger.twin("caption", ASKED) == waiting
    refused = asking(problem(4, "refusal", attempts=2), OTHER)
    session.receive(refused)
    waiting = session.ledger.twin("caption", OTHER)
    session.ledger.commit(everything=True)
    assert session.ledger.twin("caption", OTHER) == waiting
    assert isinstance(waiting, Failure)
    session.end()


def test_a_final_failure_is_shared_and_one_that_may_pass_is_not(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(asking(problem(0, "refusal")))
    session.receive(asking(problem(1, "timeout"), OTHER))
    for _ in range(2):
        assert isinstance(session.ledger.twin("caption", ASKED), Failure)
        assert session.ledger.twin("caption", OTHER) is None
        session.ledger.commit(everything=True)
    session.end()
    session = Session(tmp_path, run_id="run-2")
    assert isinstance(session.ledger.twin("caption", ASKED), Failure)
    assert session.ledger.twin("caption", OTHER) is None
    session.ledger.reopen({("caption", 1): BitMap([0])})
    assert session.ledger.twin("caption", ASKED) is None, "it is to be asked again"
    session.ledger.close()


def test_a_run_about_chosen_failures_shares_answers_alone(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(asking(problem(0, "refusal")))
    session.receive(asking(answer(1), OTHER))
    session.ledger.restrict({("caption", 1): BitMap([5])})
    assert session.ledger.twin("caption", ASKED) is None
    assert isinstance(session.ledger.twin("caption", OTHER), Row)
    session.ledger.restrict(None)
    session.end()


def test_copies_survive_a_kill_wherever_their_leader_stands(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(asking(answer(0, "a cat")))
    session.receive(asking(problem(10, "not_found"), OTHER))
    leader, failure = session.ledger.twin("caption", ASKED), session.ledger.outcome(RowId("caption", 1, 10))
    assert leader is not None
    assert failure is not None
    session.share(RowId("caption", 1, 1), leader)
    session.share(RowId("caption", 1, 11), failure)
    session.die()  # all four are in the journal alone

    session = Session(tmp_path, run_id="run-2")
    assert session.recovery.restored == 4
    session.ledger.commit(everything=True)
    leader = session.ledger.outcome(RowId("caption", 1, 0))
    assert leader is not None
    session.share(RowId("caption", 1, 2), leader, add=False)
    session.die()  # the leader is in a part, its last copy in the journal

    session = Session(tmp_path, run_id="run-3")
    session.end()
    rows = [(row["ordinal"], row["caption"], row["dedup_of"], row["cost_usd"]) for row in answered(tmp_path)]
    assert rows == [(0, "a cat", None, PRICE), (1, "a cat", "picture-0.jpg", 0), (2, "a cat", "picture-0.jpg", 0)]
    assert [(row["ordinal"], row["dedup_of"]) for row in failed(tmp_path)] == [(10, None), (11, "picture-10.jpg")]
    assert segments(tmp_path) == []


def test_a_copy_whose_leader_is_not_there_is_asked_like_any_other(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(asking(answer(0)))
    leader = session.ledger.outcome(RowId("caption", 1, 0))
    assert leader is not None
    session.share(RowId("caption", 1, 1), replace(leader, id=RowId("caption", 1, 50)))
    session.die()
    session = Session(tmp_path, shards=[SHARD], run_id="run-2")
    assert session.ledger.outstanding(SHARD, 1) == ("caption",)
    assert session.ledger.outstanding(SHARD, 0) == ()
    session.end()
    assert segments(tmp_path) == []


def test_a_copy_leads_nobody(tmp_path: Path) -> None:
    """Else the index would end in chains, and a leader's loss would be everybody's."""
    session = Session(tmp_path)
    session.receive(asking(answer(0)))
    leader = session.ledger.outcome(RowId("caption", 1, 0))
    assert leader is not None
    copied = replace(leader, facts=replace(leader.facts, key="copy.jpg"))
    session.share(RowId("caption", 1, 1), copied)
    for _ in range(2):
        found = session.ledger.twin("caption", ASKED)
        assert found is not None
        assert found.id.ordinal == 0
        session.ledger.commit(everything=True)
    session.end()


# ---- frames that a failed sync wrote twice, and clocks that jump ----


def test_a_frame_in_two_segments_counts_once(tmp_path: Path) -> None:
    session = Session(tmp_path)
    for frame in (answer(0, "?half"), problem(0, "timeout", attempts=2, ended=False, failed=1)):
        session.receive(frame)
    session.ledger.journal._rewrite(OSError(5, "Input/output error"))
    session.receive(answer(1, "a dog"))
    session.die()
    assert len(segments(tmp_path)) == 2
    session = Session(tmp_path, shards=[SHARD], run_id="run-2")
    life = session.ledger.life(RowId("caption", 1, 0))
    assert (life.spent.answers, life.spent.attempts, life.spent.cost_usd) == (1, 2, PRICE)
    session.receive(answer(0, "a cat", attempts=3, run_id="run-2"))
    session.end()
    assert [(row["caption"], row["cost_usd"]) for row in answered(tmp_path)] == [("a cat", 2 * PRICE), ("a dog", PRICE)]


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_no_jump_of_the_clock_loses_an_answer(tmp_path: Path, jump: float) -> None:
    now = 1_700_000_000.0
    session = Session(tmp_path)
    session.receive(problem(0, "timeout", attempts=2, received_at=now))
    session.end()
    session = Session(tmp_path, run_id="run-2")
    session.receive(problem(0, "timeout", attempts=3, received_at=now + jump, ended=False, failed=1))
    session.receive(answer(0, "a cat", attempts=4, received_at=now + 2 * jump, run_id="run-2"))
    session.die()
    session = Session(tmp_path, run_id="run-3")
    session.end()
    assert [(row["caption"], row["attempts"]) for row in answered(tmp_path)] == [("a cat", 4)]
    assert failed(tmp_path) == []


def test_a_leader_stays_findable_when_a_copy_is_committed_before_it(tmp_path: Path) -> None:
    """Found by the crash suite: restored leaders wait for their shard's end, copies of another shard went first."""
    session = Session(tmp_path, shards=[SHARD, Shard(2, 1, "pictures")])
    session.receive(asking(answer(0)))
    leader = session.ledger.outcome(RowId("caption", 1, 0))
    assert leader is not None
    copied = session.share(RowId("caption", 2, 0), leader)
    assert copied.envelope.dedup_of == "picture-0.jpg"
    session.ledger.commit()  # shard 2 is complete, shard 1 is not
    assert [row["shard"] for row in answered(tmp_path)] == [2]
    found = session.ledger.twin("caption", ASKED)
    assert found is not None
    assert found.id.shard == 1
    session.end()


def test_a_final_failure_at_a_new_place_is_found_there(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(asking(problem(0, "refusal")))
    session.end()
    session = Session(tmp_path, run_id="run-2")
    session.ledger.reopen({("caption", 1): BitMap([0])})
    moves = [Move("caption", 1, 0, 2, 0, 1, 0, 0.0)]
    session.ledger.plan([Shard(2, 1, "pictures")], [1], moves)
    session.receive(asking(problem(0, "refusal", shard=2, attempts=2)))
    session.ledger.commit(everything=True)
    found = session.ledger.twin("caption", ASKED)
    assert found is not None
    assert found.id.shard == 2
    session.end()


def test_an_opening_that_comes_to_nothing_holds_no_space(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(asking(answer(0)))
    session.end()
    (tmp_path / "data/caption/part-000001-000001.parquet").unlink()
    with pytest.raises(LedgerError, match="is missing"):
        Session(tmp_path)
    assert not (tmp_path / "_run/reserve").exists()
