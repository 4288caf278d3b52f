"""A small disk of our own, where this machine lets one be mounted."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    """Leave 24 KiB on the disk."""
    with path.open("wb", buffering=0) as file:
        with suppress(OSError):
            while True:
                file.write(bytes(2**16))
        with suppress(OSError):
            while True:
                file.write(bytes(4096))
        os.truncate(path, max(0, path.stat().st_size - 24 * 1024))
