"""One row's picture as a Parquet file gives it: its bytes, or the way to it."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.core.errors import ItemError
from pipeline.manifests.parquet_columns import Picture
from pipeline.manifests.places import name_in_key
from pipeline.storage.local import MAX_SOURCE_BYTES


class Embedded(NamedTuple):
    """A picture that stands in the file itself."""

    data: bytes


def name_of(value: object, picture: Picture) -> str | None:
    """What a key can be made of: a path or a public address; None where there is none, or no single one.

    Of a struct or a list of them only the paths need to be there.
    """
    items = value if isinstance(value, list) else [value]
    names = [item.get("path") if isinstance(item, dict) else item for item in items if item is not None]
    if picture.form == "bytes" or len(names) != 1 or not names[0]:
        return None
    return name_in_key(str(names[0]))


def picture_of(value: object, column: str) -> Embedded | str:
    """The picture of a row, or its path or address. Raises ItemError: no_image, bad_row, too_large."""
    items = value if isinstance(value, list) else [value]
    found = [item for item in items if item is not None]
    if len(found) > 1:
        raise ItemError("bad_row", f"the column {column!r} holds {len(found)} pictures; a row is asked about one")
    item = found[0] if found else None
    if isinstance(item, dict):
        item = item["bytes"] or item["path"]
    if not item:
        raise ItemError("no_image", f"the column {column!r} is empty")
    if isinstance(item, bytes):
        if len(item) > MAX_SOURCE_BYTES:
            raise ItemError("too_large", f"the picture has {len(item):,} bytes; the limit is {MAX_SOURCE_BYTES:,}")
        return Embedded(item)
    return str(item)
