"""One segment file of the journal, and the record of which segments there ever were."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from pipeline.storage.local import sync_folder


class Segment:
    """An open segment. `write` belongs to one thread, `sync` to another; `size` is in bytes.

    One that is `torn` ends in half a frame that could not be cut off: nothing may be written behind it.
    """

    def __init__(self, path: Path) -> None:
        """Create the file; raises OSError."""
        self.path = path
        self.size = 0
        self.torn = False
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        sync_folder(path.parent)

    @property
    def number(self) -> int:
        """Its place among the segments."""
        return int(self.path.stem)

    def write(self, data: bytes) -> None:
        """Hand the bytes to the kernel. Raises OSError when they did not fit; half a frame is cut off again."""
        if self.torn:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        try:
            written = os.write(self._descriptor, data)
            if written < len(data):
                # A full disk shows as a short count first and as an error only on the next write.
                written += os.write(self._descriptor, data[written:])
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self.torn = True
            os.ftruncate(self._descriptor, self.size)
            os.lseek(self._descriptor, self.size, os.SEEK_SET)
            self.torn = False
            raise
        self.size += len(data)

    def sync(self) -> None:
        """Bring all that was written to the disk. Raises OSError; after that nothing of this file can be trusted."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close without a sync."""
        os.close(self._descriptor)


class SegmentRecord:
    """`_run/segments`: a line `+N` before the first frame of segment N, a line `-N` before its file is deleted.

    Nothing of the run reads it. It lets an owner's `verify` tell a segment that was settled from one that was lost.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def opened(self, number: int) -> None:
        """Segment `number` begins. Raises OSError."""
        self._append([f"+{number:06}\n"])

    def settled(self, numbers: Iterable[int]) -> None:
        """These segments are about to be deleted. Raises OSError."""
        if lines := [f"-{number:06}\n" for number in numbers]:
            self._append(lines)

    def _append(self, lines: list[str]) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            # A kill may have torn the last line; what comes now must not be glued to it.
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            data = ("\n" * torn + "".join(lines)).encode()
            if os.write(descriptor, data) < len(data):
                os.ftruncate(descriptor, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
