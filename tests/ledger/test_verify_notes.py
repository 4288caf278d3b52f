"""What `verify` says beside damage: what a kill leaves is a note, and a cache or an earlier version no reproach."""

from __future__ import annotations

import os
import sqlite3
import zlib
from pathlib import Path

import pytest

from pipeline.ledger.findings import EXAMPLES
from pipeline.ledger.frames import _LENGTHS, MAGIC, encode
from tests.ledger.outputs import House, finished, found, look, names, small, stopped, tree
from tests.ledger.tampering import changed, rewrite
from tests.ledger.test_recovery import KilledError, killed_at


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)


def tried_again(root: Path) -> House:
    """A failure that may pass is committed, and its row's answer is in the journal."""
    house = House(root)
    house.open(*names(3))
    house.work({"k01.jpg": "timeout"})
    house.session.end()
    house.open(*names(3))
    house.work()
    return house


def test_a_kill_between_part_and_snapshot_is_a_note_while_the_journal_knows_the_row(tmp_path: Path) -> None:
    house = tried_again(tmp_path)
    ledger = house.session.ledger
    for task in ("caption", "ocr"):
        assert list(ledger.standing(task, 1).write_parts(house.session.output.scratch, "run-2"))
    house.session.die()
    assert found(tmp_path) == (set(), {"half_committed"})

    segment = tmp_path / "_run/journal/000001.vlj"
    content = segment.read_bytes()
    segment.unlink()
    assert found(tmp_path)[0] == {"row_in_both", "segment_removed"}

    segment.write_bytes(content)
    house.open(*names(3))
    house.session.end()
    assert found(tmp_path) == (set(), set())


def test_a_kill_while_recovered_rows_are_committed_is_no_damage(tmp_path: Path) -> None:
    """Answers that replace failures lie in segments of an earlier run; these go after the failures, not before."""
    for step in range(60):
        root = tmp_path / str(step)
        house = tried_again(root)
        house.session.die()
        house.open(*names(3))
        finished_in_order = True
        with pytest.MonkeyPatch.context() as patch:
            killed_at(patch, step)
            try:
                house.session.end()
            except KilledError:
                finished_in_order = False
        house.session.die()
        assert found(root)[0] == set(), f"killed at step {step}"
        if finished_in_order:
            assert step >= 10, "the steps are really there"
            return
    raise AssertionError("a commit of one shard does not take so many steps")


def test_a_kill_at_any_step_of_a_commit_is_no_damage(tmp_path: Path) -> None:
    for step in range(60):
        root = tmp_path / str(step)
        house = tried_again(root)
        finished_in_order = True
        with pytest.MonkeyPatch.context() as patch:
            killed_at(patch, step)
            try:
                house.session.end()
            except KilledError:
                finished_in_order = False
        house.session.die()
        assert found(root)[0] == set(), f"killed at step {step}"
        if finished_in_order:
            assert step >= 10
            return
    raise AssertionError("so many steps it does not have")


def test_an_older_snapshot_beside_the_newest_is_a_note(tmp_path: Path) -> None:
    stopped(tmp_path)
    older = tmp_path / "failures/caption/shard-000001-000001.parquet"
    older.with_name("shard-000001-000002.parquet").write_bytes(older.read_bytes())
    assert found(tmp_path) == (set(), {"superseded_snapshot", "uncommitted"})


def test_what_retired_shards_did_not_finish_is_nobodys(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.open(*names(4))
    house.work({"k00.jpg": "timeout"}, until=4)
    house.session.end()
    house.open(*names(5))  # the shard is retired, and what has moved is dropped at once
    house.session.die()
    (tmp_path / "_SUCCESS").unlink(missing_ok=True)
    assert found(tmp_path) == (set(), set())
    house.open(*names(5))
    house.work()
    house.session.end()
    (tmp_path / "_SUCCESS").touch()
    assert found(tmp_path) == (set(), set())


def test_a_torn_tail_is_a_note(tmp_path: Path) -> None:
    stopped(tmp_path)
    segment = tmp_path / "_run/journal/000001.vlj"
    segment.write_bytes(segment.read_bytes()[:-10])
    assert found(tmp_path) == (set(), {"torn_tail", "uncommitted"})


def test_foreign_files_are_notes_and_ours_of_a_killed_process_are_nothing(tmp_path: Path) -> None:
    finished(tmp_path)
    (tmp_path / "_run/tmp/caption-part-000001-000001.parquet.new").write_bytes(b"PAR1 half")
    (tmp_path / "_run/plan/notes.json").write_text("{}")
    (tmp_path / "_run/journal/x.vlj").write_text("mine")
    assert found(tmp_path) == (set(), set())
    (tmp_path / "data" / os.fsdecode(b"caf\xe9.txt")).write_text("mine")
    (tmp_path / "failures/caption/.DS_Store").write_text("mine")
    findings = look(tmp_path)
    assert [note.places for note in findings.notes()] == [["data/caf\\xe9.txt", "failures/caption/.DS_Store"]]


def test_a_segment_whose_rows_are_committed_may_go_and_come_again(tmp_path: Path) -> None:
    finished(tmp_path)
    path = tmp_path / "_run/segments"
    for lines, gone in (
        ("", []),
        ("+000001\n", ["_run/journal/000001.vlj"]),
        ("+000001\n-000001\n+000001\n", ["_run/journal/000001.vlj"]),
        ("+000001\n+000002\n-000001\n-00000", ["_run/journal/000002.vlj"]),
        ("-000001\nnonsense\n+\n", []),
    ):
        path.write_text(lines)
        assert [place for one in look(tmp_path).damage() for place in one.places] == gone, lines
    path.unlink()
    assert found(tmp_path) == (set(), {"segments_unlisted"})


def test_an_index_is_a_cache(tmp_path: Path) -> None:
    finished(tmp_path)
    path = tmp_path / "_run/index.sqlite"
    index = sqlite3.connect(path)
    index.execute("PRAGMA journal_mode=WAL")
    index.execute("INSERT INTO parts VALUES ('caption', 'part-000009-000001.parquet')")
    index.commit()
    before = tree(tmp_path)
    assert found(tmp_path)[0] == {"part_deleted"}, "also what is still in the write-ahead log"
    assert tree(tmp_path) == before
    index.execute("DROP TABLE parts")
    index.commit()
    index.close()
    assert found(tmp_path) == (set(), set())
    path.write_bytes(b"no database")
    assert found(tmp_path) == (set(), set())


def test_a_picture_paid_for_at_two_places_is_found_however_the_plan_came_to_it(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.open(*names(3))
    house.work({"k01.jpg": "not_found"})
    house.session.end()
    plan = tmp_path / "_run/plan/000001"
    for suffix in (".json", ".rows"):  # the same rows planned again as shard 2
        content = plan.with_suffix(suffix).read_bytes().replace(b'"shards":[[1,', b'"shards":[[2,')
        plan.with_name("000002").with_suffix(suffix).write_bytes(content)
    house.session = type(house.session)(tmp_path, tasks=("caption", "ocr"), shards=house.plan.active)
    house.work({"k01.jpg": "not_found"})
    house.session.end()
    [twice] = look(tmp_path).damage()
    assert (twice.code, twice.count) == ("key_settled_twice", 6)
    assert len(twice.places) == EXAMPLES
    assert any("caption, shard 1, row 1 ('k01.jpg'), and also caption, shard 2, row 1" in one for one in twice.places)


def test_one_answer_for_questions_of_two_tasks_is_found(tmp_path: Path) -> None:
    finished(tmp_path)
    for task in ("caption", "ocr"):
        rewrite(tmp_path / f"data/{task}/part-000005-000001.parquet", changed("request_id", "one for both"))
        rewrite(tmp_path / f"data/{task}/part-000005-000001.parquet", changed("finished_at", 1_700_000_000_000_000))
    [shared] = look(tmp_path).damage()
    assert (shared.code, shared.count) == ("answer_shared", 1)
    [place] = shared.places
    assert "caption" in place
    assert "ocr" in place


def test_a_copy_may_be_older_than_the_commit_of_its_original(tmp_path: Path) -> None:
    """Their shards end at different times; a kill in between leaves the original in the journal."""
    house = House(tmp_path)
    house.open(*names(8))
    (original, key), *_ = house.todo()
    (twin, other), *_ = [(row, key) for row, key in house.todo() if row.shard == 2 and row.task == original.task]
    house.copy(twin, other, key)
    house.session.ledger.append(house.frame(original, key))
    house.session.ledger.commit(everything=True)
    house.session.die()
    assert found(tmp_path) == (set(), {"uncommitted"})
    (tmp_path / "_run/journal/000001.vlj").unlink()
    assert found(tmp_path)[0] == {"original_missing", "segment_removed"}


def test_a_frame_of_an_unknown_version_is_told(tmp_path: Path) -> None:
    house = stopped(tmp_path)
    row, key = house.todo()[-1]
    frame = encode(house.frame(row, key))
    (tmp_path / "_run/journal/000002.vlj").write_bytes(frame)
    assert found(tmp_path)[0] == set()
    header = b'{"task": "caption"}'
    lengths = _LENGTHS.pack(MAGIC, len(header), 0, zlib.crc32(header))
    (tmp_path / "_run/journal/000002.vlj").write_bytes(lengths + header)
    assert found(tmp_path)[0] == {"segment_unreadable"}
