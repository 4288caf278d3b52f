"""Disk space held back for the answers that are on the wire when the disk is full."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.core.errors import DiskFullError, LedgerError
from pipeline.ledger import ledger as ledger_module
from pipeline.ledger import parts
from pipeline.ledger.reserve import LEAST_FREE, MOST_BYTES, Reserve
from tests.ledger.world import Session, answer, answered, failed, failure_files, problem

MIB = 1024 * 1024


def disk_with(patch: pytest.MonkeyPatch, free: int) -> None:
    patch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=free // 4096, f_frsize=4096))


def held(path: Path) -> int:
    """Bytes that are really allocated."""
    return path.stat().st_blocks * 512


@pytest.mark.parametrize(
    ("free", "in_flight", "bytes_"),
    [
        (10_000 * MIB, 0, MOST_BYTES),
        (10_000 * MIB, 2048, 256 * MIB),
        (100 * MIB, 16, 25 * MIB),
        (2 * MIB, 16, MIB // 2),
    ],
)
def test_it_holds_what_is_wanted_and_at_most_a_quarter_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, in_flight: int, bytes_: int
) -> None:
    disk_with(monkeypatch, free)
    reserve = Reserve(tmp_path / "run" / "reserve", in_flight)
    assert reserve.hold() == bytes_
    assert held(tmp_path / "run" / "reserve") >= bytes_
    reserve.give_up()
    reserve.give_up()
    assert list((tmp_path / "run").iterdir()) == []


def test_whoever_comes_second_finds_the_space_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the crash suite: an answer and a commit met the full disk together, and the answer did not wait."""
    reserve = Reserve(tmp_path / "reserve", 0)
    reserve.hold()
    unlink, begun, freed = Path.unlink, threading.Event(), threading.Event()
    came_second: list[bool] = []

    def slow(path: Path, missing_ok: bool = False) -> None:
        if not path.exists():
            came_second.append(freed.is_set())
            return
        unlink(path, missing_ok)  # the name is gone
        begun.set()
        second.start()
        second.join(0.2)  # it has every chance to overtake
        freed.set()

    monkeypatch.setattr(Path, "unlink", slow)
    second = threading.Thread(target=reserve.give_up)
    reserve.give_up()
    second.join()
    assert begun.is_set()
    assert came_second == [True]


def test_with_next_to_nothing_free_no_run_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk_with(monkeypatch, LEAST_FREE - 4096)
    with pytest.raises(DiskFullError, match=r"The disk is full: .* KiB free.*run the same command again"):
        Reserve(tmp_path / "reserve", 16).hold()


def test_a_file_system_without_allocation_has_no_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", refused)
    assert Reserve(tmp_path / "reserve", 16).hold() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_while_it_is_taken_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DiskFullError, match=r"The disk is full.*reserve"):
        Reserve(tmp_path / "reserve", 16).hold()
    assert list(tmp_path.iterdir()) == []


def test_a_run_holds_it_and_an_orderly_end_frees_it(tmp_path: Path) -> None:
    session = Session(tmp_path)
    assert held(tmp_path / "_run" / "reserve") == MOST_BYTES
    session.end()
    assert not (tmp_path / "_run" / "reserve").exists()
    session = Session(tmp_path)
    session.die()
    assert Session(tmp_path).output.reserve.exists(), "what a killed run left is taken over"


def full_until_given_up(patch: pytest.MonkeyPatch, reserve: Path, *, for_ever: bool = False) -> None:
    """Parts cannot be written as long as the reserve is there."""
    write = ledger_module.Standing.write_parts

    def refusing(standing: object, *values: object) -> object:
        if for_ever or reserve.exists():
            raise DiskFullError("The disk is full")
        return write(standing, *values)  # type: ignore[arg-type]

    patch.setattr(ledger_module.Standing, "write_parts", refusing)


def test_a_commit_that_does_not_fit_gives_it_up_and_stops_the_buying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(tmp_path)
    session.receive(answer(0))
    full_until_given_up(monkeypatch, session.output.reserve)
    assert session.ledger.trouble() is None
    session.ledger.commit(everything=True)
    assert isinstance(session.ledger.trouble(), DiskFullError)
    assert len(answered(tmp_path)) == 1
    session.end()


def test_what_fits_nowhere_waits_journaled_for_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(tmp_path)
    session.receive(answer(0))
    with monkeypatch.context() as patch:
        full_until_given_up(patch, session.output.reserve, for_ever=True)
        session.ledger.commit()  # nothing is due
        with pytest.raises(LedgerError, match="The disk is full"):
            session.ledger.commit(everything=True)
        session.receive(answer(1))  # it was on the wire
    session.die()
    session = Session(tmp_path, run_id="run-2")
    assert session.recovery.restored == 2
    session.end()
    assert len(answered(tmp_path)) == 2


@pytest.mark.parametrize("generations", [1, 2])
def test_a_snapshot_that_did_not_fit_is_written_again_over_the_same_predecessor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generations: int
) -> None:
    session = Session(tmp_path)
    for ordinal in range(generations):
        session.receive(problem(ordinal, "not_found"))
        session.ledger.commit(everything=True)
    session.receive(problem(9, "refusal"))
    write, reserve = parts.write, session.output.reserve

    def refusing(*values: Any) -> object:
        if reserve.exists():
            raise DiskFullError("The disk is full")
        return write(*values)

    monkeypatch.setattr(parts, "write", refusing)
    session.ledger.commit(everything=True)
    session.end()
    assert [row["ordinal"] for row in failed(tmp_path)] == [*range(generations), 9]
    assert failure_files(tmp_path) == [f"shard-000001-{generations + 1:06}.parquet"]
