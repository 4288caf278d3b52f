"""Folders and globs: which pictures are found, and under which keys."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.core.errors import ManifestError
from pipeline.manifests.directory import SUFFIXES, Directory
from tests.manifests.pages import keys, only, opened, scanned, touch


def test_a_folder_is_read_to_its_depth_and_sorted(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a.PNG", "deep/down/c.webp", "deep/a.tiff", "ä.jpeg")

    unit = only(tmp_path)
    assert keys(unit) == ["a.PNG", "b.jpg", "deep/a.tiff", "deep/down/c.webp", "ä.jpeg"]
    assert unit.columns() == []
    rows = scanned(unit)
    assert [(row.ordinal, row.key, row.size, row.problem) for row in rows[:2]] == [
        (0, "a.PNG", 7, None),
        (1, "b.jpg", 7, None),
    ]
    assert rows[2].path == rows[2].uri == f"{tmp_path}/deep/a.tiff"
    assert [row.key for row in scanned(unit, [3, 1])] == ["deep/down/c.webp", "b.jpg"]


def test_only_pictures_are_taken_and_the_rest_is_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "notes.txt", "deep/b.json", "no_suffix", ".hidden.jpg", ".cache/c.jpg")
    unit = only(tmp_path)
    assert isinstance(unit, Directory)
    assert keys(unit) == ["a.jpg"]
    assert unit.ignored == 3, "hidden files are nobody's business"


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_kind_of_picture_is_taken(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path, f"a{suffix}", f"b{suffix.upper()}")
    assert keys(only(tmp_path)) == [f"a{suffix}", f"b{suffix.upper()}"]


def test_an_empty_folder_holds_no_rows(tmp_path: Path) -> None:
    assert keys(only(tmp_path)) == []


def test_a_glob_takes_what_it_matches(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.jpg", "x/a.img", "y/b.jpg", "y/deep/c.jpg", "x/.hidden.jpg", ".z/d.jpg")
    (tmp_path / "x/folder.jpg").mkdir()

    assert keys(only(tmp_path / "*/*.jpg")) == ["x/a.jpg", "y/b.jpg"]
    assert keys(only(tmp_path / "**/*.jpg")) == ["x/a.jpg", "y/b.jpg", "y/deep/c.jpg"]
    assert keys(only(tmp_path / "x/*")) == ["a.img", "a.jpg"]
    assert keys(only(tmp_path / "?/[ab].jpg")) == ["x/a.jpg", "y/b.jpg"]
    assert scanned(only(tmp_path / "y/**/*.jpg"))[1].path == f"{tmp_path}/y/deep/c.jpg"


def test_a_folder_with_a_star_in_its_name_is_meant_as_itself(tmp_path: Path) -> None:
    touch(tmp_path, "best[1]/a.jpg", "best1/b.jpg")
    assert keys(only(tmp_path / "best[1]")) == ["a.jpg"]


def test_a_glob_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    for pattern in ("**.jpg", "**.jsonl", "**", "x/**", "**/a**/*.jpg"):
        with pytest.raises(ManifestError, match=r"\*\* must stand for whole folders.*write for example \*\*/\*\.jpg"):
            opened(tmp_path / pattern)


def test_the_output_folder_inside_is_not_a_manifest(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "out/report/b.jpg", "out2/c.jpg")
    for path in (tmp_path, tmp_path / "**/*.jpg"):
        assert keys(only(path, avoid=tmp_path / "out")) == ["a.jpg", "out2/c.jpg"]


def test_links_to_pictures_are_followed_and_links_to_folders_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.jpg", "pictures/b.jpg")
    (tmp_path / "pictures/link.jpg").symlink_to(tmp_path / "elsewhere/a.jpg")
    (tmp_path / "pictures/loop").symlink_to(tmp_path / "pictures")

    unit = only(tmp_path / "pictures")
    assert keys(unit) == ["b.jpg", "link.jpg"]
    assert [row.size for row in scanned(unit)] == [7, 7]


def test_a_dangling_link_is_planned_so_that_it_is_reported(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg")
    (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    for path in (tmp_path, tmp_path / "*.jpg"):
        assert [(row.key, row.size) for row in scanned(only(path))] == [("a.jpg", None), ("b.jpg", 7)]


def test_names_that_are_no_text_keep_their_bytes(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    Path(os.fsdecode(raw)).write_bytes(b"picture")

    [row] = scanned(only(tmp_path))
    assert (row.key, row.size) == ("caf\\xe9.jpg", 7)
    assert os.fsencode(row.path or "") == raw
    assert row.uri.encode().endswith(b"/caf\\xe9.jpg")


def test_a_picture_that_is_gone_by_now_is_still_a_row(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    unit = only(tmp_path)
    keys(unit)
    (tmp_path / "a.jpg").unlink()
    assert [(row.key, row.size) for row in scanned(unit)] == [("a.jpg", None)]


def test_the_fingerprint_follows_names_sizes_and_times(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "notes.txt")
    first = only(tmp_path).fingerprint()
    assert only(tmp_path).fingerprint() == first
    touch(tmp_path, "more.txt")
    assert only(tmp_path).fingerprint() == first, "no picture"

    seen = {first}
    os.utime(tmp_path / "a.jpg", ns=(1, 1))
    seen.add(only(tmp_path).fingerprint())
    (tmp_path / "a.jpg").write_bytes(b"another picture")
    os.utime(tmp_path / "a.jpg", ns=(1, 1))
    seen.add(only(tmp_path).fingerprint())
    touch(tmp_path, "b.jpg")
    seen.add(only(tmp_path).fingerprint())
    assert len(seen) == 4


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.jpg", "locked/b.jpg")
    scandir = os.scandir

    def refused(path: object) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, os.strerror(13), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)  # chmod does not keep root out
    with pytest.raises(ManifestError, match=r"Cannot list .*locked: Permission denied\."):
        keys(only(tmp_path))


def test_what_is_no_manifest_is_refused_with_a_way_out(tmp_path: Path) -> None:
    touch(tmp_path, "table.xls", "a.jpg")
    for path, message in (
        ("gone", r"there is no file or folder .*gone \(here: "),
        ("gone/*.jpg", r"there is no file or folder .*gone"),
        ("table.xls", r"table\.xls is neither a folder nor a file that this version knows by its name: .jsonl"),
        ("*.jsonl", "no file matches"),
    ):
        with pytest.raises(ManifestError, match=message):
            opened(tmp_path / path)
    for option in ({"image": "a"}, {"key": "a"}, {"keep": ("a",)}, {"context": ("a",)}):
        with pytest.raises(ManifestError, match="is a folder of pictures, which has no columns"):
            opened(tmp_path, **option)
