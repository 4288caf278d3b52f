"""The journal: in the kernel at once, on the disk after a sync, deleted only when everything in it stands elsewhere."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap

from pipeline.core.errors import DiskFullError, LedgerError
from pipeline.core.types import Frame
from pipeline.ledger.frames import Replay, encode, replay
from pipeline.ledger.journal import Journal
from tests.ledger.world import answer, problem

BIG = 1024 * 1024


def journal_in(folder: Path, **options: Any) -> Journal:
    return Journal(folder, folder.with_name(f"{folder.name}.segments"), **options)


def record(folder: Path) -> list[str]:
    return folder.with_name(f"{folder.name}.segments").read_text().splitlines()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def frames(path: Path) -> list[Frame]:
    *found, end = replay(path)
    assert isinstance(end, Replay)
    assert not end.damaged
    return [frame for frame in found if isinstance(frame, Frame)]


def test_an_appended_frame_is_visible_to_everyone_at_once(tmp_path: Path) -> None:
    journal = journal_in(tmp_path)
    for ordinal in range(3):
        journal.append(answer(ordinal))
        assert frames(tmp_path / "000001.vlj") == [answer(earlier) for earlier in range(ordinal + 1)]
    journal.close()


def test_one_sync_brings_a_group_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, calls = journal_in(tmp_path), []
    sync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (calls.append(descriptor), sync(descriptor)))

    assert journal.sync() == 0
    assert calls == []
    for ordinal in range(3):
        journal.append(answer(ordinal))
    assert (journal.unsynced(), calls) == (3, [])
    assert journal.sync() == 3
    assert (journal.unsynced(), len(calls)) == (0, 1)
    assert journal.sync() == 3
    assert len(calls) == 1, "nothing new, nothing to sync"
    journal.append(answer(3))
    journal.close()
    assert len(calls) == 2


def test_a_frame_appended_while_the_disk_works_is_not_counted_as_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = journal_in(tmp_path)
    journal.append(answer(0))
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: journal.append(answer(1)))

    assert journal.sync() == 1
    assert journal.unsynced() == 1
    monkeypatch.undo()
    journal.close()


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


def test_a_full_segment_is_followed_by_the_next(tmp_path: Path) -> None:
    size = len(encode(answer(0)))
    journal = journal_in(tmp_path, segment_bytes=2 * size)
    for ordinal in range(5):
        journal.append(answer(ordinal))

    assert files(tmp_path) == ["000001.vlj", "000002.vlj", "000003.vlj"]
    assert [frames(tmp_path / name) for name in files(tmp_path)] == [
        [answer(0), answer(1)],
        [answer(2), answer(3)],
        [answer(4)],
    ]
    assert journal.unsynced() == 1, "a segment is synced before it is left"
    journal.close()


def test_an_answer_larger_than_a_segment_gets_its_own(tmp_path: Path) -> None:
    journal = journal_in(tmp_path, segment_bytes=100)
    journal.append(answer(0, "x" * 1000))
    journal.append(answer(1))

    assert files(tmp_path) == ["000001.vlj", "000002.vlj"]
    journal.close()


def test_a_segment_goes_when_all_its_rows_are_settled_and_not_before(tmp_path: Path) -> None:
    journal = journal_in(tmp_path, segment_bytes=1)  # a segment for every frame
    journal.append(answer(0))
    journal.append(answer(1, task="ocr"))
    journal.append(answer(0, shard=2))
    journal.append(answer(1))

    journal.settle("caption", 1, BitMap([7]))
    assert len(files(tmp_path)) == 4
    journal.settle("caption", 1, BitMap([0]))
    assert files(tmp_path) == ["000002.vlj", "000003.vlj", "000004.vlj"]
    journal.settle("ocr", 1, BitMap([0, 1, 2]))
    assert files(tmp_path) == ["000003.vlj", "000004.vlj"]
    journal.settle("caption", 1, BitMap([1]))
    assert files(tmp_path) == ["000003.vlj", "000004.vlj"], "the segment being written is never deleted"
    journal.close()
    assert files(tmp_path) == ["000003.vlj"]


def test_a_segment_of_several_rows_stays_for_the_last_of_them(tmp_path: Path) -> None:
    journal = journal_in(tmp_path)
    for ordinal in range(3):
        journal.append(answer(ordinal))
    journal.settle("caption", 1, BitMap([0, 2]))
    journal.close()
    assert files(tmp_path) == ["000001.vlj"]

    later = journal_in(tmp_path)
    assert [item.row.ordinal for _, item in later.replay() if isinstance(item, Frame)] == [0, 1, 2]
    later.settle("caption", 1, BitMap([0, 1]))
    assert files(tmp_path) == ["000001.vlj"]
    later.settle("caption", 1, BitMap([2]))
    assert files(tmp_path) == []


def test_the_next_process_writes_a_segment_of_its_own(tmp_path: Path) -> None:
    first = journal_in(tmp_path)
    first.append(answer(0))
    first.sync()
    assert first._segment
    first._segment.close()  # killed

    second = journal_in(tmp_path)
    assert [item for _, item in second.replay() if isinstance(item, Frame)] == [answer(0)]
    second.append(answer(1))
    assert frames(tmp_path / "000001.vlj") == [answer(0)]
    assert frames(tmp_path / "000002.vlj") == [answer(1)]
    second.close()


def test_segments_are_replayed_oldest_first(tmp_path: Path) -> None:
    journal = journal_in(tmp_path, segment_bytes=1)
    for ordinal in range(12):
        journal.append(answer(ordinal))
    journal.close()

    found = [item.row.ordinal for _, item in journal_in(tmp_path).replay() if isinstance(item, Frame)]
    assert found == list(range(12))


def test_a_segment_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "000001.vlj").mkdir()

    with pytest.raises(LedgerError, match=r"Cannot read the journal .*000001\.vlj: Is a directory"):
        list(journal_in(tmp_path).replay())


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


def test_the_record_tells_settled_segments_from_lost_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = journal_in(tmp_path, segment_bytes=1)
    for ordinal in range(3):
        journal.append(answer(ordinal))
    unlink, seen = Path.unlink, []

    def watched(path: Path, missing_ok: bool = False) -> None:
        seen.append((path.name, record(tmp_path)[-1]))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", watched)
    journal.settle("caption", 1, BitMap([1]))
    assert seen == [("000002.vlj", "-000002")], "it is recorded before the file goes"
    journal.close()
    assert record(tmp_path) == ["+000001", "+000002", "+000003", "-000002"]

    path = tmp_path.with_name(f"{tmp_path.name}.segments")
    path.write_text(path.read_text() + "-0000")  # torn by a kill
    again = journal_in(tmp_path)
    again.append(answer(5))
    again.close()
    assert record(tmp_path)[-2:] == ["-0000", "+000004"]


def test_a_short_count_alone_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = journal_in(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full_disk(20, BIG))
        journal.append(answer(0))
    journal.append(answer(1))
    journal.close()

    assert frames(tmp_path / "000001.vlj") == [answer(0), answer(1)]


def test_a_journal_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file")

    with pytest.raises(LedgerError, match=r"Cannot write .*journal: File exists"):
        journal_in(tmp_path / "journal")


def open_descriptors(folder: Path) -> list[str]:
    """Files below the folder that this process holds open."""
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except FileNotFoundError:
            continue
    return [link for link in links if link.startswith(str(folder))]
