"""What is taken from a row beside its picture: its key, the columns that are kept and those that are quoted.

The same for every kind of manifest with columns. A kept column gets one type that holds all of its values, found when
the manifest is planned.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from pipeline.core.errors import ItemError, ManifestError
from pipeline.core.types import Column, ColumnType, Scalar
from pipeline.manifests.places import name_in_key, unsigned
from pipeline.manifests.unit import Asked

MOST_NAMES = 10_000
"""Names of columns that are remembered for a message."""
LONGEST_KEY = 16_384
"""Characters; a text that is longer names nothing, and the plan would hold it many times."""

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}")
_DECIMAL = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+|(?=[eE]))|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class Columns:
    """The columns asked for, and what was seen of them in one file.

    `typed` says what a value stands for where a format has nothing but text.
    """

    def __init__(self, source: str, asked: Asked, typed: Callable[[Any], Any] = lambda value: value) -> None:
        self._source = source
        self._asked = asked
        self._typed = typed
        self._types: dict[str, set[ColumnType]] = {name: set() for name in asked.keep}
        self._wanted = [name for name in (asked.image, asked.key, *asked.keep, *asked.context) if name]
        self._names: set[str] = set()

    def note(self, record: Mapping[str, Any]) -> None:
        """Take the names and the types of a row into account."""
        # Rows may have fields of their own: of very many only what is asked for matters.
        many = len(self._names) >= MOST_NAMES
        self._names.update([name for name in self._wanted if name in record] if many else record)
        for name in self._asked.keep:
            if record.get(name) is not None:
                self._types[name].add(_type(self._typed(record[name])))

    def check(self) -> None:
        """Once all rows were noted: raises ManifestError for columns that are asked for and that no row has."""
        missing = [name for name in self._wanted if name not in self._names]
        if missing and self._names:
            raise ManifestError(
                f"{self._source} has no column {', '.join(repr(name) for name in missing)}; "
                f"its columns are {listed(self._names)}."
            )

    def kept(self) -> list[Column]:
        """One type per kept column that holds all values noted: text where they differ."""
        return [Column(name, _type_for_all(self._types[name])) for name in self._asked.keep]

    def taken(self, record: Mapping[str, Any], kept: Iterable[Column], place: str) -> dict[str, Scalar]:
        """A row's quoted and kept values. Raises ItemError bad_row where one does not fit its column's type."""
        columns = {name: _scalar(unsigned(record.get(name))) for name in self._asked.context}
        return columns | {column.name: self._value(unsigned(record.get(column.name)), column, place) for column in kept}

    def _value(self, value: object, column: Column, place: str) -> Scalar:
        if value is None:
            return None
        if column.type == "string":
            return value if isinstance(value, str) else _json(value)
        value = self._typed(value)
        found = _type(value)
        if (found, column.type) == ("int", "float") and isinstance(value, int):
            return float(value)  # Arrow refuses whole numbers that a float does not hold exactly
        if found == column.type:
            return _scalar(value)
        raise ItemError(
            "bad_row", f"{place}: the kept column {column.name!r} is {found}; in this output it is {column.type}"
        )


def key_in(record: Mapping[str, Any], name: str) -> str:
    """The key that a row has in this column; an address without what signs it. Raises ItemError bad_row."""
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ItemError("bad_row", f"the key column {name!r} holds no text or whole number")
    return short_key(name_in_key(str(value)), name)


def short_key(key: str, column: str) -> str:
    """The key. Raises ItemError bad_row: it is too long for one."""
    if len(key) > LONGEST_KEY:
        raise ItemError("bad_row", f"the column {column!r} holds {len(key):,} characters; a key has {LONGEST_KEY:,}")
    return key


def number_in(text: object) -> object:
    """The number that a text of a CSV stands for, or the text itself: 007, +1 and 1_000 are no numbers."""
    if isinstance(text, str):
        if _WHOLE.fullmatch(text):
            return int(text)
        if _DECIMAL.fullmatch(text):
            return float(text)
    return text


def listed(names: Iterable[str]) -> str:
    """Names for a message, sorted; of very many only the first."""
    ordered = sorted(names)
    return ", ".join(ordered[:30]) + (f" and {len(ordered) - 30} more" if len(ordered) > 30 else "")


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
    return _json(value)


def _json(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:  # it reads deeper nesting than it writes
        raise ItemError("bad_row", f"a column cannot be written as text: {error}") from None
