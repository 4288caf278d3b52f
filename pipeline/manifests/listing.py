"""A listing as a manifest: a record a row, a column with the picture's path, others to keep or to quote.

JSON Lines, CSV, TSV, or text with one picture a line, each also packed. Paths are relative to the listing's folder;
addresses on the web or in object stores may stand in their place. The key is the column named by `manifest.key`, else
the path as written, or the address without what signs it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pipeline.core.errors import ItemError, ManifestError
from pipeline.core.types import Column, ManifestRow
from pipeline.manifests.columns import Columns, key_in, listed, number_in, short_key
from pipeline.manifests.directory import file_size
from pipeline.manifests.places import name_in_key, place_of
from pipeline.manifests.records import Format, JsonLines, Lines, Record, Table, TextLines
from pipeline.manifests.streams import PACKINGS, Source, Stream
from pipeline.manifests.unit import Asked, Placed, PlannedRow, named_version
from pipeline.storage.door import stat

IMAGE_NAMES = ("image", "img", "url", "image_url", "file_name", "filename", "path", "image_path", "jpg", "png", "webp")
"""Column names taken for the picture's when none is configured, whatever their case."""
_FILE_NAME = "_file_name"
"""So ends, where there is none of them, a column of Hugging Face's ImageFolder (`datasets` 5.2.0, read 2026-11-25)."""

ENDINGS = tuple(
    f"{ending}{packing}" for packing in ("", ".gz", ".zst") for ending in (".jsonl", ".ndjson", ".csv", ".tsv", ".txt")
)
"""Ends of the names of listings."""


class Listing:
    """One file. Without a key column the picture's path is the key.

    `label` names the file where a line has no key of its own; it differs from every other listing's.
    """

    def __init__(self, name: str, label: str, asked: Asked) -> None:
        self._name = name
        self._label = label
        self._asked = asked
        self._image, self._key = asked.image, asked.key
        self._source = Source(name)
        self._format = _format(name)
        # A CSV holds nothing but text: a kept column is of numbers when every value in it is one.
        self._columns = Columns(name, asked, *([number_in] if isinstance(self._format, Table) else []))

    @property
    def name(self) -> str:
        """The path as configured."""
        return self._name

    def fingerprint(self) -> str:
        """The version that the storage tells, and what names depend on."""
        return named_version(stat(self._name).version, self._name, self._label, self._asked)

    def rows(self) -> Iterator[PlannedRow]:
        """Every row that is not blank; one that cannot be used is planned too and fails when it is scanned."""
        for record in self._records():
            if record.values is None:
                yield PlannedRow(self._place(record), _ref(record))
                continue
            if self._image is None:
                self._image = self._find_image()
            self._columns.note(record.values)
            try:
                key = self._key_of(record.values)
            except ItemError:
                key = self._place(record)
            yield PlannedRow(key, _ref(record))
        self._columns.check()

    def columns(self) -> list[Column]:
        """One type per kept column that holds all of its values: text where they differ."""
        return self._columns.kept()

    def read(self, shard: int, rows: Iterable[Placed], kept: list[Column]) -> Iterator[ManifestRow]:
        """Planned rows, each read again at its place in the file; in a packed one what lies between is unpacked."""
        with self._source.stream() as stream:
            lines = Lines(stream)
            records = self._format.records(lines)
            for ordinal, key, ref in rows:
                number, offset = (int(part) for part in ref.split(b":"))
                lines.go_to(number, offset)
                record = next(records, None)
                if record is None or record.offset != offset:
                    raise self._changed()
                yield self._row(shard, ordinal, key, record, kept)

    def _row(self, shard: int, ordinal: int, key: str, record: Record, kept: list[Column]) -> ManifestRow:
        place = self._place(record)
        try:
            if record.values is None:
                raise ItemError("bad_row", f"{place} {record.problem}")
            if self._key_of(record.values) != key:
                raise self._changed()
            image = self._image_of(record.values)
            found = place_of(image, self._name)
            columns = self._columns.taken(record.values, kept, place)
        except ItemError as error:
            return ManifestRow(shard, ordinal, key, place, problem=error)
        if found.path is None:
            return ManifestRow(shard, ordinal, key, name_in_key(image), columns=columns, url=found.url)
        size = file_size(Path(found.path))
        return ManifestRow(shard, ordinal, key, image, found.path, size, columns)

    def _key_of(self, record: Mapping[str, Any]) -> str:
        if self._key is not None:
            return key_in(record, self._key)
        return short_key(name_in_key(self._image_of(record)), self._image or "")

    def _image_of(self, record: Mapping[str, Any]) -> str:
        if self._image is None:
            self._image = self._find_image()
        value = record.get(self._image)
        if value is None or value == "":
            raise ItemError("no_image", f"the column {self._image!r} is empty")
        if not isinstance(value, str):
            raise ItemError("bad_row", f"the column {self._image!r} holds no path")
        return value

    def _find_image(self) -> str:
        """The picture's column. The first record of the file decides, wherever a process begins to read."""
        with closing(self._records()) as records:
            names = next((list(record.values) for record in records if record.values is not None), [])
        found = usual_names(names)
        if len(found) == 1:
            return found[0]
        what = f"Several columns could hold the picture: {', '.join(found)}" if found else "No column holds the picture"
        raise ManifestError(
            f"{self._name}: {what}. Its columns are {listed(names)}. Set manifest.image to the right one."
        )

    def _records(self) -> Generator[Record, None, None]:
        with closing(Stream(self._name)) as stream:
            yield from self._format.records(Lines(stream))

    def _place(self, record: Record) -> str:
        return f"{self._label}:{record.number}"

    def _changed(self) -> ManifestError:
        return ManifestError(f"{self._name} was changed while it was being read. Run the same command again.")


def usual_names(names: Sequence[str]) -> list[str]:
    """Those by which a column is usually called that names or holds the picture."""
    usual = [name for name in names if name.lower() in IMAGE_NAMES]
    return usual or [name for name in names if name.lower().endswith(_FILE_NAME)]


def _ending(name: str) -> str:
    lower = name.lower()
    packing = next((ending for ending in PACKINGS if lower.endswith(ending)), "")
    return Path(lower.removesuffix(packing)).suffix


def _format(name: str) -> Format:
    ending = _ending(name)
    if ending in (".csv", ".tsv"):
        return Table("," if ending == ".csv" else "\t")
    return TextLines() if ending == ".txt" else JsonLines()


def _ref(record: Record) -> bytes:
    return b"%d:%d" % (record.number, record.offset)
