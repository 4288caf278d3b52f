"""Which files a manifest path means: one, all of a folder, or those of a glob or a brace range, here or in a store."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.core.errors import ManifestError
from pipeline.manifests.braces import expanded
from pipeline.manifests.matching import matches
from pipeline.storage.door import listed
from pipeline.storage.object_names import fixed_folder, is_glob
from pipeline.storage.urls import is_object_url

_SEVERAL = re.compile(r"[*?\[]|\{[^{}]*(?:\.\.|,)[^{}]*\}")


def stands_for_several(path: str) -> bool:
    """Whether it holds a wildcard or a brace range."""
    return _SEVERAL.search(path) is not None


def exists(path: str) -> bool:
    """Whether a file or folder here is called so."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long for a name, a NUL in it, or nobody may look: told when it is opened
        return False


def names_in(path: str) -> list[str]:
    """The names that a path stands for: its brace ranges are written out, unless a file is really called so.

    Raises ManifestError for a range of too many.
    """
    return [path] if not is_object_url(path) and exists(path) else expanded(path)


def shared_folder(path: str) -> str:
    """The folder in which all that a path stands for lies: the folders before its first wildcard or brace.

    Labels and keys are told from there on, so that they stay what they are whichever files match.
    """
    if is_object_url(path) or (stands_for_several(path) and not exists(path)):
        found = _SEVERAL.search(path)
        before = path[: found.start()] if found else path
        return before.rpartition("/")[0] or ("/" if before.startswith("/") else "")
    return path if Path(path).is_dir() else str(Path(path).parent)


def below(name: str, folder: str) -> str:
    """A name without the folder that it lies in."""
    if is_object_url(name):
        return name.removeprefix(folder).lstrip("/")
    return Path(name).relative_to(folder).as_posix()


def split_glob(path: str) -> tuple[str, str]:
    """The folder before the first wildcard, and the pattern below it: empty when there is none. Raises ManifestError.

    A folder that is really called so is meant as itself.
    """
    if is_object_url(path):
        folder = fixed_folder(path) + "/" if is_glob(path) else path.rstrip("/") + "/"
        return folder, path.removeprefix(folder) if is_glob(path) else ""
    parts = Path(path).parts
    first = next((index for index, part in enumerate(parts) if is_glob(part)), len(parts))
    if first == len(parts) or exists(path):
        return path, ""
    if parts[-1] == "**" or any("**" in part and part != "**" for part in parts):
        raise ManifestError(
            f"manifest.path: in {path}, ** must stand for whole folders and a file name must follow; write for example "
            "**/*.jpg."
        )
    return str(Path(*parts[:first])), str(Path(*parts[first:]))


def files_in(name: str, endings: Sequence[str], avoid: Path) -> list[str]:
    """The manifest files of this name, sorted: itself, a folder's with these endings, or what a glob matches.

    What lies in the folder `avoid` is none. Raises ManifestError when there is none.
    """
    found = list(_in_store(name, endings) if is_object_url(name) else _here(name, endings, avoid))
    if not found:
        raise ManifestError(f"manifest.path: no file matches {name}.")
    return found


def _in_store(name: str, endings: Sequence[str]) -> Iterator[str]:
    if not is_glob(name) and name.lower().endswith(tuple(endings)):
        yield name
        return
    for found, _ in listed(name):
        if is_glob(name) or found.lower().endswith(tuple(endings)):
            yield found


def _here(name: str, endings: Sequence[str], avoid: Path) -> Iterator[str]:
    folder, pattern = split_glob(name)
    root = Path(folder)
    if not root.exists():
        raise ManifestError(f"manifest.path: there is no file or folder {root} (here: {Path.cwd()}).")
    if not root.is_dir():
        if root.is_file() and not pattern:
            yield name
        return
    for file in matches(root, pattern or "**/*", avoid):
        if pattern or file.name.lower().endswith(tuple(endings)):
            yield _utf8(str(file))


def _utf8(name: str) -> str:
    """The name, which the plan keeps as text. Raises ManifestError for one that is none."""
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise ManifestError(f"manifest.path: the name of {shown} is not UTF-8; rename it.") from None
    return name
