"""The journal: every received answer is in the kernel before anything else happens to it.

One writer, append-only segments of 64 MiB. `append` writes in the calling tick, so that the death of the process loses
nothing; `sync` brings a group of frames to the disk, so that the death of the machine loses only the last moments.
A segment is deleted when every row in it stands in a part or in a failure snapshot, and not before.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

from pyroaring import BitMap

from pipeline.core.errors import LedgerError
from pipeline.core.types import Frame, RowId
from pipeline.ledger.frames import Replay, encode, replay
from pipeline.storage.local import make_folder, sync_folder, write_error

SEGMENT_BYTES = 64 * 1024 * 1024
SUFFIX = ".vlj"
_Rows = dict[tuple[str, int], BitMap]


class Journal:
    """The segments of one output. `append` belongs to one thread; `sync` and `settle` may run in another."""

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        make_folder(folder)
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._segments: dict[int, _Rows] = {}
        self._guard = threading.Lock()  # appending and settling touch the same bitmaps from two threads
        self._syncing = threading.Lock()  # a segment is not closed under a running fdatasync
        self._descriptor: int | None = None
        self._number = max((int(path.stem) for path in self._files()), default=0)
        self._offset = 0
        self._appended = 0
        self._synced = 0
        self._damaged: set[int] = set()
        """Segments with a hole: kept for a person to look at, for there may be answers behind it."""
        self._broken: LedgerError | None = None
        """Why no sync can be trusted any more."""

    def replay(self) -> Iterator[tuple[Path, Frame | Replay]]:
        """Every readable frame left by earlier runs, oldest first; each segment ends with its `Replay`.

        Every row met counts as unsettled until `settle` names it. Raises LedgerError when a segment is unreadable.
        """
        for path in sorted(self._files()):
            rows = self._segments.setdefault(int(path.stem), {})
            try:
                for item in replay(path):
                    if isinstance(item, Frame):
                        _note(rows, item.row)
                    elif item.damaged:
                        self._damaged.add(int(path.stem))
                    yield path, item
            except OSError as error:
                raise LedgerError(f"Cannot read the journal {path}: {error.strerror}.") from None

    def append(self, frame: Frame) -> None:
        """Hand one frame to the kernel. Raises LedgerError when it did not fit; nothing torn stays behind."""
        data = encode(frame)
        if self._descriptor is not None and self._offset + len(data) > self._segment_bytes:
            self._end_segment()
        if self._descriptor is None:
            self._open_segment()
        descriptor = self._descriptor
        if descriptor is None:  # _open_segment has set it
            raise AssertionError
        path = self._path(self._number)
        try:
            written = os.write(descriptor, data)
            if written < len(data):
                # A full disk shows as a short count first and as an error only on the next write.
                written += os.write(descriptor, data[written:])
            if written < len(data):
                raise OSError(28, os.strerror(28))
        except OSError as error:
            try:
                os.ftruncate(descriptor, self._offset)
                os.lseek(descriptor, self._offset, os.SEEK_SET)
            except OSError:
                self._end_segment()  # the torn frame stays its last: what comes now goes into a new one
            raise write_error(error, path) from None
        self._offset += len(data)
        self._appended += 1
        with self._guard:
            _note(self._segments[self._number], frame.row)

    def unsynced(self) -> int:
        """Frames appended by this process that are not yet known to be on the disk."""
        return self._appended - self._synced

    def sync(self) -> int:
        """Bring what was appended before this call to the disk; frames safe so far. Raises LedgerError.

        A failed fdatasync is never tried again: the kernel may have dropped the pages it could not write.
        """
        with self._syncing:
            if self._broken is not None:
                raise self._broken
            appended, descriptor = self._appended, self._descriptor
            if descriptor is not None and appended > self._synced:
                try:
                    os.fdatasync(descriptor)
                except OSError as error:
                    self._broken = write_error(error, self._path(self._number))
                    raise self._broken from None
                self._synced = appended
            return self._synced

    def settle(self, task: str, shard: int, ordinals: BitMap) -> None:
        """These rows now stand in a part or snapshot: forget them and delete segments that hold nothing else."""
        with self._guard:
            for rows in self._segments.values():
                if (task, shard) in rows:
                    rows[task, shard] -= ordinals
                    if not rows[task, shard]:
                        del rows[task, shard]
            kept = {self._active(), *self._damaged}
            emptied = [number for number, rows in self._segments.items() if not rows and number not in kept]
            for number in emptied:
                del self._segments[number]
        for number in emptied:
            self._path(number).unlink(missing_ok=True)

    def close(self) -> None:
        """Sync, close, and delete the last segment if everything in it is settled. Raises LedgerError."""
        self._end_segment()
        self.settle("", -1, BitMap())

    def _active(self) -> int | None:
        return self._number if self._descriptor is not None else None

    def _files(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if path.suffix == SUFFIX and path.stem.isdigit()]

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06}{SUFFIX}"

    def _open_segment(self) -> None:
        self._number += 1
        path = self._path(self._number)
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            sync_folder(self._folder)
        except OSError as error:
            raise write_error(error, path) from None
        self._offset = 0
        with self._guard:
            self._segments[self._number] = {}

    def _end_segment(self) -> None:
        try:
            self.sync()
        finally:
            with self._syncing:
                if self._descriptor is not None:
                    os.close(self._descriptor)
                self._descriptor = None


def _note(rows: _Rows, row: RowId) -> None:
    rows.setdefault((row.task, row.shard), BitMap()).add(row.ordinal)
