"""Values of Arrow columns as rows carry them: exact where a type of the output holds them, else text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from pipeline.core.errors import ItemError
from pipeline.core.types import ColumnType, Value
from pipeline.manifests.parquet_columns import column_type
from pipeline.manifests.places import unsigned


def plain(array: pa.Array) -> pa.Array:
    """The same values, with times and durations as text: Python's own do not hold what Arrow's do."""
    kind = array.type
    if kinds.is_dictionary(kind) and kinds.is_temporal(kind.value_type):
        return plain(array.cast(kind.value_type))
    if kinds.is_timestamp(kind):
        # With a time zone an instant is stored as UTC; without one it is nobody's.
        zone = "" if kind.tz is None else "Z"
        text = pc.replace_substring(array.cast(pa.timestamp(kind.unit)).cast(pa.string()), " ", "T")
        return pc.binary_join_element_wise(text, zone, "")
    if kinds.is_duration(kind):
        return pc.binary_join_element_wise(array.cast(pa.int64()).cast(pa.string()), kind.unit, " ")
    if kinds.is_date(kind) or kinds.is_time(kind):
        return array.cast(pa.string())
    return array


def value_at(array: pa.Array, index: int, wanted: ColumnType, name: str) -> Value:
    """One value of a `plain` column in the type that the output has. Raises ItemError bad_row where it has no place."""
    scalar = array[index]
    try:
        value = scalar.as_py()
    except UnicodeDecodeError:
        value = _repaired(scalar)
    except (ValueError, OverflowError) as error:
        raise ItemError("bad_row", f"the column {name!r} cannot be read: {error}") from None
    if value is None:
        return None
    value = unsigned(value)
    if wanted == "string":
        return _text(value, name)
    found = column_type(array.type)
    if found == wanted == "list<string>":
        return [_text(item, name) if item is not None else None for item in value]
    if found == wanted:
        return value  # type: ignore[no-any-return]  # Arrow's types are those of the column
    if (found, wanted) == ("int", "float"):
        return float(value)
    raise ItemError("bad_row", f"the kept column {name!r} is {found}; in this output it is {wanted}")


def text_at(array: pa.Array, index: int, name: str) -> object:
    """A key, a path, or whatever holds one. Raises ItemError bad_row: it is no UTF-8."""
    try:
        return array[index].as_py()
    except UnicodeDecodeError:
        raise ItemError("bad_row", f"the column {name!r} holds text that is no UTF-8") from None


def _text(value: object, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | Decimal):
        return _foreign(value)
    try:
        return orjson.dumps(value, default=_foreign, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError as error:
        raise ItemError("bad_row", f"the column {name!r} cannot be written as text: {error}") from None


def _foreign(value: Any) -> str:
    """What JSON has no word for."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _repaired(scalar: Any) -> object:
    """Text that is no UTF-8, with its bytes as \\xNN; nested text as a list or an object of such."""
    if isinstance(scalar, pa.DictionaryScalar):
        return _repaired(scalar.value)
    if isinstance(scalar, pa.StructScalar):
        return {name: _repaired(scalar[name]) for name in scalar}
    if isinstance(scalar, pa.ListScalar):
        return [_repaired(item) for item in scalar]
    if not scalar.is_valid:
        return None
    is_text = kinds.is_string(scalar.type) or kinds.is_large_string(scalar.type) or kinds.is_string_view(scalar.type)
    return scalar.as_buffer().to_pybytes().decode("utf-8", "backslashreplace") if is_text else scalar.as_py()
