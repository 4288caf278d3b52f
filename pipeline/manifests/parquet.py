"""A Parquet file as a manifest: one column with the picture, or with the way to it, others to keep or to quote.

The key is the column named by `manifest.key`, else the path or the address without what signs it. Pictures that the
file holds itself have the path of their Hugging Face struct for a key, as long as no two rows of the file share one;
where there is nothing better, a row is called `<file>:<row>`, counted from 1. Such a name moves to another picture when
the file is written again in another order: give rows a key column if that may happen.

Files of one data set may call their pictures alike (`0.jpg` in each). That is left to `manifest.on_duplicate_key`, and
no file's name is put before its paths, since a key must not change (decision 002): `train-00000-of-00002` has another
name as soon as a file is added, and paths that stand alone only while those of all files differ would change on the day
that one repeats. `0.jpg#2` stays while files are added behind, whatever they are called then.

A page that turns out broken after planning costs the rows that cannot be read for it (`bad_row`), not the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.types as kinds

from pipeline.core.errors import ItemError, ManifestError
from pipeline.core.types import Column, ColumnType, ManifestRow, Value
from pipeline.manifests.columns import listed, short_key
from pipeline.manifests.directory import file_size
from pipeline.manifests.parquet_columns import Field, Picture, column_type, find_field, find_picture, is_key
from pipeline.manifests.parquet_cursor import Cursor
from pipeline.manifests.parquet_family import Family
from pipeline.manifests.parquet_features import class_names
from pipeline.manifests.parquet_picture import Embedded, name_of, picture_of
from pipeline.manifests.parquet_source import ParquetSource, open_source
from pipeline.manifests.parquet_values import plain, text_at, value_at
from pipeline.manifests.places import Place, name_in_key, place_of
from pipeline.manifests.unit import Asked, BadFileError, Placed, PlannedRow, named_version
from pipeline.storage.buckets import Buckets, digest_of
from pipeline.storage.door import stat


@dataclass(frozen=True, slots=True)
class _Columns:
    """What is read of a file. `others` are the kept and context columns that it has."""

    picture: Picture
    key: Field | None
    others: dict[str, Field]

    @property
    def naming(self) -> tuple[str, ...]:
        """Leaves that keys are made of."""
        return self.key.leaves if self.key else self.picture.named

    @property
    def all(self) -> tuple[str, ...]:
        fields = [self.picture.field, *([self.key] if self.key else []), *self.others.values()]
        return tuple({leaf: None for field in fields for leaf in field.leaves})


class ParquetFile:
    """One file. `label` names it in keys and messages; `family` are all files of the manifest."""

    def __init__(self, path: str, label: str, asked: Asked, family: Family) -> None:
        self._path = path
        self._label = label
        self._asked = asked
        self._key = asked.key
        self._family = family
        self._paths_are_keys: bool | None = None
        self.heaviest_group = 0
        """Bytes of pictures in the largest row group; known once its rows were read."""

    @property
    def name(self) -> str:
        """The path as configured."""
        return self._path

    def fingerprint(self) -> str:
        """The version that the storage tells, and what names depend on."""
        return named_version(stat(self._path).version, self._path, self._label, self._asked)

    def rows(self) -> Iterator[PlannedRow]:
        """Every row, by its key; pictures are not read. One that cannot be used is planned too and fails later."""
        with open_source(self._path) as source:
            columns = self._columns(source)
            if self._paths_are_keys is None:
                self._paths_are_keys = self._are_distinct(source, columns)
            for group, start in enumerate(source.starts):
                weight = sum(source.bytes_of(group, leaf) for leaf in columns.picture.held)
                self.heaviest_group = max(self.heaviest_group, weight)
                row = 0
                for batch in source.batches(group, columns.naming):
                    for key in self._keys(batch, columns):
                        yield PlannedRow(key or self._place(start + row), b"%d:%d" % (group, row))
                        row += 1

    def columns(self) -> list[Column]:
        """The kept columns that this file has; one without a type (only nulls) is text, if no other file knows better.

        Their types are those of the file, so nothing but the footer is read.
        """
        with open_source(self._path) as source:
            fields = self._columns(source).others
            schema = source.schema
        return [
            _kept_column(field, schema)
            for field in (fields[name] for name in self._asked.keep if name in fields)
            if not (kinds.is_null(field.type) and self._family.has(field.name, typed=True))
        ]

    def read(self, shard: int, rows: Iterable[Placed], kept: list[Column]) -> Iterator[ManifestRow]:
        """Planned rows; row groups in which none is are passed over, and of the others only what comes before."""
        with open_source(self._path) as source:
            columns = self._columns(source)
            cursor = Cursor(source, columns.all, columns.picture.held)
            for ordinal, key, ref in rows:
                group, row = (int(part) for part in ref.split(b":"))
                if group >= source.groups or row >= source.rows_of(group):
                    raise self._changed()
                place = self._place(source.starts[group] + row)
                try:
                    batch, index = cursor.at(group, row)
                    yield self._row(ManifestRow(shard, ordinal, key, place), batch, index, columns, kept)
                except BadFileError as error:
                    yield ManifestRow(shard, ordinal, key, place, problem=ItemError("bad_row", str(error)))

    def _row(
        self, planned: ManifestRow, batch: pa.RecordBatch, index: int, columns: _Columns, kept: list[Column]
    ) -> ManifestRow:
        shard, ordinal, key, place = planned.shard, planned.ordinal, planned.key, planned.uri
        problem = None
        try:
            named = self._key_of(batch, index, columns)
        except ItemError as error:
            named, problem = None, error
        if key not in (named, place):
            raise self._changed()
        try:
            if problem is not None:
                raise problem
            if self._key is not None and named is None:
                raise ItemError("bad_row", f"the key column {self._key!r} holds no text or whole number")
            field = columns.picture.field
            found = picture_of(text_at(field.of(batch), index, field.name), field.name)
            where = place_of(found, self._path) if isinstance(found, str) else Place()
            values = self._values(batch.slice(index, 1), columns, kept)
        except ItemError as error:
            return ManifestRow(shard, ordinal, key, place, problem=ItemError(error.kind, f"{place}: {error.message}"))
        if isinstance(found, Embedded):
            return ManifestRow(shard, ordinal, key, place, None, len(found.data), values, data=found.data)
        if where.path is None:
            return ManifestRow(shard, ordinal, key, name_in_key(found), columns=values, url=where.url)
        size = file_size(Path(where.path))
        return ManifestRow(shard, ordinal, key, found, where.path, size, values)

    def _values(self, row: pa.RecordBatch, columns: _Columns, kept: list[Column]) -> dict[str, Value]:
        """Context and kept columns of one row; what this file lacks is null."""
        wanted: dict[str, ColumnType | None] = dict.fromkeys(self._asked.context)
        wanted.update((column.name, column.type) for column in kept)
        values: dict[str, Value] = {}
        for name, kind in wanted.items():
            field = columns.others.get(name)
            if field is None:
                values[name] = None
                continue
            array = plain(field.of(row))
            values[name] = value_at(array, 0, kind or column_type(array.type), name)
        return values

    def _columns(self, source: ParquetSource) -> _Columns:
        """Raises ManifestError: a column is missing, or of no use for what it is named for."""
        schema, leaves = source.schema, source.leaves
        picture = find_picture(self._path, schema, leaves, self._asked.image)
        key = find_field(schema, leaves, self._key) if self._key else None
        if self._key and (key is None or not is_key(key.type)):
            what = f"has no column {self._key!r}" if key is None else f"has {key.type} in the column {self._key!r}"
            raise ManifestError(
                f"{self._path} {what}; manifest.key needs one with text or whole numbers. Its columns are "
                f"{listed(set(schema.names))}."
            )
        fields = {name: find_field(schema, leaves, name) for name in (*self._asked.keep, *self._asked.context)}
        missing = [name for name, field in fields.items() if field is None and not self._family.has(name)]
        if missing:
            raise ManifestError(
                f"{self._path} has no column {', '.join(repr(name) for name in missing)}, nor has any other file of "
                f"the manifest; its columns are {listed(set(schema.names))}."
            )
        others = {name: field for name, field in fields.items() if field is not None}
        bulky = [name for name, field in others.items() if set(field.leaves) & set(picture.held)]
        if bulky:
            raise ManifestError(
                f"{self._path}: the column {bulky[0]!r} holds the pictures themselves, which are not carried along or "
                "quoted; take it out of manifest.keep and tasks.context."
            )
        return _Columns(picture, key, others)

    def _are_distinct(self, source: ParquetSource, columns: _Columns) -> bool:
        """Whether the paths beside embedded pictures tell them apart. Those of a long file meet on the disk."""
        if columns.key or columns.picture.form != "struct":
            return True
        with TemporaryDirectory(prefix="vlm-batch-") as folder, Buckets(Path(folder), "paths", "") as paths:
            for group in range(source.groups):
                for batch in source.batches(group, columns.naming):
                    for key in self._keys(batch, columns):
                        if key is not None:
                            paths.add(digest_of(key))
            return all(len(set(group)) == len(group) for group in paths)

    def _keys(self, batch: pa.RecordBatch, columns: _Columns) -> Iterator[str | None]:
        """A key for each row, None where it has none of its own."""
        if not columns.naming or (self._paths_are_keys is False and columns.key is None):
            yield from repeat(None, batch.num_rows)
            return
        try:
            values = (columns.key or columns.picture.field).of(batch).to_pylist()
        except UnicodeDecodeError:
            for index in range(batch.num_rows):
                try:
                    yield self._key_of(batch, index, columns)
                except ItemError:
                    yield None
            return
        for value in values:
            try:
                yield self._key_from(value, columns)
            except ItemError:
                yield None

    def _key_of(self, batch: pa.RecordBatch, index: int, columns: _Columns) -> str | None:
        field = columns.key or columns.picture.field
        return self._key_from(text_at(field.of(batch), index, field.name), columns)

    def _key_from(self, value: object, columns: _Columns) -> str | None:
        """Raises ItemError bad_row: it is too long for a key."""
        if columns.key is None:
            key = name_of(value, columns.picture)
        else:
            key = name_in_key(str(value)) if value is not None and value != "" else None
        return short_key(key, (columns.key or columns.picture.field).name) if key else None

    def _place(self, number: int) -> str:
        return f"{self._label}:{number + 1}"

    def _changed(self) -> ManifestError:
        return ManifestError(f"{self._path} was changed while it was being read. Run the same command again.")


def _kept_column(field: Field, schema: pa.Schema) -> Column:
    kind = column_type(field.type)
    return Column(field.name, kind, class_names(schema, field.steps) if kind == "int" else ())
