"""From `manifest.path` to units: a folder, a glob over pictures, listings, tars, and globs or ranges over those."""

from __future__ import annotations

from pathlib import Path

from pipeline.core.errors import ManifestError
from pipeline.manifests.braces import expanded
from pipeline.manifests.directory import Directory
from pipeline.manifests.listing import FORMATS, Listing, is_listing
from pipeline.manifests.unit import Unit
from pipeline.manifests.webdataset import ENDINGS, TarShard, is_tar

KINDS = ((is_listing, Listing), (is_tar, TarShard))
"""How to tell by its name what a file is read as; each makes a unit of one file."""


def open_manifest(
    path: str,
    *,
    image: str | None = None,
    key: str | None = None,
    keep: tuple[str, ...] = (),
    context: tuple[str, ...] = (),
    avoid: Path,
) -> list[Unit]:
    """The units behind a manifest path; `avoid` is the output folder. Raises ManifestError with what to do."""
    units: list[Unit] = []
    names = [path] if Path(path).exists() else expanded(path)
    for name in names:
        files = _files(name)
        if files is None:
            root, pattern = _split(name)
            units.append(_directory(name, root, pattern, image=image, key=key, columns=(*keep, *context), avoid=avoid))
            continue
        for file, label in files:
            kind = next((kind for is_kind, kind in KINDS if is_kind(file)), None)
            if kind is None:
                raise ManifestError(
                    f"manifest.path: {file} is neither a folder nor a file that this version reads: "
                    f"{', '.join((*FORMATS, *ENDINGS))}."
                )
            # The files of a range are told apart by their whole names, since they may lie in different folders.
            short = label if len(names) == 1 else file
            units.append(kind(file, label=short, image=image, key=key, keep=keep, context=context))
    return units


def _files(name: str) -> list[tuple[str, str]] | None:
    """The files that are manifests themselves, each with a short name to tell it by; None for pictures in folders."""
    if "://" in name:
        return [(name, name.rpartition("/")[2])]
    root, pattern = _split(name)
    parts = Path(pattern).parts if pattern else ()
    if parts[-1:] == ("**",) or any("**" in part and part != "**" for part in parts):
        raise ManifestError(
            f"manifest.path: in {name}, ** must stand for whole folders and a file name must follow; write for example "
            "**/*.jpg."
        )
    if pattern is None:
        return [(str(root), root.name)] if root.is_file() else None
    if not any(is_kind(pattern) for is_kind, _ in KINDS):
        return None
    files = sorted(root.glob(pattern))
    if not files:
        raise ManifestError(f"manifest.path: no file matches {name}.")
    return [(str(file), file.relative_to(root).as_posix()) for file in files]


def _directory(
    name: str,
    root: Path,
    pattern: str | None,
    *,
    image: str | None,
    key: str | None,
    columns: tuple[str, ...],
    avoid: Path,
) -> Directory:
    if not root.is_dir():
        raise ManifestError(f"manifest.path: there is no file or folder {root} (here: {Path.cwd()}).")
    if image or key or columns:
        raise ManifestError(
            f"manifest.path: {name} is a folder, which has no columns; manifest.image, manifest.key, manifest.keep and "
            "tasks.context need a listing."
        )
    return Directory(name, root, pattern, avoid)


def _split(path: str) -> tuple[Path, str | None]:
    """The part before the first wildcard, and the pattern below it."""
    parts = Path(path).parts
    for index, part in enumerate(parts):
        if any(letter in part for letter in "*?["):
            # A folder that is really named so is meant as itself.
            if Path(path).exists():
                break
            return Path(*parts[:index]), str(Path(*parts[index:]))
    return Path(path), None
