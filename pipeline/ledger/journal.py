"""The journal: every received answer is in the kernel before anything else happens to it.

One writer, append-only segments of 64 MiB. `append` writes in the calling tick, so that the death of the process loses
nothing; `sync` brings a group of frames to the disk, so that the death of the machine loses only the last moments.
A segment is deleted when every row in it stands in a part or in a failure snapshot, and not before.

When the disk fails, nothing that was received is given up as long as any file can be written: frames not yet known to
be on the disk are kept in memory and written again into a new segment. A failed fdatasync is never tried again, for the
kernel may have dropped the pages that it could not write.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog
from pyroaring import BitMap

from pipeline.core.errors import DiskFullError, LedgerError
from pipeline.core.outcomes import Frame
from pipeline.core.types import RowId
from pipeline.ledger.frames import Replay, encode, replay
from pipeline.ledger.segment import Segment, SegmentRecord
from pipeline.storage.local import make_folder, reason, write_error

SEGMENT_BYTES = 64 * 1024 * 1024
SUFFIX = ".vlj"
_Rows = dict[tuple[str, int], BitMap]
log = structlog.get_logger()


class Journal:
    """The segments of one output. `append` belongs to one thread; `sync` and `settle` may run in another.

    `make_room` is called when a write failed, before it is tried in a new segment.
    """

    def __init__(
        self,
        folder: Path,
        record: Path,
        *,
        make_room: Callable[[], None] = lambda: None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        make_folder(folder)
        self.trouble: LedgerError | None = None
        """Why nothing more may be bought: a write failed, and only what is on the wire may still come."""
        self._folder = folder
        self._record = SegmentRecord(record)
        self._make_room = make_room
        self._segment_bytes = segment_bytes
        self._segments: dict[int, _Rows] = {}
        self._guard = threading.RLock()  # the segment, its rows and the unsynced frames change under two threads
        self._syncing = threading.Lock()  # a segment is not closed under a running fdatasync
        self._segment: Segment | None = None
        self._number = max((int(path.stem) for path in segment_files(folder)), default=0)
        self._unsynced: list[tuple[RowId, bytes]] = []
        self._synced = 0
        self._damaged: set[int] = set()
        """Segments with a hole: kept for a person to look at, for there may be answers behind it."""
        self._broken: LedgerError | None = None
        """Why no sync can be trusted any more."""

    def replay(self) -> Iterator[tuple[Path, Frame | Replay]]:
        """Every readable frame left by earlier runs, oldest first; each segment ends with its `Replay`.

        Every row met counts as unsettled until `settle` names it. Raises LedgerError when a segment is unreadable.
        """
        for path, item in read_frames(self._folder):
            rows = self._segments.setdefault(int(path.stem), {})
            if isinstance(item, Frame):
                _note(rows, item.row)
            elif item.damaged:
                self._damaged.add(int(path.stem))
            yield path, item

    def append(self, frame: Frame) -> None:
        """Hand one frame to the kernel. Raises LedgerError when it fits nowhere; nothing torn stays behind.

        When it fitted only after room was made or into a new segment, `trouble` says why that was needed.
        """
        data = encode(frame)
        segment = self._segment  # read once: a sync that fails takes it away
        if segment is not None and segment.size + len(data) > self._segment_bytes:
            self._end_segment()
        try:
            with self._guard:
                self._write(frame.row, data)
        except OSError as error:
            with self._syncing, self._guard:
                self._write_once_more(frame.row, data, error)

    def unsynced(self) -> int:
        """Frames appended by this process that are not yet known to be on the disk."""
        return len(self._unsynced)

    def sync(self) -> int:
        """Bring what was appended before this call to the disk; frames safe so far. Raises LedgerError."""
        with self._syncing:
            if self._broken is not None:
                raise self._broken
            with self._guard:
                segment, count = self._segment, len(self._unsynced)
            if segment is not None and count:
                try:
                    segment.sync()
                except OSError as error:
                    self._rewrite(error)
                else:
                    with self._guard:
                        del self._unsynced[:count]
                        self._synced += count
            return self._synced

    def settle(self, task: str, shard: int, ordinals: BitMap) -> None:
        """These rows now stand in a part or snapshot: forget them and delete segments that hold nothing else.

        Raises LedgerError when the record of the deletion cannot be written; the segment then stays.
        """
        with self._guard:
            for rows in self._segments.values():
                if (task, shard) in rows:
                    rows[task, shard] -= ordinals
                    if not rows[task, shard]:
                        del rows[task, shard]
            active = self._segment.number if self._segment is not None else None
            kept = {active, *self._damaged}
            emptied = [number for number, rows in self._segments.items() if not rows and number not in kept]
            try:
                self._record.settled(emptied)
            except OSError as error:
                raise write_error(error, self._folder) from None
            for number in emptied:
                del self._segments[number]
        for number in emptied:
            self._path(number).unlink(missing_ok=True)

    def close(self) -> None:
        """Sync, close, and delete the last segment if everything in it is settled. Raises LedgerError."""
        self._end_segment()
        self.settle("", -1, BitMap())

    def _write(self, row: RowId, data: bytes) -> Segment:
        """Write one frame behind the last one, in a new segment when none is open; which. Raises OSError."""
        if self._segment is None:
            self._number += 1  # a number is used once, even if its segment comes to nothing
            segment = Segment(self._path(self._number))
            try:
                self._record.opened(self._number)
            except OSError:
                segment.close()
                segment.path.unlink()
                raise
            self._segment = segment
            self._segments[self._number] = {}
        self._segment.write(data)
        self._unsynced.append((row, data))
        _note(self._segments[self._segment.number], row)
        return self._segment

    def _write_once_more(self, row: RowId, data: bytes, error: OSError) -> None:
        """The disk refused a frame: make room and try the same segment, then a new one. Raises LedgerError."""
        failure = write_error(error, self._path(self._number))
        self._make_room()
        full = self._segment
        try:
            self._write(row, data)
        except OSError:
            try:
                if full is not None:
                    full.sync()
                self._synced += len(self._unsynced)
                self._unsynced.clear()
                self._segment = None
                self._write(row, data)
            except OSError:
                self._segment = full
                raise failure from None
            if full is not None:
                full.close()
        self.trouble = self.trouble or failure

    def _rewrite(self, error: OSError) -> None:
        """A sync failed: write what it was to save again, from memory, into a new segment. Raises LedgerError."""
        with self._guard:
            failure = write_error(error, self._path(self._number))
            if isinstance(failure, DiskFullError):  # some file systems find out only now
                self._make_room()
                self.trouble = self.trouble or failure
            frames, self._unsynced = self._unsynced, []
            if self._segment is not None:
                self._segment.close()
            self._segment = None
            try:
                for row, data in frames:
                    segment = self._write(row, data)
                segment.sync()
            except OSError:
                self._broken, self._unsynced = failure, frames
                raise failure from None
            self._unsynced = []
            self._synced += len(frames)
        log.warning(
            "journal.rewritten", because=reason(error), frames=len(frames), segment=str(self._path(self._number))
        )

    def _end_segment(self) -> None:
        try:
            self.sync()
        finally:
            with self._syncing, self._guard:
                if self._segment is not None:
                    self._segment.close()
                self._segment = None

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06}{SUFFIX}"


def segment_files(folder: Path) -> list[Path]:
    """The segments in a journal's folder, oldest first."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.suffix == SUFFIX and path.stem.isdigit())
    return sorted(found, key=lambda path: int(path.stem))


def read_frames(folder: Path) -> Iterator[tuple[Path, Frame | Replay]]:
    """Every readable frame in a journal's folder, oldest first; each segment ends with its `Replay`.

    Raises LedgerError when a segment is unreadable.
    """
    for path in segment_files(folder):
        try:
            for item in replay(path):
                yield path, item
        except OSError as error:
            raise LedgerError(f"Cannot read the journal {path}: {error.strerror}.") from None


def _note(rows: _Rows, row: RowId) -> None:
    rows.setdefault((row.task, row.shard), BitMap()).add(row.ordinal)
