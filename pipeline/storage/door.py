"""One door to files that are read in pieces, wherever they lie: manifests, and containers that hold pictures."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipeline.core.errors import ManifestError
from pipeline.storage.local import reason


class Stat(NamedTuple):
    """Size in bytes, and a text that changes whenever the content may have."""

    size: int
    version: str


def stat(name: str) -> Stat:
    """What is known of a file without reading it. Blocking. Raises ManifestError."""
    try:
        info = Path(name).stat()
    except OSError as error:
        raise ManifestError(f"Cannot read {name}: {reason(error)}.") from None
    return Stat(info.st_size, f"{info.st_size}-{info.st_mtime_ns}")


def opened(name: str) -> BinaryIO:
    """The file, to be read from any place in it. Blocking; what reading raises is an OSError. Raises ManifestError."""
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise ManifestError(f"Cannot read {name}: {reason(error)}.") from None
