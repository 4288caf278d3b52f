"""Any listing, however it is written and packed: every row once, whole or in part, and the same when it grows."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.types import Column
from pipeline.manifests.unit import Unit
from tests.manifests.model import Expected, hold
from tests.manifests.pages import opened

KEPT = [Column("n", "int"), Column("f", "float"), Column("t", "string")]
ENDINGS = ["txt", "csv", "tsv", "jsonl", "ndjson"]
PACKINGS = ["", ".gz", ".zst"]

_LETTERS = st.characters(exclude_categories=("Cs",), exclude_characters=":\0")
_PLAIN = st.text("ab/. äß%20()", min_size=1, max_size=10)
"""What stands in an address as it is."""
ADDRESSES = st.builds("{}://host.example/{}".format, st.sampled_from(["http", "https", "s3", "gs", "az"]), _PLAIN)
PATHS = st.text(_LETTERS, min_size=1, max_size=10).filter(lambda name: name == name.strip())
NAMES = st.one_of(PATHS, ADDRESSES.filter(lambda name: name == name.strip()), st.just("/elsewhere/a.jpg"))


class Row(NamedTuple):
    name: str | None
    n: int | None
    f: float | None
    t: str | None


class Garbage(NamedTuple):
    """A line that is no row; `planned`: it is still told of."""

    line: bytes
    planned: bool


NUMBERS = st.none() | st.integers(-(2**63), 2**63 - 1)
FRACTIONS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.none() | st.text(_LETTERS, min_size=1, max_size=9).map(lambda text: f"{text}x")
ROWS = st.builds(Row, st.none() | NAMES, NUMBERS, FRACTIONS, TEXTS)
GARBAGE = {
    "jsonl": [Garbage(b"", False), Garbage(b"  \t", False), Garbage(b"{", True), Garbage(b"[1]", True)],
    "csv": [Garbage(b"", False), Garbage(b"a,b", True), Garbage(b"\xff,,,", True), Garbage(b'a"x,"b"c,,', True)],
    "tsv": [Garbage(b"", False), Garbage(b"a\tb", True), Garbage(b"\xff\t\t\t", True)],
    "txt": [Garbage(b"", False), Garbage(b" ", False), Garbage(b"\xff", True)],
}
GARBAGE["ndjson"] = GARBAGE["jsonl"]


def written(row: Row, ending: str) -> bytes:
    """The row's lines without the last end."""
    if ending in ("jsonl", "ndjson"):
        values: dict[str, Any] = {"file_name": row.name, "n": row.n, "f": row.f, "t": row.t}
        return orjson.dumps(values)
    if ending == "txt":
        return (row.name or "").encode()
    line = io.StringIO(newline="")
    writer = csv.writer(line, delimiter="," if ending == "csv" else "\t")
    writer.writerow([row.name, row.n, None if row.f is None else f"{row.f!r}", row.t])
    return line.getvalue().removesuffix("\r\n").encode()


def expected(row: Row, place: str, path: Path, ending: str) -> Expected | None:
    if row.name is None:
        return None if ending == "txt" else Expected(place, problem="no_image")
    columns = {} if ending == "txt" else {"n": row.n, "f": row.f, "t": row.t}
    if "://" in row.name:
        return Expected(row.name, url=row.name, columns=columns)
    return Expected(row.name, path=str(path.parent / row.name), columns=columns)


def write(
    path: Path, lines: Sequence[Row | Garbage], ending: str, packing: str, end: bytes, mark: bytes
) -> list[Expected]:
    """The file, and the rows that stand in it."""
    content = bytearray(mark)
    if ending in ("csv", "tsv"):
        content += (b"," if ending == "csv" else b"\t").join((b"file_name", b"n", b"f", b"t")) + end
    model: list[Expected] = []
    for line in lines:
        place = f"{path.name}:{content.count(10) + 1}"
        if isinstance(line, Garbage):
            content += line.line + end
            model += [Expected(place, problem="bad_row")] if line.planned else []
        else:
            content += written(line, ending) + end
            row = expected(line, place, path, ending)
            model += [row] if row else []
    whole = bytes(content)
    half = len(whole) // 3
    if packing == ".gz":
        whole = gzip.compress(whole[:half], 1) + gzip.compress(whole[half:], 1)
    elif packing == ".zst":
        whole = b"".join(pa.compress(part, "zstd", asbytes=True) for part in (whole[:half], whole[half:]) if part)
    path.write_bytes(whole)
    return model


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=30, deadline=None, derandomize=True)
@given(end=st.sampled_from([b"\n", b"\r\n"]), mark=st.sampled_from([b"", b"\xef\xbb\xbf"]), data=st.data())
def test_every_row_is_read_once(
    tmp_path_factory: pytest.TempPathFactory, ending: str, packing: str, end: bytes, mark: bytes, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("listing") / f"x.{ending}{packing}"
    rows = ROWS
    if ending == "txt":  # a name has no line of its own within it
        rows = ROWS.filter(lambda row: row.name is None or "\n" not in row.name)
    # Columns that are all null have no type.
    first = Row("first.jpg", 1, 0.5, "x")
    lines = [first, *data.draw(st.lists(rows | st.sampled_from(GARBAGE[ending]), max_size=12))]
    more = data.draw(st.lists(rows, max_size=4))
    kept = [] if ending == "txt" else KEPT

    def units() -> list[Unit]:
        return opened(path, keep=tuple(column.name for column in kept))

    model = write(path, lines, ending, packing, end, mark)
    planned = hold(units, model, kept, data.draw)
    model = write(path, [*lines, *more], ending, packing, end, mark)
    grown = hold(units, model, kept, data.draw)
    assert grown[: len(planned)] == planned, "rows keep their keys and places when others are appended"
