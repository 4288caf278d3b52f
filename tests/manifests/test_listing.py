"""JSON Lines listings: every line is a row or a reported mistake, and is found again by a later process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import ManifestError
from pipeline.core.types import Column
from pipeline.manifests.unit import Placed
from tests.manifests.pages import fresh, keys, listing, only, opened, resumed, scanned, touch


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "train.jsonl"


def test_paths_are_keys_and_lie_beside_the_listing(tmp_path: Path, path: Path) -> None:
    touch(tmp_path, "pictures/a.jpg")
    listing(path, {"image": "pictures/a.jpg"}, {"image": "gone.jpg"}, {"image": "/else/where.jpg"})

    rows = scanned(only(path))
    assert [(row.ordinal, row.key, row.uri, row.path, row.size, row.problem) for row in rows] == [
        (0, "pictures/a.jpg", "pictures/a.jpg", f"{tmp_path}/pictures/a.jpg", 7, None),
        (1, "gone.jpg", "gone.jpg", f"{tmp_path}/gone.jpg", None, None),
        (2, "/else/where.jpg", "/else/where.jpg", "/else/where.jpg", None, None),
    ]


def test_addresses_stand_for_pictures_and_their_signatures_are_no_part_of_a_key(path: Path) -> None:
    signed = "https://host/a.jpg?w=3&X-Amz-Signature=secret"
    listing(path, {"image": signed, "id": 7}, {"image": "HTTP://me:password@host/b.jpg#part"}, {"image": "hf://c.jpg"})
    rows = scanned(only(path))
    assert [(row.key, row.uri, row.url, row.path, row.size) for row in rows[:2]] == [
        ("https://host/a.jpg?w=3", "https://host/a.jpg?w=3", signed, None, None),
        ("HTTP://host/b.jpg", "HTTP://host/b.jpg", "HTTP://me:password@host/b.jpg#part", None, None),
    ]
    assert rows[2].problem is not None
    assert rows[2].problem.message == f"hf:// is no {ADDRESS}"
    assert next(row.key for row in scanned(only(path, key="id"))) == "7"
    assert "secret" not in repr(keys(only(path)))


def test_marks_blank_lines_and_foreign_line_ends_are_no_rows(path: Path) -> None:
    path.write_bytes(b'\xef\xbb\xbf{"image": "a.jpg"}\r\n\r\n  \n{"image": "\xc3\xa4.jpg"}\r\n\n{"image": "c.jpg"}')
    assert keys(only(path)) == ["a.jpg", "ä.jpg", "c.jpg"]
    assert [(row.key, row.problem) for row in scanned(only(path), [2, 0])] == [("c.jpg", None), ("a.jpg", None)]


def problems(path: Path, **options: Any) -> list[tuple[str, str | None, str | None]]:
    return [
        (row.key, row.problem and row.problem.kind, row.problem and row.problem.message)
        for row in scanned(only(path, **options))
    ]


ADDRESS = "address that a manifest may name; http, https, s3, gs, az and abfss are"


def test_a_line_that_cannot_be_used_is_a_row_that_says_why(path: Path) -> None:
    listing(
        path,
        {"image": "a.jpg"},
        b'{"image": "b.jpg"',
        [1, 2],
        b'"text"',
        {"caption": "no image"},
        {"image": None},
        {"image": ""},
        {"image": 7},
        {"image": "ftp://host/x.jpg?token=secret"},
        b"\xff\xfe",
    )
    assert problems(path) == [
        ("a.jpg", None, None),
        ("train.jsonl:2", "bad_row", "train.jsonl:2 is not a JSON object"),
        ("train.jsonl:3", "bad_row", "train.jsonl:3 is not a JSON object"),
        ("train.jsonl:4", "bad_row", "train.jsonl:4 is not a JSON object"),
        ("train.jsonl:5", "no_image", "the column 'image' is empty"),
        ("train.jsonl:6", "no_image", "the column 'image' is empty"),
        ("train.jsonl:7", "no_image", "the column 'image' is empty"),
        ("train.jsonl:8", "bad_row", "the column 'image' holds no path"),
        ("ftp://host/x.jpg", "bad_row", f"ftp:// is no {ADDRESS}"),
        ("train.jsonl:10", "bad_row", "train.jsonl:10 is not a JSON object"),
    ]


def test_the_key_column_may_hold_text_or_whole_numbers(path: Path) -> None:
    listing(path, *({"id": key, "image": "a.jpg"} for key in (7, "seven", -1, 2**63, "", None, True, 1.5, [1])))
    why = "the key column 'id' holds no text or whole number"
    assert problems(path, key="id") == [
        ("7", None, None),
        ("seven", None, None),
        ("-1", None, None),
        ("9223372036854775808", None, None),
        *((f"train.jsonl:{number}", "bad_row", why) for number in range(5, 10)),
    ]


def test_a_keyed_row_without_a_picture_keeps_its_key(path: Path) -> None:
    listing(path, {"id": 1, "image": "a.jpg"}, {"id": 2, "image": None}, {"id": 3})
    assert problems(path, key="id") == [
        ("1", None, None),
        ("2", "no_image", "the column 'image' is empty"),
        ("3", "no_image", "the column 'image' is empty"),
    ]


# Which column holds the picture


@pytest.mark.parametrize("name", ["image", "file_name", "Path", "URL", "jpg"])
def test_the_picture_is_found_by_its_usual_names(path: Path, name: str) -> None:
    listing(path, {"id": 1, name: "a.jpg", "caption": "b.jpg"})
    assert keys(only(path)) == ["a.jpg"]


@pytest.mark.parametrize("key", [None, "id"])
def test_a_picture_that_cannot_be_found_is_asked_for_before_anything_is_planned(path: Path, key: str | None) -> None:
    listing(path, {"id": 1, "image": "a.jpg", "url": "b.jpg"})
    with pytest.raises(ManifestError, match=r"Several columns could hold the picture: image, url.*Set manifest.image"):
        keys(only(path, key=key))
    listing(path, {"id": 1, "photo": "a.jpg"})
    with pytest.raises(ManifestError, match=r"No column holds the picture. Its columns are id, photo. Set manifest.im"):
        keys(only(path, key=key))
    assert scanned(only(path, key=key, image="photo"))[0].uri == "a.jpg"


def test_a_later_process_finds_the_same_column_wherever_it_begins(path: Path) -> None:
    """A resumed run reads a shard from its middle; a row that looks different there must not decide."""
    listing(path, {"image": "a.jpg"}, {"path": "b.jpg"}, {"image": "c.jpg", "url": "x"}, {"text": "none"})
    placed = [Placed(ordinal, row.key, row.ref) for ordinal, row in enumerate(only(path).rows())]
    whole = [(row.key, row.uri, row.problem and row.problem.kind) for row in resumed(path, placed)]
    assert whole == [
        ("a.jpg", "a.jpg", None),
        ("train.jsonl:2", "train.jsonl:2", "no_image"),
        ("c.jpg", "c.jpg", None),
        ("train.jsonl:4", "train.jsonl:4", "no_image"),
    ]
    for first in range(1, 4):
        later = resumed(path, placed[first:])
        assert [(row.key, row.uri, row.problem and row.problem.kind) for row in later] == whole[first:]


def test_a_listing_changed_under_the_run_is_noticed(path: Path) -> None:
    listing(path, {"image": "a.jpg"}, {"image": "b.jpg"})
    placed = [Placed(ordinal, row.key, row.ref) for ordinal, row in enumerate(only(path).rows())]
    listing(path, {"image": "c.jpg"}, {"image": "d.jpg"})
    with pytest.raises(ManifestError, match=r"was changed while it was being read. Run the same command again"):
        resumed(path, placed)
    unit = fresh(path)
    path.unlink()
    for read in (unit.fingerprint, lambda: keys(unit), lambda: list(unit.read(1, placed, []))):
        with pytest.raises(ManifestError, match=r"Cannot read .*: No such file"):
            read()


# Kept columns


@pytest.mark.parametrize(
    ("values", "column", "read"),
    [
        ([1, 2], "int", [1, 2]),
        ([1.5, 2.0], "float", [1.5, 2.0]),
        ([1, 2.5], "float", [1.0, 2.5]),
        ([2.5, 2**53 + 1], "float", [2.5, float(2**53)]),
        ([True, False], "bool", [True, False]),
        ([True, 1], "string", ["true", "1"]),
        (["a", 1, 2.5], "string", ["a", "1", "2.5"]),
        ([None, None], "string", [None, None]),
        ([None, 3], "int", [None, 3]),
        ([{"a": [1]}, ["ä"]], "string", ['{"a":[1]}', '["ä"]']),
        ([2**63, 1], "string", ["9223372036854775808", "1"]),
    ],
)
def test_a_kept_column_has_one_type_that_holds_all_its_values(
    path: Path, values: list[Any], column: str, read: list[Any]
) -> None:
    listing(path, *({"image": f"{number}.jpg", "extra": value} for number, value in enumerate(values)))
    unit = only(path, keep=("extra",))
    found = [row.columns["extra"] for row in scanned(unit)]
    assert unit.columns() == [Column("extra", column)]  # type: ignore[arg-type]
    assert found == read
    assert [type(value) for value in found] == [type(value) for value in read]


def test_a_value_of_another_type_than_the_output_has_is_a_bad_row(path: Path) -> None:
    listing(path, {"image": "a.jpg", "n": 1}, {"image": "b.jpg", "n": "many"}, {"image": "c.jpg"})
    unit = only(path, keep=("n",))
    placed = [Placed(ordinal, row.key, row.ref) for ordinal, row in enumerate(unit.rows())]
    rows = list(unit.read(1, placed, [Column("n", "int")]))
    assert [row.columns.get("n") for row in rows] == [1, None, None]
    assert str(rows[1].problem) == "train.jsonl:2: the kept column 'n' is string; in this output it is int"
    assert rows[2].problem is None


def test_context_columns_come_along_and_missing_ones_are_named(path: Path) -> None:
    listing(path, {"image": "a.jpg", "title": "A", "n": 1}, {"image": "b.jpg", "tags": ["x"]})
    rows = scanned(only(path, context=("title", "tags")))
    assert [row.columns for row in rows] == [{"title": "A", "tags": None}, {"title": None, "tags": '["x"]'}]
    with pytest.raises(ManifestError, match=r"has no column 'licence', 'titel'; its columns are image, n, tags, title"):
        keys(only(path, keep=("licence",), context=("titel", "title")))


def test_an_empty_listing_holds_no_rows(path: Path) -> None:
    path.write_bytes(b"\n\n")
    assert keys(only(path, keep=("licence",))) == []


def test_a_glob_over_listings_is_one_unit_each(tmp_path: Path) -> None:
    listing(tmp_path / "x/b.jsonl", {"image": "1.jpg"})
    listing(tmp_path / "x/a.jsonl", {"image": "2.jpg"})
    listing(tmp_path / "y/a.jsonl", {"image": "3.jpg"})
    units = opened(tmp_path / "*/*.jsonl")
    assert [unit.name for unit in units] == [f"{tmp_path}/{name}.jsonl" for name in ("x/a", "x/b", "y/a")]
    assert [keys(unit) for unit in units] == [["2.jpg"], ["1.jpg"], ["3.jpg"]]
