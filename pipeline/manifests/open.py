"""From `manifest.path` to units: a folder or prefix, a glob over pictures, a .jsonl listing, or a glob over those."""

from __future__ import annotations

from pathlib import Path

from pipeline.core.errors import ManifestError
from pipeline.manifests.directory import Directory
from pipeline.manifests.listing import Listing
from pipeline.manifests.prefix import Prefix
from pipeline.manifests.unit import Unit
from pipeline.storage.object_names import fixed_folder, is_glob
from pipeline.storage.urls import is_object_url


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
    if is_object_url(path):
        return [_prefix(path, columns=(image, key, *keep, *context))]
    root, pattern = _split(path)
    parts = Path(pattern).parts if pattern else ()
    if parts[-1:] == ("**",) or any("**" in part and part != "**" for part in parts):
        raise ManifestError(
            f"manifest.path: in {path}, ** must stand for whole folders and a file name must follow; write for example "
            "**/*.jpg."
        )
    if pattern is None and root.is_file():
        files = [root]
    elif pattern is not None and pattern.endswith(".jsonl"):
        files = sorted(root.glob(pattern))
        if not files:
            raise ManifestError(f"manifest.path: no file matches {path}.")
    else:
        return [_directory(path, root, pattern, image=image, key=key, columns=(*keep, *context), avoid=avoid)]
    units: list[Unit] = []
    for file in files:
        if file.suffix != ".jsonl":
            raise ManifestError(
                f"manifest.path: {file} is neither a folder nor a .jsonl listing; this version reads no others."
            )
        label = file.relative_to(root).as_posix() if pattern else file.name
        units.append(Listing(file, label=label, image=image, key=key, keep=keep, context=context))
    return units


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


def _prefix(path: str, *, columns: tuple[str | None, ...]) -> Prefix:
    if path.endswith(".jsonl"):
        raise ManifestError(f"manifest.path: {path}: this version reads listings from files; copy it to this machine.")
    if any(columns):
        raise ManifestError(
            f"manifest.path: {path} is a prefix in an object store, which has no columns; manifest.image, "
            "manifest.key, manifest.keep and tasks.context need a listing."
        )
    if not is_glob(path):
        return Prefix(path, path.rstrip("/") + "/")
    folder = fixed_folder(path) + "/"
    return Prefix(path, folder, path.removeprefix(folder))


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
