"""Globs: what Python's own finds, less what is hidden or the output's; and a word about what may not be listed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import ManifestError
from pipeline.manifests.matching import matches
from tests.manifests.pages import opened, touch

NOWHERE = Path("/nowhere")
TREE = (
    "a/b.jpg",
    "a/ab/b.jpg",
    "a/ab/a/c.png",
    "b/a/b.jpg",
    "b.jpg",
    "ab/[x]/a.jpg",
    "c/d/e/b.jpg",
    "A.JPG",
    "ä/ö.jpg",
)
PARTS = st.sampled_from(["*", "**", "a*", "[ab]", "[!a]*", "?.jpg", "*.jpg", "a", "b.jpg", "[[]x]", "*b", "nothing"])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    touch(root, *TREE)
    return root


@given(st.lists(PARTS, min_size=1, max_size=4).filter(lambda parts: parts[-1] != "**"))
def test_the_same_files_as_by_pathlib(tree: Path, parts: list[str]) -> None:
    pattern = "/".join(parts)
    assert matches(tree, pattern, NOWHERE) == sorted(file for file in set(tree.glob(pattern)) if file.is_file())


def test_links_hidden_files_and_the_output(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.jpg", ".hidden/a.jpg", "real/.b.jpg", "out/data/a.jpg", "out/a.jpg")
    (tmp_path / "linked").symlink_to("real")
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
    (tmp_path / "real/up").symlink_to("..")

    def found(pattern: str) -> list[str]:
        return [file.relative_to(tmp_path).as_posix() for file in matches(tmp_path, pattern, tmp_path / "out")]

    assert found("*/*.jpg") == ["linked/a.jpg", "real/a.jpg"], "a link to a folder counts where a star names it"
    assert found("**/*.jpg") == ["circle.jpg", "gone.jpg", "real/a.jpg"], "and is not followed by two"
    assert found(".hidden/*") == []


@pytest.mark.parametrize("pattern", ["*/*.jpg", "**/*.jpg", "**/*.csv"])
def test_what_may_not_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    touch(tmp_path, "a/b.jpg", "locked/c.jpg", "locked/d.csv")
    scandir = os.scandir

    def refused(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, os.strerror(13), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)  # chmod does not keep root out
    with pytest.raises(ManifestError, match=r"Cannot list .*locked: Permission denied\."):
        _ = [unit.fingerprint() for unit in opened(tmp_path / pattern)]


def test_a_path_that_may_not_be_looked_at_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused(path: Path) -> bool:
        raise PermissionError(13, os.strerror(13), str(path))

    for name in ("exists", "is_dir"):
        monkeypatch.setattr(Path, name, refused)
    with pytest.raises(ManifestError, match=r"manifest\.path: cannot look at .*locked: Permission denied\."):
        opened(tmp_path / "locked")
