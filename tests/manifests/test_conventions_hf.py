"""What `datasets` writes (5.2, 2026-11): images in structs and lists, labels as numbers, folders with metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.core.errors import ManifestError
from tests.manifests.pages import keys, only, scanned, touch
from tests.manifests.tables import HF, images, parquet

URLS = [f"https://pictures.example/{number}.jpg" for number in range(3)]


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
