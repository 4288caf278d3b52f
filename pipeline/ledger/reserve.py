"""Disk space kept back for the moment in which the disk is full.

A run that meets a full disk still has answers on the wire, and they are being paid for. The reserve is a file that
holds space from the start; giving it up makes room for them.
"""

from __future__ import annotations

import errno
import os
import resource
import threading
from pathlib import Path

from pipeline.core.errors import DiskFullError
from pipeline.storage.local import make_folder, reason, write_error

MOST_BYTES = 64 * 1024 * 1024
LEAST_FREE = 1024 * 1024
"""With less than this free a run does not start: it could not even keep its first answers."""
ANSWER_BYTES = 64 * 1024
"""What one answer in flight is taken to need: far more than the usual 2 KB."""


class Reserve:
    """The file `path`: max(64 MiB, twice what `in_flight` answers need), at most a quarter of what is free."""

    def __init__(self, path: Path, in_flight: int) -> None:
        self._path = path
        self._giving_up = threading.Lock()
        self._wanted = max(MOST_BYTES, 2 * in_flight * ANSWER_BYTES)

    def hold(self) -> int:
        """Take hold of the space; how many bytes are held.

        Raises DiskFullError when next to nothing is free, LedgerError when the folder cannot be written.
        """
        make_folder(self._path.parent)
        try:
            self._path.unlink(missing_ok=True)
            disk = os.statvfs(self._path.parent)
            free = disk.f_bavail * disk.f_frsize
            if free < LEAST_FREE:
                raise DiskFullError(
                    f"The disk is full: {self._path.parent} has {free / 1024:,.0f} KiB free, too little to keep "
                    "answers. Free some space and run the same command again."
                )
            wanted = min(self._wanted, free // 4)
            limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
            if limit != resource.RLIM_INFINITY:
                wanted = min(wanted, limit)
            return self._allocate(wanted)
        except OSError as error:
            raise write_error(error, self._path) from None

    def give_up(self) -> None:
        """Free the space. Whoever comes second waits: the name goes first, and the space only some moments later."""
        with self._giving_up:
            self._path.unlink(missing_ok=True)

    def _allocate(self, size: int) -> int:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            self._path.unlink()
            if error.errno in {errno.EOPNOTSUPP, errno.EINVAL}:  # a file system that cannot hold space back
                return 0
            raise OSError(error.errno, f"{reason(error)} (reserve of {size:,} bytes)") from None
        finally:
            os.close(descriptor)
        return size
