"""The pages of one column of a row group, told by their headers: where each lies, and how many values it has.

Arrow holds the page at hand, the next one and the dictionary at the same time, each whole. pyarrow writes 1,024 values
into a page however large they are, so that pages of pictures are as large as a hundred others. `Window` lets Arrow see
a few pages at a time instead. Format: https://parquet.apache.org/docs/file-format/ and parquet.thrift (PageHeader) in
Thrift's compact protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md),
2026-11-25.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pyarrow as pa

from pipeline.manifests.streams import Watched

_HEADER: Final = 64 * 2**10
"""Bytes in which a header fits, the statistics in it included."""
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_PLAIN_DICTIONARY, _RLE_DICTIONARY = 2, 8


class Stretch(NamedTuple):
    """Pages that follow each other, from `start` to `end` in the file, which are read without those before them."""

    start: int
    end: int
    rows: int


class _Page(NamedTuple):
    start: int
    end: int
    rows: int
    size: int
    """Decompressed."""
    alone: bool
    """It needs no dictionary."""


def stretches_of(file: Watched, start: int, end: int, rows: int, large: int) -> list[Stretch]:
    """The pages between two places in pieces of about `large` bytes, or one page.

    Empty when no page is large, or when the headers make no sense: then Arrow is to read the whole, and to complain.
    Nothing but structs may lead to the column: in a list a row is not a value.
    """
    pages: list[_Page] = []
    try:
        for page in _pages(file, start, end):
            pages.append(page)
            if len(pages) == 3 and max(page.size for page in pages) <= large:
                return []  # looking at each of thousands of pages would cost more than it saves
    except (IndexError, KeyError, TypeError, ValueError, RecursionError):
        return []
    alone = [page.alone for page in pages]
    if sum(page.rows for page in pages) != rows or max(page.size for page in pages) <= large or alone != sorted(alone):
        return []
    found: list[Stretch] = []
    held = 0
    for page in pages:
        if found and (not page.alone or held + page.size <= large):
            first = found.pop()
            found.append(Stretch(first.start, page.end, first.rows + page.rows))
            held += page.size
        else:
            found.append(Stretch(page.start, page.end, page.rows))
            held = page.size
    return [stretch for stretch in found if stretch.rows]  # a dictionary that no page uses, or empty pages


def _pages(file: Watched, start: int, end: int) -> Iterator[_Page]:
    """Raises IndexError, KeyError, TypeError or ValueError for what is no header."""
    while start < end:
        file.seek(start)
        header, length = _struct(file.read(min(_HEADER, end - start)), 0)
        kind, size, packed = header[1], header[2], header[3]
        body = header[{_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}[kind]]
        encoding = body[4] if kind == _DATA_V2 else body[2]
        after = start + length + packed
        if packed < 0 or size < 0 or body[1] < 0 or after > end:
            raise ValueError
        alone = kind != _DICTIONARY and encoding not in (_PLAIN_DICTIONARY, _RLE_DICTIONARY)
        yield _Page(start, after, 0 if kind == _DICTIONARY else body[1], size, alone)
        start = after


def _struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    """A struct of Thrift's compact protocol as its fields by number, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while data[at]:
        step, kind = data[at] >> 4, data[at] & 15
        at += 1
        if not step:
            number, at = _zigzag(data, at)
        number += step
        fields[number], at = _value(data, at, kind)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        return _zigzag(data, at)
    if kind == 7:
        return None, at + 8
    if kind == 8:
        length, at = _varint(data, at)
        return None, at + length
    if kind == 12:
        return _struct(data, at)
    raise ValueError  # page headers have no lists and no maps


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(data, at)
    return (number >> 1) ^ -(number & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while data[at] & 128:
        number |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
    return number | data[at] << shift, at + 1


class Window:
    """A file in which one column has no pages but those of a stretch: they stand where its first page was."""

    def __init__(self, file: Watched, first: int, end: int) -> None:
        self._file, self._first, self._end = file, first, end
        self._stretch = Stretch(first, end, 0)
        self._at = 0
        self.closed = False

    def show(self, stretch: Stretch) -> None:
        """What follows reads these pages."""
        self._stretch = stretch

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        self._at = self._file.seek(offset, whence)
        return self._at

    def tell(self) -> int:
        """The present place."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """So many bytes; of the column nothing behind the stretch. Raises OSError."""
        start, most = self._at, size
        if self._first <= start < self._end:
            start += self._stretch.start - self._first
            most = max(0, min(size, self._stretch.end - start))
        self._file.seek(start)
        data = self._file.read(most)
        self._at += len(data)
        return data

    def close(self) -> None:
        """Nothing: the file belongs to somebody else."""


def side_by_side(some: Iterator[pa.RecordBatch], others: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows with the columns of both; a struct that is in both has the members of both."""
    left: pa.RecordBatch | None = None
    right: pa.RecordBatch | None = None
    while True:
        left = left if left is not None and left.num_rows else next(some, None)
        right = right if right is not None and right.num_rows else next(others, None)
        if left is None or right is None:
            return
        rows = min(left.num_rows, right.num_rows)
        columns = _joined(_columns(left.slice(0, rows)), _columns(right.slice(0, rows)))
        left, right = left.slice(rows), right.slice(rows)
        yield pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


def _joined(some: dict[str, pa.Array], others: dict[str, pa.Array]) -> dict[str, pa.Array]:
    joined = {**others, **some}
    for name in some.keys() & others.keys():
        members = _joined(_columns(some[name]), _columns(others[name]))
        joined[name] = pa.StructArray.from_arrays(list(members.values()), list(members))
    return joined


def _columns(holder: pa.RecordBatch | pa.StructArray) -> dict[str, pa.Array]:
    if isinstance(holder, pa.RecordBatch):
        return dict(zip(holder.schema.names, holder.columns, strict=True))
    return {holder.type.field(index).name: holder.field(index) for index in range(holder.type.num_fields)}
