"""Where `verify` could be wrong by a hair: what wins over what, what counts as settled, what is only alike."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.audit import audit
from pipeline.manifests.plan import Plan
from tests.ledger.outputs import House, finished, found, look, names, small, stopped
from tests.ledger.tampering import changed, rewrite
from tests.ledger.test_verify_notes import tried_again


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)


def half_committed(root: Path) -> House:
    """Parts are written, the snapshots that they outdate still stand, and the journal knows every row."""
    house = tried_again(root)
    for task in ("caption", "ocr"):
        assert list(house.session.ledger.standing(task, 1).write_parts(house.session.output.scratch, "run-2"))
    house.session.die()
    return house


def test_a_final_failure_beside_an_answer_is_damage_even_while_the_journal_knows_the_row(tmp_path: Path) -> None:
    half_committed(tmp_path)
    rewrite(tmp_path / "failures/ocr/shard-000001-000001.parquet", changed("retryable", False))
    assert found(tmp_path)[0] == {"row_in_both"}


def test_a_row_that_was_answered_is_not_to_be_tried_again(tmp_path: Path) -> None:
    half_committed(tmp_path)
    checked = audit(tmp_path).checked
    assert (checked.answered, checked.failed, checked.retryable, checked.left) == (6, 0, 0, 0)


def test_of_two_snapshots_the_newest_counts(tmp_path: Path) -> None:
    finished(tmp_path)
    [newest] = (tmp_path / "failures/caption").glob("shard-000001-*")
    older = newest.with_name("shard-000001-000001.parquet")
    assert older != newest
    shutil.copy(newest, older)
    rewrite(older, changed("ordinal", 0))  # which was answered since
    assert found(tmp_path) == (set(), {"superseded_snapshot"})


def test_what_a_shard_was_not_asked_is_damage(tmp_path: Path) -> None:
    finished(tmp_path)
    plan = House(tmp_path)
    plan.open(*names(14))
    [only] = [shard for shard in plan.plan.active if shard.tasks is not None and len(shard.tasks) == 1][:1]
    plan.session.end()
    [other] = {"caption", "ocr"} - set(only.tasks or ())
    known = tmp_path / f"data/{(only.tasks or ('',))[0]}/part-{only.number:06}-000001.parquet"
    target = tmp_path / f"data/{other}/{known.name}"
    assert known.exists()
    assert not target.exists()
    shutil.copy(known, target)
    assert "unplanned" in found(tmp_path)[0]
    target.unlink()
    assert found(tmp_path)[0] == set()


def test_a_task_that_was_never_configured_is_damage(tmp_path: Path) -> None:
    finished(tmp_path)
    shutil.copytree(tmp_path / "data/caption", tmp_path / "data/tags")
    codes = found(tmp_path)[0]
    assert "unplanned" in codes
    assert "key_wrong" not in codes


def test_a_file_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    finished(tmp_path)
    path = tmp_path / "data/ocr/part-000005-000001.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    assert found(tmp_path)[0] == {"file_unreadable"}


def test_a_shard_number_beyond_all_numbers_is_foreign(tmp_path: Path) -> None:
    finished(tmp_path)
    part = tmp_path / "data/ocr/part-000005-000001.parquet"
    shutil.copy(part, part.with_name("part-99999999999-000001.parquet"))
    assert found(tmp_path)[0] == {"foreign_parquet"}


def test_a_failure_that_may_pass_is_not_settled_twice(tmp_path: Path) -> None:
    """A kill before the retired shard dropped it, and the answer at the row's new place is committed already."""
    house = House(tmp_path)
    house.open(*names(4))
    house.work({"k00.jpg": "timeout"}, until=4)
    house.session.end()
    [snapshot] = (tmp_path / "failures/caption").glob("*")
    kept = snapshot.read_bytes()
    house.open(*names(5))
    house.work()
    house.session.end()
    assert not snapshot.exists()
    snapshot.write_bytes(kept)
    assert found(tmp_path) == (set(), {"retired_retryable"})


def test_the_original_of_a_copy_is_no_copy(tmp_path: Path) -> None:
    finished(tmp_path)
    files = sorted(tmp_path.glob("data/*/*.parquet"))
    [(task, original)] = [(path.parent, key) for path in files for key in _column(path, "dedup_of") if key is not None]
    [(path, row)] = [
        (path, row)
        for path in sorted(task.glob("*.parquet"))
        for row, key in enumerate(_column(path, "key"))
        if key == original
    ]
    rewrite(path, changed("dedup_of", "k00.jpg", row))
    rewrite(path, changed("cost_usd", 0.0, row))
    [damage] = look(tmp_path).damage()
    assert (damage.code, damage.count) == ("original_missing", 2)


def _column(path: Path, name: str) -> list[object]:
    values: list[object] = pq.ParquetFile(path).read([name]).column(name).to_pylist()
    return values


def test_a_server_that_gives_one_id_to_every_answer_is_no_damage(tmp_path: Path) -> None:
    finished(tmp_path)
    for path in tmp_path.glob("data/*/*.parquet"):
        for row in range(pq.read_metadata(path).num_rows):
            rewrite(path, changed("request_id", "always the same", row))
    assert found(tmp_path) == (set(), set())


@pytest.mark.parametrize("rows", [b"[2,3,", b"[2,5,"])
def test_a_row_list_of_another_length_than_its_record_is_no_plan(tmp_path: Path, rows: bytes) -> None:
    stopped(tmp_path)
    path = tmp_path / "_run/plan/000001.json"
    path.write_bytes(path.read_bytes().replace(b"[2,4,", rows))
    assert "plan_unreadable" in found(tmp_path)[0]


@pytest.mark.parametrize("error", [SystemError, UnicodeDecodeError, IndexError])
def test_whatever_a_broken_row_list_raises_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """A flipped bit in an offset makes pyarrow raise SystemError, one in a key UnicodeDecodeError."""
    stopped(tmp_path)

    def broken(*_: object) -> None:
        raise UnicodeDecodeError("utf-8", b"", 0, 1, "?") if error is UnicodeDecodeError else error("?")

    monkeypatch.setattr(Plan, "placed", broken)
    assert found(tmp_path)[0] == {"plan_unreadable"}
