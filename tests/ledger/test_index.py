"""The index of questions: a cache that is never believed, never missed, and remembers which parts there were."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.core.errors import LedgerError
from pipeline.core.outcomes import Frame, Row
from pipeline.core.types import Shard
from tests.ledger.world import Session, answer, problem

ASKED, OTHER = "a" * 64, "b" * 64
SHARD = Shard(1, 100, "pictures")


def question(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


def asking(frame: Frame, question: str = ASKED) -> Frame:
    return replace(frame, facts=replace(frame.facts, request_sha256=question))


def test_an_index_that_names_another_row_is_not_believed(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(asking(answer(0)))
    session.receive(asking(answer(1), OTHER))
    session.end()
    with sqlite3.connect(tmp_path / "_run/index.sqlite") as index:
        index.execute("UPDATE questions SET ordinal = 1 - ordinal")
    index.close()
    session = Session(tmp_path, run_id="run-2")
    assert session.ledger.twin("caption", ASKED) is None
    session.end()


@pytest.mark.parametrize("damage", ["missing", "empty", "nonsense", "torn"])
def test_an_index_is_built_again_from_the_files(tmp_path: Path, damage: str) -> None:
    session = Session(tmp_path)
    for ordinal in range(30):
        session.receive(asking(answer(ordinal), question(ordinal)))
    session.receive(asking(problem(50, "refusal"), ASKED))
    session.end()
    path = tmp_path / "_run/index.sqlite"
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"empty": b"", "nonsense": os.urandom(9000), "torn": content[: len(content) // 2]}[damage])
    session = Session(tmp_path, run_id="run-2")
    for ordinal in range(30):
        assert session.ledger.twin("caption", question(ordinal)) is not None
    assert session.ledger.twin("caption", ASKED) is not None
    session.end()


def test_a_part_that_somebody_deleted_is_not_bought_again(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.receive(asking(answer(0)))
    session.end()
    (tmp_path / "data/caption/part-000001-000001.parquet").unlink()
    with pytest.raises(LedgerError, match=r"part-000001-000001.parquet is missing.*Bring it back, or delete .*index"):
        Session(tmp_path, run_id="run-2")
    for path in (tmp_path / "_run").glob("index.sqlite*"):
        path.unlink()
    session = Session(tmp_path, shards=[SHARD], run_id="run-3")
    assert session.ledger.left(SHARD) == 100
    session.end()


def test_a_part_that_a_kill_kept_from_the_index_is_found_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(tmp_path)
    session.receive(asking(answer(0)))
    with monkeypatch.context() as patch:
        patch.setattr(session.ledger._twins, "committed", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            session.ledger.commit(everything=True)
    session.die()
    session = Session(tmp_path, run_id="run-2")
    assert isinstance(session.ledger.twin("caption", ASKED), Row)
    session.end()


def test_a_damaged_page_of_the_index_is_noticed_at_the_start(tmp_path: Path) -> None:
    session = Session(tmp_path)
    for ordinal in range(30):
        session.receive(asking(answer(ordinal), question(ordinal)))
    session.end()
    path = tmp_path / "_run/index.sqlite"
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    path.write_bytes(content)
    session = Session(tmp_path, run_id="run-2")
    assert all(session.ledger.twin("caption", question(ordinal)) is not None for ordinal in range(30))
    session.end()


def test_an_index_that_cannot_be_opened_today_is_not_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Session(tmp_path).end()
    before = (tmp_path / "_run/index.sqlite").read_bytes()

    def refused(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", refused)
        with pytest.raises(LedgerError, match="unable to open database file"):
            Session(tmp_path)
    assert (tmp_path / "_run/index.sqlite").read_bytes() == before
