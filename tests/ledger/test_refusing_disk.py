"""A disk that is full or fails: short writes, refused syncs, limits; nothing torn stays, nothing safe is lost."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import DiskFullError, LedgerError
from tests.ledger.journals import files, frames, journal_in, record
from tests.ledger.world import answer, problem

BIG = 1024 * 1024


def broken_syncs(patch: pytest.MonkeyPatch, failing: int) -> list[str]:
    """The next syncs fail; the file names of all syncs from now on."""
    calls: list[str] = []

    def sync(descriptor: int) -> None:
        calls.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        if len(calls) <= failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    patch.setattr(os, "fdatasync", sync)
    return calls


def test_frames_of_a_failed_sync_are_written_again_from_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel reports a lost page once; a second fdatasync would call the lost frames safe."""
    journal = journal_in(tmp_path)
    journal.append(answer(0))
    assert journal.sync() == 1
    calls = broken_syncs(monkeypatch, 1)
    journal.append(answer(1))
    journal.append(answer(2))
    assert journal.sync() == 3
    assert calls == ["000001.vlj", "000002.vlj"], "the failed file is never synced again"
    assert frames(tmp_path / "000002.vlj") == [answer(1), answer(2)], "what was safe before is not written again"
    assert journal.unsynced() == 0
    assert journal.trouble is None, "the run goes on"
    journal.append(answer(3))
    journal.close()
    assert frames(tmp_path / "000002.vlj") == [answer(1), answer(2), answer(3)]
    assert record(tmp_path) == ["+000001", "+000002"]


def test_two_failed_syncs_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = journal_in(tmp_path)
    calls = broken_syncs(monkeypatch, 2)
    journal.append(answer(0))
    for call in (journal.sync, journal.sync, journal.close):
        with pytest.raises(LedgerError, match="Input/output error"):
            call()
    assert len(calls) == 2
    assert journal.unsynced() == 1
    assert frames(tmp_path / "000001.vlj") == [answer(0)]
    assert open_descriptors(tmp_path) == []


def test_a_frame_appended_while_a_sync_fails_is_written_again_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = journal_in(tmp_path)
    journal.append(answer(0))

    def failing(_: int) -> None:
        monkeypatch.setattr(os, "fdatasync", lambda descriptor: None)
        journal.append(answer(1))
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", failing)
    assert journal.sync() == 2
    assert frames(tmp_path / "000002.vlj") == [answer(0), answer(1)]
    journal.close()


def test_a_torn_frame_that_cannot_be_cut_off_stays_the_last_of_its_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, write = journal_in(tmp_path), os.write
    journal.append(answer(0))

    def refused(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def short(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", refused)
        return write(descriptor, data[:20])

    monkeypatch.setattr(os, "ftruncate", refused)
    monkeypatch.setattr(os, "write", short)
    with pytest.raises(LedgerError, match="Input/output error"):
        journal.append(answer(1))
    monkeypatch.undo()
    journal.append(answer(2))  # another call that was answered in the same moment
    journal.close()
    kept = [frames(tmp_path / name) for name in files(tmp_path)]
    assert [found for found in kept if found] == [[answer(0)], [answer(2)]]
    assert journal.trouble is not None, "it took a new segment: nothing more may be bought"


Write = Callable[[int, bytes], int]


def full_disk(*steps: int | OSError) -> Write:
    """An os.write that takes so many bytes in each call, or raises."""
    write, left = os.write, list(steps)

    def short(descriptor: int, data: bytes) -> int:
        step = left.pop(0)
        if isinstance(step, OSError):
            raise step
        return write(descriptor, bytes(data)[:step])

    return short


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda: full_disk(20, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))), id="short-then-ENOSPC"),
        pytest.param(lambda: full_disk(20, 20), id="short-twice"),
        pytest.param(lambda: full_disk(20, 0), id="short-then-nothing"),
        pytest.param(lambda: full_disk(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))), id="ENOSPC"),
        pytest.param(lambda: full_disk(OSError(errno.EFBIG, os.strerror(errno.EFBIG))), id="EFBIG"),
    ],
)
def test_a_full_disk_leaves_nothing_torn_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[], Write]
) -> None:
    journal = journal_in(tmp_path)
    journal.append(answer(0))
    journal.append(answer(1))
    good = (tmp_path / "000001.vlj").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refusing(write()))
        with pytest.raises(LedgerError, match=r"The disk is full.*Every answer acknowledged so far is kept"):
            journal.append(answer(2))
    assert (tmp_path / "000001.vlj").read_bytes() == good
    assert frames(tmp_path / "000001.vlj") == [answer(0), answer(1)]

    journal.append(problem(3))  # somebody made room
    journal.close()
    kept = [frame for name in files(tmp_path) for frame in frames(tmp_path / name)]
    assert kept == [answer(0), answer(1), problem(3)]


def refusing(first: Write) -> Write:
    """What `first` does, and then a disk that takes nothing in any file."""

    def write(descriptor: int, data: bytes) -> int:
        try:
            return first(descriptor, data)
        except IndexError:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None

    return write


@pytest.mark.parametrize("taken", [0, 20], ids=["nothing", "a short count"])
def test_room_made_on_a_full_disk_keeps_the_answer_in_hand_and_those_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    room: list[bool] = []
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if room:
            return write(descriptor, data)
        if taken and len(data) > taken:
            return write(descriptor, data[:taken])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal = journal_in(tmp_path, make_room=lambda: room.append(True))
    journal.append(answer(0))
    monkeypatch.setattr(os, "write", full)
    journal.append(answer(1))
    assert room == [True]
    assert isinstance(journal.trouble, DiskFullError)
    journal.append(answer(2))  # it was on the wire
    assert journal.sync() == 3
    assert frames(tmp_path / "000001.vlj") == [answer(0), answer(1), answer(2)]
    journal.close()


def test_a_file_that_may_not_grow_is_followed_by_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, synced = os.write, []
    journal = journal_in(tmp_path)
    journal.append(answer(0))
    grown = {(tmp_path / "000001.vlj").stat().st_ino}

    def limited(descriptor: int, data: bytes) -> int:
        if os.fstat(descriptor).st_ino in grown:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return write(descriptor, data)

    sync = os.fdatasync
    monkeypatch.setattr(os, "write", limited)
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (synced.append(descriptor), sync(descriptor)))
    journal.append(answer(1))
    assert synced, "the segment that is left is synced first"
    assert journal.unsynced() == 1
    assert [frames(tmp_path / name) for name in files(tmp_path)] == [[answer(0)], [answer(1)]]
    assert journal.trouble is not None
    journal.close()


def test_a_short_count_alone_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = journal_in(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full_disk(20, BIG))
        journal.append(answer(0))
    journal.append(answer(1))
    journal.close()

    assert frames(tmp_path / "000001.vlj") == [answer(0), answer(1)]


def open_descriptors(folder: Path) -> list[str]:
    """Files below the folder that this process holds open."""
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except FileNotFoundError:
            continue
    return [link for link in links if link.startswith(str(folder))]


def test_a_full_disk_that_shows_at_the_sync_gets_the_reserve_and_stops_the_buying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room: list[bool] = []
    journal = journal_in(tmp_path, make_room=lambda: room.append(True))
    journal.append(answer(0))

    def full(_: int) -> None:
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fdatasync", full)
    assert journal.sync() == 1
    assert room == [True]
    assert isinstance(journal.trouble, DiskFullError)
    journal.close()
