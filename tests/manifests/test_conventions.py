"""Data sets as the usual tools and publishers leave them: read as they are, or one line that names the candidates.

Columns are those of img2dataset 1.47, of LAION, COYO and DataComp on the Hugging Face Hub (read
2026-11-25).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.errors import ManifestError
from pipeline.core.types import ManifestRow
from tests.manifests.pages import keys, listing, only, opened, scanned, touch
from tests.manifests.published import SETS, TEXTS, URLS
from tests.manifests.tables import parquet
from tests.manifests.tars import write_tar


def kept(rows: list[ManifestRow], name: str) -> list[Any]:
    assert all(row.problem is None for row in rows), rows
    return [row.columns[name] for row in rows]


@pytest.mark.parametrize("name", SETS)
def test_web_scale_sets_are_read_as_they_are(tmp_path: Path, name: str) -> None:
    columns, expected = SETS[name]
    path = parquet(tmp_path / "part-00000.snappy.parquet", columns)
    rows = scanned(only(path, keep=tuple(expected)))
    assert [(row.key, row.url) for row in rows] == list(zip(URLS, URLS, strict=True)), "no id is chosen unasked"
    for column, values in expected.items():
        found = kept(rows, column)
        assert found == values
        assert [type(value) for value in found] == [type(value) for value in values], "as typed as they came"


@pytest.mark.parametrize("name", [name for name in SETS if name != "LAION-400M"])
def test_an_id_is_the_key_where_it_is_named(tmp_path: Path, name: str) -> None:
    columns, _ = SETS[name]
    column = next(column for column in ("id", "uid", "key", "hash") if column in columns)
    ids = pa.array(columns[column]).to_pylist()
    assert keys(only(parquet(tmp_path / "x.parquet", columns), key=column)) == [str(value) for value in ids]


@pytest.mark.parametrize("ending", [".csv", ".tsv.gz", ".jsonl", ".ndjson.gz"])
@pytest.mark.parametrize("name", SETS)
def test_the_same_sets_as_listings(tmp_path: Path, name: str, ending: str) -> None:
    columns, expected = SETS[name]
    records: list[dict[str, Any]] = pa.table(dict(columns)).to_pylist()
    path = tmp_path / f"x{ending}"
    if "json" in ending:
        text = "".join(json.dumps(record) + "\n" for record in records)
    else:
        written = io.StringIO()
        table = csv.DictWriter(written, list(columns), delimiter="\t" if "tsv" in ending else ",")
        table.writeheader()
        table.writerows(records)
        text = written.getvalue()
    path.write_bytes(gzip.compress(text.encode()) if ending.endswith(".gz") else text.encode())
    plain = {column: values for column, values in expected.items() if column != "face_bboxes"}
    rows = scanned(only(path, keep=tuple(plain)))
    assert [(row.key, row.url) for row in rows] == list(zip(URLS, URLS, strict=True))
    for column, values in plain.items():
        assert kept(rows, column) == values


@pytest.mark.parametrize("column", ["URL", "Url", "Image_URL", "FILE_NAME", "Filename", "IMAGE", "Img", "JPG", "Path"])
def test_names_count_in_any_case(tmp_path: Path, column: str) -> None:
    columns = {"KEY": ["1"], "Id": ["2"], column: ["a.jpg"], "TEXT": ["x"]}
    units = [
        only(parquet(tmp_path / "x.parquet", columns)),
        only(listing(tmp_path / "x.jsonl", {name: values[0] for name, values in columns.items()})),
    ]
    for unit in units:
        [row] = scanned(unit)
        assert (row.key, row.path) == ("a.jpg", str(tmp_path / "a.jpg"))


@pytest.mark.parametrize("names", [("URL", "file_name"), ("url", "URL"), ("image", "Image_Path", "jpg")])
def test_where_several_could_be_meant_they_are_named(tmp_path: Path, names: tuple[str, ...]) -> None:
    columns = {"id": ["1"], **{name: [f"{name}.jpg"] for name in names}}
    paths = (
        parquet(tmp_path / "x.parquet", columns),
        listing(tmp_path / "x.jsonl", {name: values[0] for name, values in columns.items()}),
    )
    for path in paths:
        with pytest.raises(ManifestError) as caught:
            keys(only(path))
        assert f"Several columns could hold the picture: {', '.join(names)}. Its columns are" in str(caught.value)
        assert "Set manifest.image to the right one" in str(caught.value)
        assert keys(only(path, image=names[1])) == [f"{names[1]}.jpg"]


def test_where_none_is_meant_all_are_named(tmp_path: Path) -> None:
    for path in (
        parquet(tmp_path / "x.parquet", {"id": [1], "key": ["a.jpg"], "link": ["b.jpg"]}),
        listing(tmp_path / "x.jsonl", {"id": 1, "key": "a.jpg", "link": "b.jpg"}),
    ):
        with pytest.raises(ManifestError, match=r"No column holds the picture\. Its columns are id, key, link\. Set"):
            keys(only(path))


def test_of_two_columns_with_one_name_none_is_taken(tmp_path: Path) -> None:
    table = pa.table([pa.array(["a.jpg"]), pa.array(["b.jpg"])], names=["url", "url"])
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(ManifestError, match=r"No column holds the picture\. Its columns are url\."):
        keys(only(tmp_path / "x.parquet"))


# img2dataset

DONE = [("000000000", "success", b"J0"), ("000000001", "failed_to_download", None), ("000000002", "success", b"J2")]


def record(number: int) -> dict[str, Any]:
    key, status, _ = DONE[number]
    broken = status != "success"
    return {
        "url": URLS[number],
        "caption": TEXTS[number],
        "key": key,
        "status": status,
        "error_message": "HTTP Error 404: Not Found" if broken else None,
        "width": None if broken else 256,
        "height": None if broken else 192,
        "exif": None if broken else "{}",
        "sha256": None if broken else f"{number:064x}",
    }


def metadata(folder: Path) -> dict[str, list[Any]]:
    """What img2dataset writes beside each shard."""
    records = [record(number) for number in range(3)]
    columns = {name: [record[name] for record in records] for name in records[0]}
    parquet(folder / "00000.parquet", columns)
    (folder / "00000_stats.json").write_text(json.dumps({"count": 3, "successes": 2, "end_time": 1.0}))
    return columns


def test_img2dataset_files(tmp_path: Path) -> None:
    metadata(tmp_path)
    for key, status, content in DONE:
        touch(tmp_path, f"00000/{key}.json")
        if status == "success" and content:
            touch(tmp_path, f"00000/{key}.txt")
            (tmp_path / f"00000/{key}.jpg").write_bytes(content)
    rows = scanned(only(tmp_path))
    assert [row.key for row in rows] == ["00000/000000000.jpg", "00000/000000002.jpg"]


def test_img2dataset_tars(tmp_path: Path) -> None:
    metadata(tmp_path)
    members = [
        member
        for number, (key, status, content) in enumerate(DONE)
        if status == "success" and content
        for member in (
            (f"{key}.jpg", content),
            (f"{key}.json", json.dumps(record(number)).encode()),
            (f"{key}.txt", str(TEXTS[number]).encode()),
        )
    ]
    write_tar(tmp_path / "00000.tar", *members)
    [unit] = opened(tmp_path, kind="webdataset", keep=("url", "width", "txt", "exif"))
    rows = scanned(unit)
    assert [(row.key, row.data) for row in rows] == [("000000000", b"J0"), ("000000002", b"J2")]
    assert rows[1].columns == {"url": URLS[2], "width": 256, "txt": 'two "cats"', "exif": "{}"}
    # The pictures lie in the tars; the tables beside them only tell of them.
    with pytest.raises(ManifestError, match=r"kind webdataset and parquet\. Set manifest\.kind = 'webdataset' to"):
        opened(tmp_path)


def test_img2dataset_parquet(tmp_path: Path) -> None:
    columns = {**metadata(tmp_path / "meta"), "jpg": [content for _, _, content in DONE]}
    unit = only(parquet(tmp_path / "00000.parquet", columns), keep=("url", "status", "width"))
    rows = scanned(unit)
    assert [row.key for row in rows] == [f"00000.parquet:{number}" for number in (1, 2, 3)], "key is not chosen unasked"
    assert [row.data for row in rows] == [b"J0", None, b"J2"]
    assert rows[1].problem is not None
    assert rows[1].problem.kind == "no_image"
    assert rows[2].columns == {"url": URLS[2], "status": "success", "width": 256}
    assert keys(only(tmp_path / "00000.parquet", key="key")) == [key for key, _, _ in DONE]
