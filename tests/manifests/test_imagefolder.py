"""Hugging Face's ImageFolder: a folder of pictures with a table beside them, whose column `file_name` leads to each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import ManifestError
from tests.manifests.pages import keys, listing, only, opened, scanned, touch
from tests.manifests.tables import parquet

NAMES = ["a.jpg", "deep/b 1.png"]


def metadata(folder: Path, ending: str, column: str = "file_name", *others: str) -> Path:
    """The pictures and their table, in which every column has the names."""
    touch(folder, *NAMES)
    path = folder / f"metadata.{ending}"
    columns: dict[str, Any] = dict.fromkeys((column, *others), NAMES) | {"text": ["A", "B, ä"]}
    if ending == "parquet":
        return parquet(path, columns)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if ending == "jsonl":
        return listing(path, *rows)
    lines = [",".join(columns), *(",".join(f'"{value}"' for value in row.values()) for row in rows)]
    path.write_text("\n".join(lines), "utf-8-sig")
    return path


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("column", ["file_name", "image_file_name", "Cover_File_Name"])
def test_the_table_names_the_pictures_beside_it(tmp_path: Path, ending: str, column: str) -> None:
    path = metadata(tmp_path / "set", ending, column)
    rows = scanned(only(path, keep=("text",)))
    assert [(row.key, row.path, row.columns["text"], row.problem) for row in rows] == [
        (name, str(tmp_path / "set" / name), text, None) for name, text in zip(NAMES, ["A", "B, ä"], strict=True)
    ]
    assert sorted(keys(only(tmp_path / "set"))) == sorted(NAMES), "the folder itself gives the same keys"


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_of_several_columns_none_is_guessed(tmp_path: Path, ending: str) -> None:
    path = metadata(tmp_path / "set", ending, "left_file_name", "right_file_name")
    said = r"Several columns could hold the picture: left_file_name, right_file_name\. .* Set manifest\.image"
    with pytest.raises(ManifestError, match=said):
        keys(only(path))
    assert keys(only(path, image="right_file_name")) == NAMES
    plain = metadata(tmp_path / "plain", ending, "file_name", "mask_file_name")
    assert keys(only(plain)) == NAMES, "file_name is the picture, the mask is another column"


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_whoever_names_the_folder_and_wants_columns_is_led_to_the_table(tmp_path: Path, ending: str) -> None:
    path = metadata(tmp_path / "set", ending)
    with pytest.raises(ManifestError, match=rf"has no columns; .* Set manifest\.path to {re.escape(str(path))}\."):
        opened(f"{tmp_path}/set/", keep=("text",))
    touch(tmp_path, "bare/a.jpg")
    with pytest.raises(ManifestError, match=r"Parquet files or tars\.$"):
        opened(tmp_path / "bare", keep=("text",))
