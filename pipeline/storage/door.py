"""One door to files that are read in pieces, wherever they lie: manifests, and containers that hold pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, NamedTuple

from pipeline.core.errors import ManifestError
from pipeline.storage.local import reason
from pipeline.storage.object_files import list_objects, object_stat, open_object
from pipeline.storage.urls import is_object_url


class Stat(NamedTuple):
    """Size in bytes, and a text that changes whenever the content may have."""

    size: int
    version: str


def stat(name: str) -> Stat:
    """What is known of a file without reading it. Blocking. Raises ManifestError."""
    if is_object_url(name):
        _, size, version = object_stat(name)
        return Stat(size, version)
    try:
        info = Path(name).stat()
    except OSError as error:
        raise ManifestError(f"Cannot read {name}: {reason(error)}.") from None
    if not S_ISREG(info.st_mode):
        raise ManifestError(f"Cannot read {name}: it is no regular file.")
    return Stat(info.st_size, f"{info.st_size}-{info.st_mtime_ns}")


def opened(name: str) -> BinaryIO:
    """The file, to be read from any place in it. Blocking; what reading raises is an OSError. Raises ManifestError."""
    if is_object_url(name):
        return open_object(name)
    try:
        stat(name)  # to open a pipe would wait for its writer
        return Path(name).open("rb")
    except OSError as error:
        raise ManifestError(f"Cannot read {name}: {reason(error)}.") from None


def listed(name: str) -> Iterator[tuple[str, Stat]]:
    """The objects below a prefix in an object store, or those that a glob there matches, by name; see `list_objects`.

    Blocking, in pages. Raises ManifestError.
    """
    for found, size, version in list_objects(name):
        yield found, Stat(size, version)
