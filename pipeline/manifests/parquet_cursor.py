"""The way back from planned rows to a Parquet file's batches: no row group is opened in which no row is asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pipeline.manifests.parquet_source import ParquetSource, release_memory
from pipeline.manifests.unit import BadFileError


class Cursor:
    """Goes through a file's row groups once, batch by batch, as rows are asked for in their order."""

    def __init__(self, source: ParquetSource, leaves: tuple[str, ...], images: tuple[str, ...]) -> None:
        self._source = source
        self._leaves = leaves
        self._images = images
        self._group = -1
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._batch: pa.RecordBatch | None = None
        self._first = 0
        self._broken: BadFileError | None = None

    def at(self, group: int, row: int) -> tuple[pa.RecordBatch, int]:
        """The batch that holds a row, and the row's index in it. Raises BadFileError: it cannot be decoded."""
        if group != self._group or row < self._first:
            self._open(group)
        while self._batch is None or row >= self._first + self._batch.num_rows:
            self._first += self._batch.num_rows if self._batch is not None else 0
            self._batch = None  # dropped before the next is decoded
            if self._broken is not None:
                raise self._broken
            try:
                self._batch = next(self._batches)
            except BadFileError as error:
                self._broken = error
        return self._batch, row - self._first

    def _open(self, group: int) -> None:
        self._batch, self._first, self._broken = None, 0, None
        self._batches = iter(())  # the old one holds a page
        if self._group >= 0 and self._images:
            release_memory()
        self._group = group
        self._batches = self._source.batches(group, self._leaves, self._images)
