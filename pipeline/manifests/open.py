"""From `manifest.path` and `manifest.kind` to units: a folder, a glob over pictures, listings, or Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pipeline.core.errors import ManifestError
from pipeline.manifests.braces import expanded, has_range
from pipeline.manifests.directory import Directory
from pipeline.manifests.listing import Listing
from pipeline.manifests.parquet import ParquetFile
from pipeline.manifests.parquet_family import Family
from pipeline.manifests.unit import Unit

Kind = Literal["directory", "listing", "parquet"]
_SUFFIXES: dict[str, Kind] = {".jsonl": "listing", ".parquet": "parquet"}


def open_manifest(
    path: str,
    *,
    kind: Kind | None = None,
    image: str | None = None,
    key: str | None = None,
    keep: tuple[str, ...] = (),
    context: tuple[str, ...] = (),
    on_bad_file: Literal["error", "skip"] = "error",
    avoid: Path,
) -> list[Unit]:
    """The units behind a manifest path; `avoid` is the output folder. Raises ManifestError with what to do.

    Without a `kind` the path tells it: by the suffix of a file or a pattern, everything else is a folder.
    """
    found = kind or _kind_of(path)
    if found == "directory":
        root, pattern = _split(path)
        return [
            _directory(path, root, pattern, told=bool(kind), asked=bool(image or key or keep or context), avoid=avoid)
        ]
    files = _files(path, next(suffix for suffix, named in _SUFFIXES.items() if named == found), avoid)
    if found == "listing":
        return [Listing(file, label=label, image=image, key=key, keep=keep, context=context) for file, label in files]
    family, skip = Family([str(file) for file, _ in files]), on_bad_file == "skip"
    return [
        ParquetFile(str(file), label=label, image=image, key=key, keep=keep, context=context, family=family, skip=skip)
        for file, label in files
    ]


def is_pattern(path: str) -> bool:
    """Whether a path may stand for several files."""
    return any(letter in path for letter in "*?[") or has_range(path)


def _kind_of(path: str) -> Kind:
    whole = Path(path)
    if whole.is_dir():
        return "directory"
    if whole.is_file() or is_pattern(path):
        found = _SUFFIXES.get(whole.suffix)
        if found:
            return found
        if whole.is_file():
            raise ManifestError(
                f"manifest.path: {whole} is no folder, no .jsonl listing and no .parquet file; if it is one of these "
                "under another name, set manifest.kind."
            )
        if has_range(path):
            raise ManifestError(
                f"manifest.path: {path} is a range of files, but of no kind that can be told by the name."
            )
    return "directory"


def _files(path: str, suffix: str, avoid: Path) -> list[tuple[Path, str]]:
    """The files that a path means, each with its label: the path below the part that all have in common."""
    if Path(path).exists():
        root = Path(path)
        found = sorted(_below(root, f"**/*{suffix}", avoid)) if root.is_dir() else [root]
        root = root if root.is_dir() else root.parent
    elif has_range(path):
        found = [file for each in expanded(path) for file in _matches(each, avoid)]
        root = Path(path.partition("{")[0] + "x").parent
        root = _split(str(root))[0]
    else:
        found, (root, pattern) = _matches(path, avoid), _split(path)
        if pattern is None:
            raise ManifestError(f"manifest.path: there is no file or folder {path} (here: {Path.cwd()}).")
    if not found:
        raise ManifestError(f"manifest.path: no file matches {path}.")
    return [(file, file.relative_to(root).as_posix()) for file in found]


def _matches(path: str, avoid: Path) -> list[Path]:
    """The files of a pattern; a path without wildcards, one of a range, must be there."""
    root, pattern = _split(path)
    if pattern is not None:
        return sorted(_below(root, pattern, avoid))
    if not root.is_file():
        raise ManifestError(f"manifest.path: there is no file {root} (here: {Path.cwd()}).")
    return [root]


def _below(root: Path, pattern: str, avoid: Path) -> Iterator[Path]:
    output = avoid.resolve()
    for file in root.glob(pattern):
        hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
        if not hidden and not file.is_dir() and output not in file.resolve().parents:
            yield file


def _directory(name: str, root: Path, pattern: str | None, *, told: bool, asked: bool, avoid: Path) -> Directory:
    if not root.is_dir():
        raise ManifestError(f"manifest.path: there is no file or folder {root} (here: {Path.cwd()}).")
    found = Directory(name, root, pattern, avoid)
    if not told and pattern is None and found.holds_only_parquet():
        raise ManifestError(
            f"manifest.path: {name} holds no pictures, but Parquet files. Set manifest.kind = 'parquet' to read all of "
            f"them, or name some: manifest.path = '{root}/**/*.parquet'."
        )
    if asked:
        raise ManifestError(
            f"manifest.path: {name} is a folder, which has no columns; manifest.image, manifest.key, manifest.keep and "
            "tasks.context need a listing or Parquet files."
        )
    return found


def _split(path: str) -> tuple[Path, str | None]:
    """The part before the first wildcard, and the pattern below it."""
    parts = Path(path).parts
    for index, part in enumerate(parts):
        if any(letter in part for letter in "*?["):
            # A folder that is really named so is meant as itself.
            if Path(path).exists():
                break
            _mind_stars(path, parts[index:])
            return Path(*parts[:index]), str(Path(*parts[index:]))
    return Path(path), None


def _mind_stars(path: str, parts: tuple[str, ...]) -> None:
    if parts[-1] == "**" or any("**" in part and part != "**" for part in parts):
        raise ManifestError(
            f"manifest.path: in {path}, ** must stand for whole folders and a file name must follow; write for example "
            "**/*.jpg."
        )
