"""From `manifest.path` and `manifest.kind` to units: folders of pictures, listings, Parquet files, tars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

from pipeline.core.errors import ManifestError
from pipeline.manifests.directory import Directory
from pipeline.manifests.files import below, files_in, names_in, shared_folder, split_glob
from pipeline.manifests.listing import ENDINGS as LISTINGS
from pipeline.manifests.listing import Listing
from pipeline.manifests.parquet import ParquetFile
from pipeline.manifests.parquet_family import Family
from pipeline.manifests.prefix import Prefix
from pipeline.manifests.skipping import Skipping
from pipeline.manifests.unit import Asked, Unit
from pipeline.manifests.webdataset import ENDINGS as TARS
from pipeline.manifests.webdataset import TarShard
from pipeline.storage.local import reason
from pipeline.storage.urls import is_object_url, is_url, named

Kind = Literal["directory", "listing", "parquet", "webdataset"]
"""What a path is read as; the files of the last three are manifests themselves."""

KIND_ENDINGS: Final[dict[Kind, tuple[str, ...]]] = {
    "directory": (),
    "listing": LISTINGS,
    "parquet": (".parquet",),
    "webdataset": TARS,
}
"""Ends of names by which a file is taken for one of a kind, in lower case."""
_CONTAINERS: Final[tuple[Kind, ...]] = ("webdataset", "parquet")
"""Kinds whose files do not lie in a folder of something else by chance; tables beside tars only tell of them."""


def open_manifest(
    paths: Sequence[str],
    *,
    kind: Kind | None = None,
    image: str | None = None,
    key: str | None = None,
    keep: tuple[str, ...] = (),
    context: tuple[str, ...] = (),
    on_bad_file: Literal["error", "skip"] = "error",
    avoid: Path,
) -> list[Unit]:
    """The units behind manifest paths; `avoid` is the output folder. Raises ManifestError with what to do.

    Without a `kind` the name tells it: by the end of a file's or a pattern's, everything else is a folder or a prefix.
    What several paths name is taken once. Where there are several, files are told apart by their whole names, else by
    what differs in them.
    """
    asked = Asked(image, key, keep, context)
    try:
        found = _found(paths, kind, asked, avoid)
    except PermissionError as error:
        raise ManifestError(f"manifest.path: cannot look at {error.filename}: {reason(error)}.") from None
    family = Family([name for name, what in found.items() if isinstance(what, _File) and what.kind == "parquet"])

    def opened(name: str, file: _File) -> Unit:
        if file.kind == "listing":
            return Listing(name, file.label, asked)
        if file.kind == "webdataset":
            return TarShard(name, file.label, asked)
        return ParquetFile(name, file.label, asked, family)

    units: list[Unit] = []
    for name, what in found.items():
        unit = opened(name, what) if isinstance(what, _File) else what
        units.append(Skipping(unit) if on_bad_file == "skip" and isinstance(what, _File) else unit)
    return units


class _File(NamedTuple):
    kind: Kind
    label: str


def _found(paths: Sequence[str], kind: Kind | None, asked: Asked, avoid: Path) -> dict[str, Unit | _File]:
    """By name, in the order of the paths: folders of pictures, and files of rows. Raises ManifestError."""
    found: dict[str, Unit | _File] = {}
    for path in paths:
        root = shared_folder(path)
        for name in names_in(path):
            read_as = kind or _kind_of(name)
            if read_as != "directory":
                for file in files_in(name, KIND_ENDINGS[read_as], avoid):
                    found.setdefault(file, _File(read_as, file if len(paths) > 1 else below(file, root)))
                continue
            # Of the folders of a brace range each has its own part of the name in its keys.
            inside = below(split_glob(name)[0], root) if name != path else ""
            prefix = f"{inside.rstrip('/')}/" if inside not in ("", ".") else ""
            found.setdefault(name, _folder(name, prefix, avoid, told=bool(kind)))
            if any(asked):
                raise ManifestError(
                    f"manifest.path: {name} is a folder of pictures, which has no columns; manifest.image, "
                    "manifest.key, manifest.keep, tasks.context and tasks.question_from need a listing, Parquet files "
                    "or tars."
                    f"{_with_columns(name)}"
                )
    return found


def _with_columns(folder: str) -> str:
    """A hint where the folder is one of Hugging Face's ImageFolder and has a table of its pictures."""
    tables = [f"{folder.rstrip('/')}/metadata.{ending}" for ending in ("csv", "jsonl", "parquet")]
    found = next((table for table in tables if not is_object_url(folder) and Path(table).is_file()), None)
    return f" Set manifest.path to {found}." if found else ""


def _kind_of(name: str) -> Kind:
    """What a path is by its name. Raises ManifestError for a file of no kind."""
    found = next((kind for kind, endings in KIND_ENDINGS.items() if name.lower().endswith(endings)), None)
    if is_url(name) and not is_object_url(name):
        raise ManifestError(
            f"manifest.path: {named(name)}: a manifest is read from this machine or from an object store. "
            "Download it first; what it lists may lie on the web."
        )
    if not is_object_url(name) and Path(name).is_dir():
        return "directory"
    if found is None and not is_object_url(name) and Path(name).is_file():
        endings = ", ".join(ending for kind in get_args(Kind) for ending in KIND_ENDINGS[kind])
        raise ManifestError(
            f"manifest.path: {name} is neither a folder nor a file that this version knows by its name: {endings}. If "
            "it is one of these under another name, set manifest.kind."
        )
    return found or "directory"


def _folder(name: str, prefix: str, avoid: Path, *, told: bool) -> Unit:
    folder, pattern = split_glob(name)
    if is_object_url(name):
        return Prefix(name, folder, pattern, prefix=prefix)
    if not Path(folder).is_dir():
        raise ManifestError(f"manifest.path: there is no file or folder {folder} (here: {Path.cwd()}).")
    found = Directory(name, Path(folder), pattern or None, avoid, prefix=prefix)
    inside = [] if told or pattern else [kind for kind in _CONTAINERS if found.holds_only(KIND_ENDINGS[kind])]
    if inside:
        raise ManifestError(
            f"manifest.path: {name} holds no pictures, but files of the kind {' and '.join(inside)}. Set manifest.kind "
            f"= {inside[0]!r} to read all of them, or name some: manifest.path = "
            f"'{folder}/**/*{KIND_ENDINGS[inside[0]][0]}'."
        )
    return found
