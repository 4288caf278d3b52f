"""The journal: in the kernel at once, on the disk after a sync, deleted only when everything in it stands elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pyroaring import BitMap

from pipeline.core.errors import LedgerError
from pipeline.core.outcomes import Frame
from pipeline.ledger.frames import encode
from tests.ledger.journals import files, frames, journal_in, record
from tests.ledger.world import answer


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


def test_a_journal_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file")

    with pytest.raises(LedgerError, match=r"Cannot write .*journal: File exists"):
        journal_in(tmp_path / "journal")
