"""A small disk of our own, where this machine lets one be mounted."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DISK_BYTES = 96 * 2**20


class Skipped(Exception):  # noqa: N818 - nothing is wrong
    """This machine does not allow it. The text says why."""


@contextmanager
def mounted(place: Path) -> Iterator[Path]:
    """An empty disk at this place, taken away at the end whatever happens. Raises Skipped."""
    place.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Skipped(f"mount: {error.strerror}") from None
    if made.returncode:
        raise Skipped(made.stderr.strip() or "no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()


def fill(path: Path) -> None:
    """Leave some 24 KiB on the disk.

    The last megabyte goes at one stroke and is counted once: a filler that came back for more would also eat what the
    run gives up for its answers.
    """
    with path.open("wb") as file:
        large = _free(path) - 2**20
        os.posix_fallocate(file.fileno(), 0, large)
        rest = _free(path) - 24 * 1024
        while rest > 0:
            try:
                os.posix_fallocate(file.fileno(), large, rest)
            except OSError:  # the run was quicker with a few bytes
                rest -= 32 * 1024
            else:
                return


def _free(path: Path) -> int:
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize
