"""Where a picture lies that a row names: an address, or a path beside the manifest; and how addresses are shown."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from pipeline.core.errors import ItemError
from pipeline.storage.urls import is_object_url, is_url, public_url, unsigned_url

_ADDRESS = re.compile(r"(?:https?|s3|gs|az|abfss?)://[^\s\"'<>\\]+", re.IGNORECASE)
"""An address, alone or somewhere in a text."""
DEEPEST = 200
"""Levels of lists and objects in a value; what is deeper cannot be written as JSON again."""


class Place(NamedTuple):
    """Of a local file `path` is set, of everything else `url`."""

    path: str | None = None
    url: str | None = None


def name_in_key(written: str) -> str:
    """What a key can be made of: the address without what signs it, or the path as written."""
    return public_url(written) if "://" in written or written.startswith("//") else written


def unsigned(value: Any, depth: int = 0) -> Any:
    """A value that is kept or quoted, with all in it: addresses without what signs them, anything else as it is.

    An output is shown around, and outlives what was signed for its run. Raises ItemError bad_row: nested too deeply.
    """
    if depth > DEEPEST:
        raise ItemError("bad_row", f"a value that is kept or quoted is nested more than {DEEPEST} deep")
    if isinstance(value, str):
        return _ADDRESS.sub(lambda found: unsigned_url(found[0]), value) if "://" in value else value
    if isinstance(value, list | tuple):
        return [unsigned(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {name: unsigned(item, depth + 1) for name, item in value.items()}
    return value


def place_of(written: str, manifest: str) -> Place:
    """The place that a row of this manifest means; a relative path begins in the manifest's folder.

    A manifest in an object store comes from elsewhere, so it names nothing on this machine. Raises ItemError bad_row.
    """
    if is_url(written):
        return Place(url=written)
    away = is_object_url(manifest)
    if "://" in written or written[:5].lower() == "file:":
        return Place(path=_local(written, away=away))
    if not away:
        return Place(path=str(Path(manifest).parent / written))
    if written.startswith("/"):
        raise ItemError("bad_row", "a manifest in an object store names no files of this machine")
    scheme, _, rest = manifest.partition("://")
    bucket, _, key = rest.partition("/")
    found = posixpath.normpath(posixpath.join(posixpath.dirname(key), written))
    if found.startswith(".."):
        raise ItemError("bad_row", "the path leads out of the bucket that the manifest lies in")
    return Place(url=f"{scheme}://{bucket}/{found}")


def _local(written: str, *, away: bool) -> str:
    scheme = written.partition(":")[0][:20]
    if scheme.lower() != "file":
        raise ItemError(
            "bad_row", f"{scheme}:// is no address that a manifest may name; http, https, s3, gs, az and abfss are"
        )
    if away:
        raise ItemError("bad_row", "a manifest in an object store names no files of this machine")
    parts = urlsplit(written)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ItemError("bad_row", "a file: address names no file of this machine; write file:///folder/picture.jpg")
    return unquote(parts.path)
