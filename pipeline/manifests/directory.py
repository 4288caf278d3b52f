"""A folder of pictures, or a glob over one, as a manifest. The key of a picture is its path below the folder."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pipeline.core.errors import ManifestError
from pipeline.core.types import Column, ManifestRow
from pipeline.manifests.matching import matches
from pipeline.manifests.unit import Placed, PlannedRow

SUFFIXES = frozenset(
    f".{ending}"
    for ending in "jpg jpeg jpe jfif png gif bmp dib tif tiff webp avif ppm pgm pbm pnm pdf".split()  # noqa: SIM905 - reads as a list
)
"""Files taken for pictures or documents in a folder, by suffix; a glob takes whatever it matches."""


class Directory:
    """All pictures below `root`, or those that `pattern` (relative to `root`) matches; hidden files are left out.

    `avoid` is a folder whose content is never taken: the output, when it lies inside. `prefix` stands before every key.
    """

    def __init__(self, name: str, root: Path, pattern: str | None, avoid: Path, *, prefix: str = "") -> None:
        self._name = name
        self._root = root
        self._pattern = pattern
        self._avoid = Path(os.path.realpath(avoid))
        self._prefix = prefix
        self._digest = ""
        self._listing: list[tuple[str, int, int]] | None = None
        self._endings: set[str] = set()
        self.ignored = 0
        """Files passed over because their suffix is no picture's; known once the folder was read."""

    @property
    def name(self) -> str:
        """The path as configured."""
        return self._name

    def fingerprint(self) -> str:
        """A hash over the prefix and the sorted paths, sizes and modification times."""
        if not self._digest:
            digest = hashlib.sha256(self._prefix.encode("utf-8", "surrogateescape"))
            for path, size, modified in self._entries():
                digest.update(f"{path}\0{size}\0{modified}\n".encode("utf-8", "surrogateescape"))
            self._digest = digest.hexdigest()
        return self._digest

    def rows(self) -> Iterator[PlannedRow]:
        """Every picture, sorted by path."""
        for path, _, _ in self._entries():
            yield PlannedRow(self._prefix + _readable(path), os.fsencode(path))

    def columns(self) -> list[Column]:
        """A folder has no columns."""
        return []

    def read(self, shard: int, rows: Iterable[Placed], kept: list[Column]) -> Iterator[ManifestRow]:
        """Planned pictures with their present sizes; one that is gone by now fails when it is fetched."""
        del kept  # a folder has no columns, and `columns` said so
        for ordinal, key, ref in rows:
            path = self._root / os.fsdecode(ref)
            yield ManifestRow(shard, ordinal, key, _readable(str(path)), str(path), file_size(path))

    def holds_only(self, endings: Sequence[str]) -> bool:
        """Whether there is no picture, but some file whose name ends like this. Raises ManifestError."""
        return not self._entries() and any(ending in self._endings for ending in endings)

    def _entries(self) -> list[tuple[str, int, int]]:
        if self._listing is None:
            found = self._matches() if self._pattern else self._walk()
            self._listing = sorted(found)
        return self._listing

    def _walk(self) -> Iterator[tuple[str, int, int]]:
        def stop(error: OSError) -> None:
            raise ManifestError(f"Cannot list {error.filename}: {error.strerror}.")

        for folder, names, files in os.walk(self._root, onerror=stop):
            names[:] = [name for name in names if self._wanted(Path(folder, name))]
            for name in files:
                path = Path(folder, name)
                if name.startswith("."):
                    continue
                if path.suffix.lower() in SUFFIXES:
                    yield self._entry(path)
                else:
                    self.ignored += 1
                    self._endings.add("".join(path.suffixes[-2:]).lower())
                    self._endings.add(path.suffix.lower())

    def _matches(self) -> Iterator[tuple[str, int, int]]:
        for path in matches(self._root, self._pattern or "", self._avoid):
            yield self._entry(path)

    def _wanted(self, folder: Path) -> bool:
        return not folder.name.startswith(".") and os.path.realpath(folder) != str(self._avoid)

    def _entry(self, path: Path) -> tuple[str, int, int]:
        relative = path.relative_to(self._root).as_posix()
        try:
            info = path.stat()
        except OSError:
            return relative, -1, 0  # a dangling link: planned, and reported when it is fetched
        return relative, info.st_size, info.st_mtime_ns


def file_size(path: Path) -> int | None:
    """Bytes of a regular file, None for anything else: fetching tells what is wrong."""
    try:
        info = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL byte in the path
        return None
    return info.st_size if stat.S_ISREG(info.st_mode) else None


def _readable(path: str) -> str:
    """The path as text that every reader of Parquet accepts; names that are no UTF-8 keep their bytes as \\xNN."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
