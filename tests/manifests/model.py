"""A manifest as a list of rows, and what every kind owes to it, however the file is written, cut up or read again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from pipeline.core.types import Column, ManifestRow
from pipeline.manifests.unit import Placed, PlannedRow, Unit


@dataclass(frozen=True)
class Expected:
    """One row as a person reads it off the file. Of `path`, `url`, `data` and `problem` (a kind) exactly one is set."""

    key: str
    path: str | None = None
    url: str | None = None
    data: bytes | None = None
    problem: str | None = None
    columns: dict[str, Any] = field(default_factory=dict)


def hold(
    units: Callable[[], Sequence[Unit]], model: Sequence[Expected], kept: list[Column], draw: Callable[[Any], Any]
) -> list[PlannedRow]:
    """Plan, plan again, and read any part of it back in units that have planned nothing, in two shards."""
    planning = units()
    planned = [list(unit.rows()) for unit in planning]
    assert [row.key for rows in planned for row in rows] == [row.key for row in model]
    assert planned == [list(unit.rows()) for unit in planning], "planning reads twice"
    assert planned == [list(unit.rows()) for unit in units()], "and the next run plans the same"
    found_columns = {column for unit in planning for column in unit.columns()}
    assert found_columns <= set(kept)
    first = 0
    for number, rows in enumerate(planned):
        placed = [Placed(ordinal, row.key, row.ref) for ordinal, row in enumerate(rows)]
        chosen = sorted(draw(st.sets(st.sampled_from(range(len(placed)))))) if placed else []
        cut = draw(st.integers(0, len(chosen)))
        for part in (range(len(placed)), chosen):
            unit = units()[number]  # as another process would open it
            shards = (part[:cut], part[cut:])
            read = [
                row
                for shard, places in enumerate(shards)
                for row in _read(unit, shard, [placed[i] for i in places], kept)
            ]
            assert [(row.shard, row.ordinal) for row in read] == [
                (s, i) for s, places in enumerate(shards) for i in places
            ]
            for row in read:
                _same(row, model[first + row.ordinal], {column.name for column in kept})
        first += len(rows)
    return [row for rows in planned for row in rows]


def _read(unit: Unit, shard: int, placed: list[Placed], kept: list[Column]) -> list[ManifestRow]:
    return list(unit.read(shard, placed, kept))


def _same(row: ManifestRow, expected: Expected, kept: set[str]) -> None:
    problem = row.problem.kind if row.problem else None
    assert (row.key, row.path, row.url, row.data, problem) == (
        expected.key,
        expected.path,
        expected.url,
        expected.data,
        expected.problem,
    )
    assert problem or sum(place is not None for place in (row.path, row.url, row.data)) == 1
    assert row.size == len(row.data) if row.data is not None else True
    if problem is None:
        columns = {name: row.columns[name] for name in kept}
        wanted = {name: expected.columns.get(name) for name in kept}
        assert columns == wanted
        assert [type(value) for value in columns.values()] == [type(value) for value in wanted.values()]
