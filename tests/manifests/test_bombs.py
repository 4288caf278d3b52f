"""Manifests that are small on the disk and would be large in memory: told in one line or by row, in little memory."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest

from pipeline.core.errors import ManifestError
from tests.manifests.pages import keys, only, opened, scanned
from tests.manifests.tables import parquet
from tests.manifests.tars import header, padded
from tests.manifests.weighed import weighed

MEMORY_MB = 300


def zeros(megabytes: int, unit: bytes = b"\0") -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = unit * (2**20 // len(unit))
    return b"".join(packer.compress(piece) for _ in range(megabytes)) + packer.flush()


@pytest.mark.parametrize("name", ["x.txt.gz", "x.jsonl.gz", "x.csv.gz"])
def test_a_line_that_never_ends(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(zeros(300))
    found = weighed(tmp_path / name)
    if name == "x.csv.gz":
        assert found["error"] == f"{tmp_path / name}:1 is longer than 16,777,216 bytes."
    else:
        assert (found["rows"], found["problems"]) == (1, {"bad_row": 1})
    assert found["mb"] < 100


def test_a_quote_that_never_ends_holds_few_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b'url,n\n"') + zeros(1, b",\n"))
    found = weighed(path)
    assert found["rows"] == 2**19
    assert found["mb"] < 60, "a record of half a million lines would hold 150 MB"


@pytest.mark.parametrize("member", ["a.json", "a.txt", "b.jpg"])
def test_a_member_of_a_gigabyte_of_nothing(tmp_path: Path, member: str) -> None:
    path = tmp_path / "x.tar.gz"
    first = header(b"a.jpg", 1) + padded(b"a") + header(member.encode(), 300 * 2**20)
    path.write_bytes(gzip.compress(first) + zeros(300))
    found = weighed(path, keep=["txt"] if "txt" in member else [])
    assert found["problems"] == {"a.txt": {"bad_row": 1}, "b.jpg": {"too_large": 1}}.get(member, {})
    assert found["mb"] < 100


def test_a_sample_of_very_many_texts(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(header(b"a.jpg", 1) + padded(b"a"))
        for number in range(400):
            file.write(header(b"a.%d.txt" % number, 2**20) + bytes(2**20))
        file.write(header(b"b.jpg", 1) + padded(b"b") + header(b"b.0.txt", 1) + padded(b"t"))
    found = weighed(path, keep=["0.txt"])
    assert (found["rows"], found["problems"]) == (2, {"bad_row": 1})
    assert "of all texts of a sample 8,388,608" in found["last_problem"]
    assert found["mb"] < MEMORY_MB


def test_a_page_that_unpacks_to_a_thousand_times_its_size(tmp_path: Path) -> None:
    """The rule: more than 128 MiB of a column in a row group, and more than 100 times what it takes in the file."""
    for column, options in (("jpg", {"key": "id"}), ("t", {"keep": ["t"]}), ("id", {"key": "id"})):
        huge: list[bytes] | list[str] = [bytes(2**28)] if column == "jpg" else ["x" * 2**28]
        columns = {"id": ["a"], "jpg": [b"J"], "t": ["x"], column: huge}
        path = parquet(
            tmp_path / "a.parquet", columns, compression="zstd", use_dictionary=False, write_statistics=False
        )
        found = weighed(path, **options)
        told = found.get("error") or found["last_problem"]
        assert f"{column!r} claims to unpack from" in told
        assert "268,4" in told
        assert found["mb"] < MEMORY_MB
    parquet(tmp_path / "b.parquet", {"jpg": [b"J"], "id": ["b"], "t": ["u"]})
    units = opened(tmp_path / "*.parquet", key="id", keep=("t",), on_bad_file="skip")
    assert [key for unit in units for key in keys(unit)] == ["b"]


def test_pages_that_are_merely_large_are_read(tmp_path: Path) -> None:
    for content, times in ((bytes(2**20), 100), (bytes(range(256)) * 2**16, 1)):
        columns = {"id": list(range(times)), "jpg": [content] * times}
        path = parquet(tmp_path / "a.parquet", columns, compression="zstd", use_dictionary=False)
        found = weighed(path, key="id")
        assert (found["rows"], found["read"], found["problems"]) == (times, times, {}), found


def test_fifty_thousand_columns(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"URL": ["a.jpg"], **{f"c{number}": [number] for number in range(50_000)}})
    found = weighed(path, keep=["c4"])
    assert (found["rows"], found["problems"]) == (1, {})
    assert found["mb"] < 500
    assert found["seconds"] < 30, "a pass over all columns for each column takes minutes"
    parquet(path, {f"c{number}": [number] for number in range(1000)})
    with pytest.raises(ManifestError, match=r"Its columns are c0, .* and 970 more\. Set manifest\.image") as caught:
        keys(only(path))
    assert len(str(caught.value)) < 1000


def test_nesting_that_reads_but_does_not_write(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    deep = b"[" * 900 + b"]" * 900
    path.write_bytes(b'{"url":"a.jpg","x":' + deep + b'}\n{"url":"b.jpg","x":"c"}\n')
    for options in ({"keep": ("x",)}, {"context": ("x",)}):
        first, second = scanned(only(path, **options))
        assert first.problem is not None
        assert (first.problem.kind, second.columns["x"]) == ("bad_row", "c")


@pytest.mark.parametrize("column", ["t", "id", "url"])
def test_one_text_of_many_rows(tmp_path: Path, column: str) -> None:
    """A text that stands once in the file, and in every row."""
    columns = {name: [f"{name}{number}" for number in range(200)] for name in ("t", "id", "url")}
    columns[column] = ["x" * 2_000_000] * 200
    path = parquet(tmp_path / "a.parquet", columns, compression="zstd", write_statistics=False)
    found = weighed(path, keep=["t"], key=None if column == "url" else "id")
    assert found["rows"] == 200
    assert found["problems"] == ({} if column == "t" else {"bad_row": 200})
    assert found["longest_key"] < 20, "the plan holds no such keys"
    assert found["mb"] < 500, "all rows at once take 1.5 GB"


def test_a_key_of_a_megabyte_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    long = b"x" * 20_000
    path.write_bytes(b'{"url":"' + long + b'","id":"1"}\n{"url":"b.jpg","id":"' + long + b'"}\n')
    for options in ({}, {"key": "id"}):
        rows = scanned(only(path, **options))
        assert [row.key for row in rows] == (["1", "x.jsonl:2"] if options else ["x.jsonl:1", "b.jpg"])
        bad = rows[1 if options else 0].problem
        assert bad is not None
        assert bad.kind == "bad_row"
        assert "16,384" in bad.message
