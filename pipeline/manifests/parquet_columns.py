"""Which column of a Parquet file holds the picture, and what a column holds in the words of this product.

What `datasets` writes: https://huggingface.co/docs/datasets/image_dataset (5.2.0, 2026-11).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from pipeline.core.errors import ManifestError
from pipeline.core.types import ColumnType
from pipeline.manifests.columns import listed
from pipeline.manifests.listing import usual_names
from pipeline.manifests.parquet_features import image_columns

Form = Literal["text", "bytes", "struct"]
"""A picture is named by a path or an address, held as bytes, or is a Hugging Face struct<bytes, path>."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column, or a member of structs: its name as configured, the way to it, its type and its leaves in the file."""

    name: str
    steps: tuple[str, ...]
    type: Any
    leaves: tuple[str, ...]

    def of(self, batch: pa.RecordBatch) -> pa.Array:
        """Its values in a batch."""
        array = batch.column(batch.schema.get_field_index(self.steps[0]))
        for step in self.steps[1:]:
            # Null where a struct on the way is null, which `field` alone would not heed.
            array = pc.struct_field(array, step)
        return array


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture's column. `many`: it is a list. `named` are the leaves that hold paths, `held` those with bytes."""

    field: Field
    form: Form
    many: bool
    named: tuple[str, ...]
    held: tuple[str, ...]


def find_field(schema: pa.Schema, leaves: Iterable[str], name: str) -> Field | None:
    """The column of this name, or what a dotted name leads to through structs."""
    steps: tuple[str, ...] = (name,)
    if name not in schema.names:
        steps = tuple(name.split("."))
    if schema.names.count(steps[0]) != 1:  # of two columns with one name nobody knows which is meant
        return None
    found: Any = schema.field(steps[0]).type
    for step in steps[1:]:
        if not kinds.is_struct(found) or found.get_field_index(step) < 0:
            return None
        found = found.field(step).type
    way = ".".join(steps)
    return Field(name, steps, found, tuple(leaf for leaf in leaves if leaf == way or leaf.startswith(f"{way}.")))


def find_picture(file: str, schema: pa.Schema, leaves: Sequence[str], configured: str | None) -> Picture:
    """The configured column, or the only one that can be meant. Raises ManifestError with the candidates.

    Without a configured one count, in this order: what Hugging Face metadata calls an image, a struct<bytes, path>, and
    the usual names, where one column with pictures in it goes before those that only name them.
    """
    columns = listed(set(schema.names))
    if configured is not None:
        field = find_field(schema, leaves, configured)
        if field is None:
            raise ManifestError(f"{file} has no column {configured!r} for manifest.image; its columns are {columns}.")
        picture = _picture(field)
        if picture is None:
            raise ManifestError(
                f"{file}: the column {configured!r} is {field.type}, which is no picture; expected paths, addresses, "
                "bytes or Hugging Face images. Set manifest.image to the right one."
            )
        return picture
    pictures = [picture for field in _fields(schema, leaves) if (picture := _picture(field))]
    names = usual_names([picture.field.name for picture in pictures])
    usual = [picture for picture in pictures if picture.field.name in names]
    called = image_columns(schema)
    found: list[Picture] = []
    for found in (
        [picture for picture in pictures if picture.field.name in called],
        [picture for picture in pictures if picture.form == "struct"],
        [picture for picture in usual if picture.form == "bytes"],
        usual,
    ):
        if len(found) == 1:
            return found[0]
        if found:
            break
    candidates = ", ".join(picture.field.name for picture in found[:30])
    what = f"Several columns could hold the picture: {candidates}" if found else "No column holds the picture"
    raise ManifestError(f"{file}: {what}. Its columns are {columns}. Set manifest.image to the right one.")


def column_type(kind: pa.DataType) -> ColumnType:
    """The type in which a column is carried into the output.

    int holds what 64 bits with a sign hold, so unsigned 64-bit numbers are text, as are decimals, times (ISO 8601),
    bytes (UTF-8, what is none as \\xNN) and, as JSON, everything nested but lists of text.
    """
    kind = kind.value_type if kinds.is_dictionary(kind) else kind
    if kinds.is_boolean(kind):
        return "bool"
    if kinds.is_integer(kind):
        return "string" if kind == pa.uint64() else "int"
    if kinds.is_floating(kind):
        return "float"
    return "list<string>" if _is_list(kind) and _is_text(kind.value_type) else "string"


def is_key(kind: pa.DataType) -> bool:
    """Whether a column of this type may hold keys: text or whole numbers."""
    kind = kind.value_type if kinds.is_dictionary(kind) else kind
    return _is_text(kind) or kinds.is_integer(kind)


def _fields(schema: pa.Schema, leaves: Sequence[str]) -> Iterator[Field]:
    """Every column whose name no other has. One pass: there may be tens of thousands."""
    below: dict[str, list[str]] = {}
    for leaf in leaves:
        below.setdefault(leaf.partition(".")[0], []).append(leaf)
    times = Counter(schema.names)
    for column in schema:
        if times[column.name] == 1:
            own = below.get(column.name.partition(".")[0], [])
            found = tuple(leaf for leaf in own if leaf == column.name or leaf.startswith(f"{column.name}."))
            yield Field(column.name, (column.name,), column.type, found)


def _picture(field: Field) -> Picture | None:
    many = _is_list(field.type)
    kind = field.type.value_type if many else field.type
    if kinds.is_dictionary(kind):
        kind = kind.value_type
    if _is_text(kind):
        return Picture(field, "text", many, field.leaves, ())
    if _is_bytes(kind):
        return Picture(field, "bytes", many, (), field.leaves)
    if kinds.is_struct(kind) and _is_image_struct(kind):
        named = tuple(leaf for leaf in field.leaves if leaf.endswith(".path"))
        held = tuple(leaf for leaf in field.leaves if leaf.endswith(".bytes"))
        return Picture(field, "struct", many, named, held)
    return None


def _is_image_struct(kind: pa.DataType) -> bool:
    members = {kind.field(index).name: kind.field(index).type for index in range(kind.num_fields)}
    if set(members) != {"bytes", "path"}:
        return False
    held, named = members["bytes"], members["path"]
    return (_is_bytes(held) or kinds.is_null(held)) and (_is_text(named) or kinds.is_null(named))


def _is_text(kind: pa.DataType) -> bool:
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        kinds.is_binary(kind)
        or kinds.is_large_binary(kind)
        or kinds.is_binary_view(kind)
        or kinds.is_fixed_size_binary(kind)
    )


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        kinds.is_list(kind)
        or kinds.is_large_list(kind)
        or kinds.is_fixed_size_list(kind)
        or kinds.is_list_view(kind)
        or kinds.is_large_list_view(kind)
    )
