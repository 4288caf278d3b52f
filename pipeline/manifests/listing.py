"""A JSON Lines listing as a manifest: one object a line, a column with the picture's path, others to keep or to quote.

Paths are relative to the listing's folder; addresses on the web or in object stores may stand in their place. The key
is the column named by `manifest.key`, else the path as written, or the address without what signs it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from pipeline.core.errors import ItemError, ManifestError
from pipeline.core.types import Column, ColumnType, ManifestRow, Scalar
from pipeline.manifests.directory import file_size
from pipeline.manifests.unit import Placed, PlannedRow
from pipeline.storage.urls import is_url, public_url

IMAGE_NAMES = ("image", "img", "url", "image_url", "file_name", "filename", "path", "image_path", "jpg", "png", "webp")
"""Column names taken for the picture's when none is configured, whatever their case."""


class Listing:
    """One .jsonl file. `image` and `key` name columns; None means find it, or use the picture's path.

    `label` names the file where a line has no key of its own; it differs from every other listing's.
    """

    def __init__(
        self,
        path: Path,
        *,
        label: str,
        image: str | None,
        key: str | None,
        keep: tuple[str, ...],
        context: tuple[str, ...],
    ) -> None:
        self._path = path
        self._label = label
        self._image = image
        self._key = key
        self._keep = keep
        self._context = context
        self._names: set[str] = set()
        self._types: dict[str, set[ColumnType]] = {name: set() for name in keep}

    @property
    def name(self) -> str:
        """The path as configured."""
        return str(self._path)

    def fingerprint(self) -> str:
        """Size in bytes and modification time in nanoseconds."""
        try:
            info = self._path.stat()
        except OSError as error:
            raise ManifestError(f"Cannot read the listing {self._path}: {error.strerror}.") from None
        return f"{info.st_size}-{info.st_mtime_ns}"

    def rows(self) -> Iterator[PlannedRow]:
        """Every row that is not blank; a line that cannot be used is planned too and fails when it is scanned."""
        for number, offset, line in self._lines():
            record = _record(line)
            if record is None:
                yield PlannedRow(self._place(number), _ref(number, offset))
                continue
            if self._image is None:
                self._image = self._find_image()
            self._names.update(record)
            for name in self._keep:
                if record.get(name) is not None:
                    self._types[name].add(_type(record[name]))
            try:
                key = self._key_of(record)
            except ItemError:
                key = self._place(number)
            yield PlannedRow(key, _ref(number, offset))
        missing = [name for name in (*self._keep, *self._context) if name not in self._names]
        if missing and self._names:
            raise ManifestError(
                f"{self._path} has no column {', '.join(repr(name) for name in missing)}; "
                f"its columns are {', '.join(sorted(self._names))}."
            )

    def columns(self) -> list[Column]:
        """One type per kept column that holds all of its values: text where they differ."""
        return [Column(name, _type_for_all(self._types[name])) for name in self._keep]

    def read(self, shard: int, rows: Iterable[Placed], kept: list[Column]) -> Iterator[ManifestRow]:
        """Planned rows, each read again at its place in the file."""
        try:
            with self._path.open("rb") as file:
                for ordinal, key, ref in rows:
                    number, offset = (int(part) for part in ref.split(b":"))
                    if file.tell() != offset:
                        file.seek(offset)
                    yield self._row(shard, ordinal, key, number, file.readline(), kept)
        except OSError as error:
            raise ManifestError(f"Cannot read the listing {self._path}: {error.strerror}.") from None

    def _row(self, shard: int, ordinal: int, key: str, number: int, line: bytes, kept: list[Column]) -> ManifestRow:
        record = _record(line)
        try:
            if record is None:
                raise ItemError("bad_row", f"{self._place(number)} is not a JSON object")
            if self._key_of(record) != key:
                raise ManifestError(f"{self._path} was changed while it was being read. Run the same command again.")
            image = self._image_of(record)
            columns = {name: _scalar(record.get(name)) for name in self._context}
            columns |= {column.name: self._kept(record.get(column.name), column, number) for column in kept}
        except ItemError as error:
            return ManifestRow(shard, ordinal, key, self._place(number), problem=error)
        if is_url(image):
            return ManifestRow(shard, ordinal, key, public_url(image), columns=columns, url=image)
        path = self._path.parent / image
        return ManifestRow(shard, ordinal, key, image, str(path), file_size(path), columns)

    def _key_of(self, record: Mapping[str, Any]) -> str:
        if self._key is None:
            image = self._image_of(record)
            return public_url(image) if is_url(image) else image
        value = record.get(self._key)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise ItemError("bad_row", f"the key column {self._key!r} holds no text or whole number")
        return str(value)

    def _image_of(self, record: Mapping[str, Any]) -> str:
        if self._image is None:
            self._image = self._find_image()
        value = record.get(self._image)
        if value is None or value == "":
            raise ItemError("no_image", f"the column {self._image!r} is empty")
        if not isinstance(value, str):
            raise ItemError("bad_row", f"the column {self._image!r} holds no path")
        if "://" in value and not is_url(value):
            scheme = value.partition("://")[0][:20]
            raise ItemError(
                "bad_row", f"{scheme}:// is no address that a manifest may name; http, https, s3, gs and az are"
            )
        return value

    def _find_image(self) -> str:
        """The picture's column. The first object of the file decides, wherever a process begins to read."""
        records = (_record(line) for _, _, line in self._lines())
        record = next((record for record in records if record is not None), {})
        found = [name for name in record if name.lower() in IMAGE_NAMES]
        if len(found) == 1:
            return found[0]
        what = f"Several columns could hold the picture: {', '.join(found)}" if found else "No column holds the picture"
        raise ManifestError(
            f"{self._path}: {what}. Its columns are {', '.join(sorted(record))}. Set manifest.image to the right one."
        )

    def _kept(self, value: object, column: Column, number: int) -> Scalar:
        if value is None:
            return None
        found = _type(value)
        if column.type == "string":
            return value if isinstance(value, str) else orjson.dumps(value).decode()
        if (found, column.type) == ("int", "float") and isinstance(value, int):
            return float(value)  # Arrow refuses whole numbers that a float does not hold exactly
        if found == column.type:
            return _scalar(value)
        raise ItemError(
            "bad_row",
            f"{self._place(number)}: the kept column {column.name!r} is {found}; in this output it is {column.type}",
        )

    def _place(self, number: int) -> str:
        return f"{self._label}:{number}"

    def _lines(self) -> Iterator[tuple[int, int, bytes]]:
        offset = 0
        try:
            with self._path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        yield number, offset, line
                    offset += len(line)
        except OSError as error:
            raise ManifestError(f"Cannot read the listing {self._path}: {error.strerror}.") from None


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _ref(number: int, offset: int) -> bytes:
    return b"%d:%d" % (number, offset)


def _type(value: object) -> ColumnType:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(2**63) <= value < 2**63 else "string"
    if isinstance(value, float):
        return "float" if math.isfinite(value) else "string"
    return "string"


def _type_for_all(types: set[ColumnType]) -> ColumnType:
    if len(types) == 1:
        return next(iter(types))
    return "float" if types == {"int", "float"} else "string"


def _scalar(value: object) -> Scalar:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return orjson.dumps(value).decode()
