"""The Parquet files of one manifest together: a column that one of them lacks may stand in another."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.types as kinds

from pipeline.manifests.parquet_columns import find_field
from pipeline.manifests.parquet_source import open_source
from pipeline.manifests.unit import BadFileError


class Family:
    """Looks into the other files' footers, only when one lacks a column, and no further than the first that has it."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._known: dict[tuple[str, bool], bool] = {}

    def has(self, column: str, *, typed: bool = False) -> bool:
        """Whether any file has this column; `typed`: with a type, not with nulls only. Raises ManifestError."""
        if (column, typed) not in self._known:
            self._known[column, typed] = any(_has(path, column, typed=typed) for path in self._paths)
        return self._known[column, typed]


def _has(path: str, column: str, *, typed: bool) -> bool:
    try:
        with open_source(path) as source:
            field = find_field(source.schema, source.leaves, column)
    except BadFileError:
        return False  # told, or left out, when the file itself is planned
    return field is not None and not (typed and kinds.is_null(field.type))
