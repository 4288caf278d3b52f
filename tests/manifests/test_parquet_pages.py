"""Pages as large as a hundred pictures: read a few at a time, they give the same rows in a part of the memory."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.errors import ItemError
from pipeline.manifests import parquet_pages, parquet_source
from pipeline.manifests.parquet_pages import Stretch, stretches_of
from pipeline.manifests.parquet_source import open_source
from pipeline.manifests.streams import Watched
from tests.manifests.pages import only, scanned
from tests.manifests.tables import HF, parquet

ROWS = 2_500
SMALL = {"data_page_size": 1_000, "dictionary_pagesize_limit": 1_000}
"""pyarrow looks at sizes once in 1,024 values: three pages, for the first of which there is a dictionary."""


def contents(size: int = 40, repeated: bool = False) -> list[bytes | None]:
    source = random.Random(3)
    few = [source.randbytes(size) for _ in range(5)]
    return [
        None if n % 7 == 0 else few[n % 5] if repeated else source.randbytes(size + n % 9) + b"%d" % n
        for n in range(ROWS)
    ]


def structs(kind: pa.DataType = HF, **options: bool) -> pa.Array:
    return pa.array(
        [None if n % 11 == 0 else {"bytes": data, "path": f"{n}.jpg"} for n, data in enumerate(contents(**options))],
        kind,
    )


COLUMNS: dict[str, dict[str, Any]] = {
    "struct": {"image": structs()},
    "large": {"image": structs(pa.struct([("bytes", pa.large_binary()), ("path", pa.large_string())]))},
    "bytes": {"image": contents()},
    "repeated": {"image": structs(repeated=True)},
    "nested": {"set": pa.array([{"image": item, "n": 1} for item in structs().to_pylist()])},
}


@pytest.mark.parametrize("form", COLUMNS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_dictionary": False, "compression": "none", "write_page_checksum": True},
        {"data_page_version": "2.0", "compression": "zstd"},
        {"row_group_size": 1_100},
    ],
    ids=["usual", "plain", "second", "groups"],
)
def test_every_row_is_what_it_is_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, options: dict[str, Any]
) -> None:
    columns = COLUMNS[form] | {"key": list(range(ROWS)), "title": [f"title {n}" for n in range(ROWS)]}
    path = parquet(tmp_path / "t.parquet", columns, **{**SMALL, **options})
    asked = {"key": "key", "keep": ("title",), "image": "set.image" if form == "nested" else "image"}
    usual = [_told(row) for row in scanned(only(path, **asked))]
    assert sum(row[3] is not None for row in usual) > ROWS // 2
    found = []
    monkeypatch.setattr(parquet_source, "PAGE_BYTES", 1_000)
    monkeypatch.setattr(parquet_source, "stretches_of", lambda *given: found.append(stretches_of(*given)) or found[-1])
    assert [_told(row) for row in scanned(only(path, **asked))] == usual
    some = [5, 6, 1_023, 1_024, 1_500, 2_499]
    assert [_told(row)[1:] for row in scanned(only(path, **asked), some)] == [usual[number][1:] for number in some]
    assert any(len(stretches) > 1 for stretches in found) or form == "repeated", "each large page by itself"


def _told(row: Any) -> tuple[Any, ...]:
    problem = row.problem and (row.problem.kind, row.problem.message) if isinstance(row.problem, ItemError) else None
    return row.ordinal, row.key, row.uri, row.data, dict(row.columns), problem


def test_lists_of_pictures_are_left_to_arrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "t.parquet", {"images": [[item] for item in structs().to_pylist()]})
    usual = [_told(row) for row in scanned(only(path))]
    monkeypatch.setattr(parquet_source, "PAGE_BYTES", 1_000)
    assert [_told(row) for row in scanned(only(path))] == usual


def test_no_more_than_a_page_and_its_packed_form_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = 1_024 * 10_000
    path = parquet(tmp_path / "t.parquet", {"jpg": contents(size=10_000)})
    monkeypatch.setattr(parquet_source, "PAGE_BYTES", page // 4)
    held: list[int] = []
    read = Watched.read

    def noted(self: Watched, size: int = -1) -> bytes:
        held.append(pa.total_allocated_bytes() - before)
        return read(self, size)

    monkeypatch.setattr(Watched, "read", noted)
    before = pa.total_allocated_bytes()
    with open_source(str(path)) as source:
        for batch in source.batches(0, ("jpg",), ("jpg",)):
            held.append(pa.total_allocated_bytes() - before)
            del batch
    assert max(held) < 2.5 * page, "with the dictionary and the page before it would be three"


@pytest.mark.parametrize("seed", range(40))
def test_headers_that_make_no_sense_are_left_to_arrow(tmp_path: Path, seed: int) -> None:
    path = parquet(tmp_path / "t.parquet", {"jpg": contents()}, use_dictionary=False)
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(0)
    content = bytearray(path.read_bytes())
    source, start = random.Random(seed), chunk.data_page_offset
    content[start : start + 24] = (
        bytes([0x1C] * 24) if seed == 0 else bytes([0x80] * 24) if seed == 1 else source.randbytes(24)
    )
    path.write_bytes(content)
    with path.open("rb") as file:
        found = stretches_of(Watched(file), start, start + chunk.total_compressed_size, ROWS, 1_000)
    assert found == []


def test_pages_that_need_the_dictionary_after_others_are_left_to_arrow(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*alone: bool) -> list[Stretch]:
        pages = [parquet_pages._Page(n, n + 1, 10, 5_000, lonely) for n, lonely in enumerate(alone)]
        monkeypatch.setattr(parquet_pages, "_pages", lambda *_: iter(pages))
        return stretches_of(Watched(io.BytesIO()), 0, len(pages), 10 * len(pages), 1_000)

    assert found(False, False, True, True) == [(0, 2, 20), (2, 3, 10), (3, 4, 10)]
    assert found(False, True, False, True) == []


def test_a_dictionary_that_no_page_needs_is_no_stretch(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [parquet_pages._Page(0, 1, 0, 5_000, alone=False)]
    pages += [parquet_pages._Page(n, n + 1, 10, 5_000, alone=True) for n in (1, 2)]
    monkeypatch.setattr(parquet_pages, "_pages", lambda *_: iter(pages))
    assert stretches_of(Watched(io.BytesIO()), 0, 3, 20, 1_000) == [(1, 2, 10), (2, 3, 10)]
