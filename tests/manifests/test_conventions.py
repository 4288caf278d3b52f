"""Data sets as the usual tools and publishers leave them: read as they are, or one line that names the candidates.

Columns are those of img2dataset 1.47, of LAION, COYO and DataComp on the Hugging Face Hub, and of `datasets`
(read 2026-11-25).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.core.errors import ManifestError
from pipeline.core.types import ManifestRow
from tests.manifests.pages import keys, listing, only, opened, scanned, touch
from tests.manifests.published import SETS, TEXTS, URLS
from tests.manifests.tables import HF, images, parquet
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


# Hugging Face


def test_hugging_face_images_labels_and_lists(tmp_path: Path) -> None:
    features = {
        "image": {"_type": "Image"},
        "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
        "text": {"dtype": "string", "_type": "Value"},
        "url": {"dtype": "string", "_type": "Value"},
    }
    columns = {
        "image": images((b"J0", "0.jpg"), (None, "1.jpg"), None),
        "label": pa.array([0, 1, None], pa.int64()),
        "text": pa.array(["a", None, "c"]).dictionary_encode(),
        "url": URLS,
    }
    unit = only(parquet(tmp_path / "train.parquet", columns, hf=features), keep=("label", "text", "url"))
    rows = scanned(unit)
    assert [row.key for row in rows[:2]] == ["0.jpg", "1.jpg"]
    assert [(row.data, row.path) for row in rows[:2]] == [(b"J0", None), (None, str(tmp_path / "1.jpg"))]
    assert [row.columns.get("label") for row in rows[:2]] == [0, 1]
    assert rows[1].columns == {"label": 1, "text": None, "url": URLS[1]}
    assert rows[2].problem is not None
    assert rows[2].problem.kind == "no_image"


@pytest.mark.parametrize(
    "feature",
    [
        {"_type": "List", "feature": {"_type": "Image"}},
        {"_type": "Sequence", "feature": {"_type": "Image"}},
        [{"_type": "Image"}],
    ],
)
def test_hugging_face_lists_of_images_in_every_spelling(tmp_path: Path, feature: Any) -> None:
    one, two = {"bytes": b"J0", "path": "0.jpg"}, {"bytes": b"J1", "path": "1.jpg"}
    column = pa.array([[one], [one, two], [], None], pa.list_(HF))
    path = parquet(tmp_path / "x.parquet", {"shots": column, "jpg": ["thumb.jpg"] * 4}, hf={"shots": feature})
    rows = scanned(only(path))
    assert rows[0].data == b"J0"
    assert [row.problem and row.problem.kind for row in rows] == [None, "bad_row", "no_image", "no_image"]


def test_two_hugging_face_images_are_a_question(tmp_path: Path) -> None:
    features = {"image": {"_type": "Image"}, "mask": {"_type": "Image"}}
    path = parquet(tmp_path / "x.parquet", {name: images((b"J", f"{name}.png")) for name in features}, hf=features)
    with pytest.raises(ManifestError, match=r"Several columns could hold the picture: image, mask\."):
        keys(only(path))


def test_an_image_folder_with_its_metadata(tmp_path: Path) -> None:
    touch(tmp_path, "train/a.jpg", "train/b.jpg")
    (tmp_path / "train/metadata.csv").write_text("file_name,text,n\na.jpg,first,1\nb.jpg,second,2\n")
    rows = scanned(only(tmp_path / "train/metadata.csv", keep=("text", "n")))
    assert [(row.key, row.path, row.columns["n"]) for row in rows] == [
        ("a.jpg", str(tmp_path / "train/a.jpg"), 1),
        ("b.jpg", str(tmp_path / "train/b.jpg"), 2),
    ]
    assert [row.key for row in scanned(only(tmp_path / "train"))] == ["a.jpg", "b.jpg"]
