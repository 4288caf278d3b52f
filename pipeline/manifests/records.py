"""From the lines of a listing to records: JSON Lines, CSV and TSV, and text with one picture a line.

All have a place to be found again at: the number of their first line, and its offset in bytes in the unpacked file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple, Protocol

import orjson

from pipeline.manifests.streams import Stream
from pipeline.manifests.unit import BadFileError

LONGEST_LINE = 16 * 2**20
"""Bytes of a line, and of a CSV record of many lines. One that is longer is no row; the next line goes on."""

TEXT_COLUMN = "image"
"""The one column of a listing without columns."""

_MARK = b"\xef\xbb\xbf"
_PIECE = 2**20
_MOST_LINES = 2**16
"""Of a CSV record; they are held in memory until it is known to be one."""
csv.field_size_limit(LONGEST_LINE)


class Line(NamedTuple):
    """A line with its end, without a byte order mark; None when it is too long to be looked at."""

    number: int
    offset: int
    text: bytes | None


class Record(NamedTuple):
    """A row of a listing; without `values` there is a `problem`, in words that follow the place."""

    number: int
    offset: int
    values: Mapping[str, Any] | None
    problem: str = ""


class Format(Protocol):
    """How lines are read as records."""

    def records(self, lines: Lines) -> Iterator[Record]:
        """The records from the present place on. Raises BadFileError when the file as a whole cannot be read."""
        ...


class Lines:
    """The lines of a stream, from any place on."""

    def __init__(self, stream: Stream) -> None:
        self.name = stream.name
        self._stream = stream
        self._number = 1
        self._put_back: list[Line] = []

    def go_to(self, number: int, offset: int) -> None:
        """The next line is this one."""
        while self._put_back and self._put_back[-1].offset < offset:
            self._put_back.pop()
        if self._put_back and self._put_back[-1].offset == offset:
            return
        self._put_back.clear()
        self._number = number
        self._stream.go_to(offset)

    def put_back(self, lines: Sequence[Line]) -> None:
        """Lines to be read again, the first of them next."""
        self._put_back += reversed(lines)

    def next(self) -> Line | None:
        """The next line, None at the end."""
        if self._put_back:
            return self._put_back.pop()
        offset, number = self._stream.offset, self._number
        text: bytes | None = self._stream.readline(LONGEST_LINE)
        if not text:
            return None
        self._number += 1
        if offset == 0:
            if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise BadFileError(f"{self.name} is UTF-16 text; save it as UTF-8.")
            text = text.removeprefix(_MARK)
        if len(text) >= LONGEST_LINE and not text.endswith(b"\n"):
            text = None
            while (rest := self._stream.readline(_PIECE)) and not rest.endswith(b"\n"):
                pass
        return Line(number, offset, text)


class JsonLines:
    """One JSON object a line."""

    def records(self, lines: Lines) -> Iterator[Record]:
        """Every line that is not blank."""
        while line := lines.next():
            if line.text is None:
                yield _too_long(line)
            elif line.text.strip():
                values = _object(line.text)
                yield Record(line.number, line.offset, values, "" if values is not None else "is not a JSON object")


class TextLines:
    """One path or address a line."""

    def records(self, lines: Lines) -> Iterator[Record]:
        """Every line that is not blank, without the space around it."""
        while line := lines.next():
            if line.text is None:
                yield _too_long(line)
            elif written := line.text.strip():
                try:
                    yield Record(line.number, line.offset, {TEXT_COLUMN: written.decode()})
                except UnicodeDecodeError:
                    yield _no_text(line)


class Table:
    """Comma- or tab-separated values with a header; quoted fields may hold line ends. An empty field is null.

    A record that breaks the rules is one bad row, and reading goes on with the line behind its first: a quote that is
    never closed must not swallow the rows after it.
    """

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        self._header: list[str] | None = None

    def records(self, lines: Lines) -> Iterator[Record]:
        """Every record but the header. Raises BadFileError for a header that cannot be used."""
        if self._header is None:
            with closing(Stream(lines.name)) as stream:
                self._header = self._read_header(Lines(stream))
        taken: list[Line] = []
        reader = csv.reader(_Decoded(lines, taken), delimiter=self._delimiter, strict=True)
        while True:
            taken.clear()
            fields, problem = self._next(reader, lines, taken)
            if not taken:
                return
            line = taken[0]
            if problem:
                yield Record(line.number, line.offset, None, problem)
            elif line.offset > 0 and (fields[1:] or "".join(fields).strip()):  # what stands at 0 is the header
                yield self._record(line, fields)

    def _record(self, line: Line, fields: list[str]) -> Record:
        header = self._header or []
        if len(fields) != len(header):
            problem = f"has {len(fields)} fields; the header names {len(header)}"
            return Record(line.number, line.offset, None, problem)
        return Record(line.number, line.offset, dict(zip(header, (field or None for field in fields), strict=True)))

    @staticmethod
    def _next(reader: Iterator[list[str]], lines: Lines, taken: list[Line]) -> tuple[list[str], str]:
        """The next fields, none at the end; or why there are none."""
        try:
            return next(reader, []), ""
        except UnicodeDecodeError:
            problem = _no_text(taken[0]).problem
        except _TooLongError:
            problem = _too_long(taken[0]).problem
        except csv.Error as error:
            problem = f"is no record ({error})"
        lines.put_back(taken[1:])
        return [], problem

    def _read_header(self, lines: Lines) -> list[str]:
        taken: list[Line] = []
        reader = csv.reader(_Decoded(lines, taken), delimiter=self._delimiter, strict=True)
        header, problem = self._next(reader, lines, taken)
        repeated = sorted({name for name in header if name and header.count(name) > 1})
        if taken and not header:
            problem = problem or "is blank, where the header should be"
        if repeated:
            problem = f"names a column more than once: {', '.join(repeated)}"
        if problem:
            raise BadFileError(f"{lines.name}:1 {problem}.")
        return header


class _TooLongError(Exception):
    pass


class _Decoded:
    """Lines as text; `taken` gets those of the record being read. No generator: an error would end it for good."""

    def __init__(self, lines: Lines, taken: list[Line]) -> None:
        self._lines, self._taken = lines, taken

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._lines.next()
        if line is None:
            raise StopIteration
        self._taken.append(line)
        if len(self._taken) > _MOST_LINES:
            raise csv.Error(f"more than {_MOST_LINES:,} lines in one field")
        if line.text is None or line.offset - self._taken[0].offset > LONGEST_LINE:
            raise _TooLongError
        return line.text.decode()


def _too_long(line: Line) -> Record:
    return Record(line.number, line.offset, None, f"is longer than {LONGEST_LINE:,} bytes")


def _no_text(line: Line) -> Record:
    return Record(line.number, line.offset, None, "is not UTF-8 text")


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
