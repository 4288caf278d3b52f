"""What a glob matches below a folder. What may not be listed is an error; Python's own glob passes over it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from pipeline.core.errors import ManifestError
from pipeline.storage.local import reason
from pipeline.storage.object_names import is_glob


def matches(root: Path, pattern: str, avoid: Path) -> list[Path]:
    """The files that a pattern relative to `root` matches, sorted; nothing hidden, and nothing below `avoid`.

    `*`, `?` and `[...]` stay within a name, `**` stands for any number of folders and follows no links to some. Raises
    ManifestError.
    """
    forbidden = os.path.realpath(avoid)
    return sorted(set(_matches(root, Path(pattern).parts, forbidden)))


def _matches(folder: Path, parts: Sequence[str], forbidden: str) -> Iterator[Path]:
    if os.path.realpath(folder) == forbidden:
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _matches(folder, rest, forbidden)
        for entry in _entries(folder):
            if entry.is_dir(follow_symlinks=False):
                yield from _matches(folder / entry.name, parts, forbidden)
        return
    if is_glob(part):
        found = [entry.name for entry in _entries(folder) if fnmatchcase(entry.name, part)]
    else:
        found = [part] if not part.startswith(".") and os.path.lexists(folder / part) else []
    for name in found:
        path = folder / name
        is_folder = os.path.isdir(path)  # noqa: PTH112 - that of Path raises where a folder may not be entered
        if rest and is_folder:
            yield from _matches(path, rest, forbidden)
        elif not rest and not is_folder:
            yield path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise ManifestError(f"Cannot list {folder}: {reason(error)}.") from None
