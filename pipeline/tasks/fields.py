"""Typed answers: a person's JSON schema becomes columns, and answers are held against it.

The judge is the library `jsonschema`, because only a whole implementation accepts exactly what a schema says; models of
pydantic can be made of a part of JSON Schema only. What servers are sent instead is in `strict.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.core.errors import ItemError
from pipeline.core.types import Column
from pipeline.tasks.column_types import column_type, types_of
from pipeline.tasks.json_text import parsed
from pipeline.tasks.patterns import EndlessSearchError, bounded
from pipeline.tasks.schema_problems import EXAMPLE, problems_of
from pipeline.tasks.strict import strict_form

MAX_TEXT = 65_536
"""Characters of a schema: it goes into every request."""


class SchemaError(ValueError):
    """A schema that cannot be used. `problems` lists everything that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Fields:
    """The fields of an answer by a person's schema; made by `read_schema`."""

    schema: Mapping[str, Any]

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """One for each property at the top, in the schema's order."""
        return tuple(Column(name, column_type(part, self.schema)) for name, part in self.schema["properties"].items())

    @cached_property
    def _written_out(self) -> frozenset[str]:
        """Names of the columns of JSON text: whatever is not plainly of one type."""
        parts = self.schema["properties"].items()
        texts = {name for name, part in parts if types_of(part, self.schema) - {"null"} == {"string"}}
        return frozenset(column.name for column in self.columns if column.type == "string" and column.name not in texts)

    @cached_property
    def strict(self) -> dict[str, Any]:
        """What a server is asked to hold the model to."""
        return strict_form(self.schema)

    @cached_property
    def _validator(self) -> Any:
        # Only runs that have a schema wait the quarter of a second that the library takes to load.
        import jsonschema
        import referencing

        kind = jsonschema.validators.validator_for(self.schema, default=jsonschema.Draft202012Validator)
        return bounded(kind)(self.schema, registry=referencing.Registry())  # which fetches nothing

    def read(self, value: Any) -> dict[str, Any]:
        """The columns of an answer. Raises ItemError schema_mismatch, naming the places that do not fit.

        A server held to the strict form writes null for what may be left out; that null says no more than leaving it
        out, so where the schema knows no null it counts as left out; and all do where it asks only whether a name is
        there.
        """
        if not isinstance(value, dict):
            raise ItemError("schema_mismatch", "the answer does not fit its schema: it is no object")
        try:
            if problems := self._problems(value):
                unknown = [place for error in problems for place in _nulls(error)]
                ways = (_without(value, places) for places in (unknown, list(_every_null(value, ()))))
                fitting = next((way for way in ways if way is not None and not self._problems(way)), None)
                if fitting is None:
                    raise ItemError("schema_mismatch", f"the answer does not fit its schema: {_said(problems)}")
                value = fitting
            return {column.name: self._cell(value.get(column.name), column) for column in self.columns}
        except EndlessSearchError as error:
            raise ItemError("schema_mismatch", f"the answer cannot be held against its schema: {error}") from error
        except (RecursionError, OverflowError) as error:
            what = "is nested too deeply" if isinstance(error, RecursionError) else "holds a number beyond all sizes"
            raise ItemError("schema_mismatch", f"the answer {what}") from error

    def _cell(self, value: Any, column: Column) -> Any:
        """A valid value as its column holds it. Raises ItemError schema_mismatch for a number that it cannot."""
        if value is None:
            return None
        if column.name in self._written_out:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        if column.type == "float":
            return float(value)
        if column.type == "int":
            if not -(2**63) <= value < 2**63:
                said = f"{_line(column.name, 60)}: a whole number beyond 64 bits"
                raise ItemError("schema_mismatch", f"the answer does not fit its columns: {said}")
            return int(value)  # 5.0 is a whole number, too
        return value

    def _problems(self, value: Any) -> list[Any]:
        return sorted(self._validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path)))


def read_schema(text: str) -> Fields:
    """The fields that a JSON schema describes. Raises SchemaError with everything that is wrong with it."""
    if len(text) > MAX_TEXT:
        raise SchemaError([f"the schema has {len(text):,} characters; at most {MAX_TEXT:,} can go into every request"])
    try:
        schema = parsed(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise SchemaError([f"this is no valid JSON: {said}"]) from None
    if not isinstance(schema, dict):
        raise SchemaError([f"a schema is a JSON object; expected for example {EXAMPLE}"])
    if problems := problems_of(schema):
        raise SchemaError(problems)
    return Fields(schema)


def _nulls(error: Any) -> Iterator[tuple[Any, ...]]:
    """Where an error is about a null that stands under a name, in unions too."""
    place = tuple(error.absolute_path)
    if error.instance is None and place and isinstance(place[-1], str):
        yield place
    for inner in error.context or ():
        yield from _nulls(inner)


def _every_null(value: Any, place: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Where a null stands under a name."""
    if value is None and place and isinstance(place[-1], str):
        yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in inner:
        yield from _every_null(part, (*place, step))


def _without(value: Any, places: list[tuple[Any, ...]]) -> Any:
    """A copy of the value without the names at these places; None when there are none."""
    if not places:
        return None
    copy = json.loads(json.dumps(value))
    for place in set(places):
        at = copy
        for step in place[:-1]:
            at = at[step]
        at.pop(place[-1], None)
    return copy


def _said(problems: list[Any]) -> str:
    said = []
    for error in problems[:3]:
        where = ".".join(map(str, error.absolute_path)) or "answer"
        said.append(f"{_line(where, 60)}: {_line(error.message, 100)}")
    return "; ".join(said)[:200]


def _line(text: str, longest: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
