"""Listings of every format and packing: the same rows, found again from anywhere, and no mistake unsaid."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import ManifestError
from pipeline.core.types import Column
from pipeline.manifests import records
from pipeline.manifests.unit import Placed
from tests.manifests.pages import keys, only, opened, scanned
from tests.manifests.test_webdataset_hostile import measured

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def write(path: Path, content: bytes) -> Path:
    if path.suffix == ".gz":
        content = gzip.compress(content[:50]) + gzip.compress(content[50:])
    path.write_bytes(pa.compress(content, "zstd", asbytes=True) if path.suffix == ".zst" else content)
    return path


@pytest.mark.parametrize("name", ["five.txt", "five.csv", "five.tsv", "five.jsonl.gz", "five.tar"])
def test_the_sample_manifests_name_the_same_pictures(name: str) -> None:
    rows = scanned(only(SAMPLES / name))
    contents = [row.data if row.data is not None else Path(row.path or "").read_bytes() for row in rows]
    names = [line.strip() for line in (SAMPLES / "five.txt").read_text().splitlines()]
    assert contents == [(SAMPLES / name).read_bytes() for name in names]
    assert len(contents) == 5


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
@pytest.mark.parametrize(
    ("ending", "content"),
    [
        (".csv", 'id,url,note\r\n1,a.jpg,"x, ""y""\nz"\r\n\r\n2,b.jpg,\r\n'),
        (".TSV", 'id\turl\tnote\n1\ta.jpg\t"x, ""y""\nz"\n2\tb.jpg\t'),
        (".ndjson", '{"id":1,"url":"a.jpg","note":"x, \\"y\\"\\nz"}\n{"id":2,"url":"b.jpg"}'),
    ],
)
def test_every_format_gives_the_same_rows(tmp_path: Path, ending: str, content: str, packing: str) -> None:
    path = write(tmp_path / f"x{ending}{packing}", b"\xef\xbb\xbf" + content.encode())
    unit = only(path, key="id", keep=("note", "id"))
    rows = scanned(unit)
    assert [(row.key, row.uri, row.path, dict(row.columns)) for row in rows] == [
        ("1", "a.jpg", f"{tmp_path}/a.jpg", {"note": 'x, "y"\nz', "id": 1}),
        ("2", "b.jpg", f"{tmp_path}/b.jpg", {"note": None, "id": 2}),
    ]
    assert unit.columns() == [Column("note", "string"), Column("id", "int")]


def test_a_text_listing_has_a_picture_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "x.txt", b" a b.jpg \r\n\nhttps://h/b.jpg?X-Amz-Signature=1\n\xff.jpg\n# c.jpg")
    assert [(row.key, row.problem and str(row.problem)) for row in scanned(only(path))] == [
        ("a b.jpg", None),
        ("https://h/b.jpg", None),
        ("x.txt:4", "x.txt:4 is not UTF-8 text"),
        ("# c.jpg", None),
    ]
    with pytest.raises(ManifestError, match="has no column 'id', 'title'; its columns are image"):
        keys(only(path, key="id", context=("title",)))


@pytest.mark.parametrize(
    ("values", "column", "read"),
    [
        (["1", "", "-20"], "int", [1, None, -20]),
        (["1", "2.50"], "float", [1.0, 2.5]),
        (["1", "2.50", "x"], "string", ["1", "2.50", "x"]),
        (["007", "8"], "string", ["007", "8"]),
        (["1e3", ".5"], "float", [1000.0, 0.5]),
        (["true"], "string", ["true"]),
        (["nan", "1"], "string", ["nan", "1"]),
        (["9223372036854775808"], "string", ["9223372036854775808"]),
        (["1.5", "12345678901234567890123"], "string", ["1.5", "12345678901234567890123"]),
        (["00.5", "-007e1"], "string", ["00.5", "-007e1"]),
        (["1_0", "+1", " 1", "٣"], "string", ["1_0", "+1", " 1", "٣"]),
    ],
)
def test_a_kept_column_is_of_numbers_only_when_every_value_is_one(
    tmp_path: Path, values: list[str], column: str, read: list[Any]
) -> None:
    lines = "".join(f"{number}.jpg,{value}\n" for number, value in enumerate(values))
    unit = only(write(tmp_path / "x.csv", f"path,n\n{lines}".encode()), keep=("n",), context=("n",))
    assert [row.columns["n"] for row in scanned(unit)] == read
    assert unit.columns() == [Column("n", column)]  # type: ignore[arg-type]


def test_a_row_that_breaks_the_rules_is_one_bad_row(tmp_path: Path) -> None:
    content = b'path,n\na.jpg\nb.jpg,1,2\n"c".jpg,1\n\xff.jpg,1\nd.jpg,"never closed\ne.jpg,3\n\n  \nf\0.jpg,1\n'
    for name in ("x.csv", "x.csv.gz"):
        rows = scanned(only(write(tmp_path / name, content), keep=("n",)))
        assert [(row.key, row.problem and str(row.problem).removeprefix(row.key)) for row in rows] == [
            (f"{name}:2", " has 1 fields; the header names 2"),
            (f"{name}:3", " has 3 fields; the header names 2"),
            (f"{name}:4", " is no record (',' expected after '\"')"),
            (f"{name}:5", " is not UTF-8 text"),
            (f"{name}:6", " is no record (unexpected end of data)"),
            ("e.jpg", None),
            ("f\0.jpg", None),
        ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,a,path\nx,1,y\n", "x.csv:1 names a column more than once: path"),
        (b'"path,a\nx,1\n', "x.csv:1 is no record"),
        (b"\npath\nx\n", "x.csv:1 is blank, where the header should be"),
        ("path\nx\n".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        (b"url,image\nx,y\n", "Several columns could hold the picture: url, image"),
        (b"a,b\nx,y\n", "No column holds the picture. Its columns are a, b"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_clear_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ManifestError) as raised:
        keys(only(write(tmp_path / "x.csv", content)))
    assert message in str(raised.value)


def test_an_empty_table_has_no_rows(tmp_path: Path) -> None:
    assert keys(only(write(tmp_path / "x.csv", b""))) == keys(only(write(tmp_path / "y.csv", b"path\n"))) == []


@pytest.mark.parametrize("ending", ["txt", "csv", "jsonl", "jsonl.gz", "csv.zst"])
def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    monkeypatch.setattr(records, "LONGEST_LINE", 1000)
    monkeypatch.setattr(records, "_PIECE", 300)
    written: dict[str, list[str]] = {
        "txt": ["a.jpg", "x" * 5000, "b.jpg"],
        "csv": ["path,n", "a.jpg,1", "x" * 5000 + ",1", "b.jpg,2"],
        "jsonl": ['{"path":"a.jpg"}', '{"path":"' + "x" * 5000 + '"}', '{"path":"b.jpg"}'],
    }
    path = write(tmp_path / f"x.{ending}", "\n".join(written[ending.partition(".")[0]]).encode())
    rows = scanned(only(path))
    assert [row.key for row in rows if row.problem is None] == ["a.jpg", "b.jpg"]
    assert [str(row.problem).partition(" ")[2] for row in rows if row.problem] == ["is longer than 1,000 bytes"]


def test_a_broken_packing_is_one_clear_line(tmp_path: Path) -> None:
    content = gzip.compress(b'{"path":"a.jpg"}\n' * 1000)
    for name, damaged in (("cut", content[:-20]), ("no", b"{}" * 100)):
        path = tmp_path / f"{name}.jsonl.gz"
        path.write_bytes(damaged)
        with pytest.raises(ManifestError, match=r"^Cannot unpack [^\n]+$"):
            keys(only(path))


def test_ranges_name_listings(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write(tmp_path / f"{name}.csv", f"path\n{name}.jpg\n\xff\n".encode("latin-1"))
    units = opened(f"{tmp_path}/{{train,test}}.csv")
    assert [keys(unit)[0] for unit in units] == ["train.jpg", "test.jpg"]
    assert keys(units[0])[1] != keys(units[1])[1]


FIELD = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


@settings(max_examples=100, deadline=None)
@given(
    table=st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=20),
    ending=st.sampled_from(["csv", "tsv", "csv.gz", "tsv.zst"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    data=st.data(),
)
def test_any_table_reads_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[tuple[str, str]],
    ending: str,
    quoting: Any,
    data: st.DataObject,
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter="," if ending.startswith("csv") else "\t", quoting=quoting)
    writer.writerow(("image", "key", "note"))
    writer.writerows((f"{number}.jpg", str(number), first + second) for number, (first, second) in enumerate(table))
    path = write(tmp_path_factory.mktemp("table") / f"x.{ending}", text.getvalue().encode())
    unit = only(path, key="key", context=("note",))
    placed = [Placed(ordinal, row.key, row.ref) for ordinal, row in enumerate(unit.rows())]
    expected = [
        (str(number), f"{number}.jpg", (first + second) or None) for number, (first, second) in enumerate(table)
    ]
    part = data.draw(st.lists(st.sampled_from(placed), unique=True))
    later = only(path, key="key", context=("note",))
    found = [(row.key, row.uri, row.columns["note"]) for row in later.read(1, part, [])]
    assert found == [expected[place.ordinal] for place in part]
    assert len(placed) == len(expected)


MEMORY = """
import json, sys, time
from tests.manifests.pages import only
from tests.manifests.rewritten import peak_mb
from pipeline.manifests.unit import Placed
unit = only(sys.argv[1])
next(unit.rows())
before, started = peak_mb(), time.process_time()
rows = sum(1 for _ in unit.rows())
planned = time.process_time() - started
refs = (Placed(number, row.key, row.ref) for number, row in enumerate(unit.rows()) if number % 2)
read = sum(1 for row in only(sys.argv[1]).read(1, refs, []) if row.problem is None)
took = time.process_time() - started - planned
print(json.dumps({"rows": rows, "read": read, "mb": peak_mb() - before, "planned": planned, "took": took}))
"""


@pytest.mark.parametrize("name", ["x.csv.gz", "x.csv", "x.txt"])
def test_memory_does_not_grow_with_the_lines(tmp_path: Path, name: str) -> None:
    lines = b"".join(b"https://host/%d.jpg\n" % number for number in range(200_000))
    found = measured(MEMORY, str(write(tmp_path / name, b"url\n" + lines if "csv" in name else lines)))
    assert (found["rows"], found["read"]) == (200_000, 100_000)
    assert found["mb"] < 20
