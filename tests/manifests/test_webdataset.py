"""WebDataset tars: samples are rows, their texts are columns, and every row is found again."""

from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import ManifestError
from pipeline.core.types import Column, ManifestRow
from pipeline.manifests.unit import Placed
from tests.manifests.pages import keys, only, opened, scanned
from tests.manifests.tars import tar_bytes, write_tar


def test_a_sample_is_a_row_with_its_picture_and_its_texts(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "x.tar",
        ("a.jpg", b"one"),
        ("a.json", json.dumps({"licence": "CC0", "n": 7, "txt": "other"}).encode()),
        ("a.txt", "ä cat".encode()),
        ("deep/b.seg.png", b"mask"),
        ("deep/b.PNG", b"two"),
        ("deep/b.cls", b"3\n"),
    )
    unit = only(path, keep=("licence", "n", "cls"), context=("txt", "__key__"))
    rows = scanned(unit)
    assert unit.columns() == [Column("licence", "string"), Column("n", "int"), Column("cls", "int")]
    assert [(row.key, row.uri, row.data, row.size, row.path, row.url, row.problem) for row in rows] == [
        ("a", f"{path}/a.jpg", b"one", 3, None, None, None),
        ("deep/b", f"{path}/deep/b.PNG", b"two", 3, None, None, None),
    ]
    assert [dict(row.columns) for row in rows] == [
        {"txt": "ä cat", "__key__": "a", "licence": "CC0", "n": 7, "cls": None},
        {"txt": None, "__key__": "deep/b", "licence": None, "n": None, "cls": 3},
    ]


def test_the_key_may_come_from_the_json(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", ("a.jpg", b"1"), ("a.json", b'{"id": 9}'), ("b.jpg", b"2"), ("b.json", b"[1]"))
    rows = scanned(only(path, key="id"))
    assert [(row.key, row.problem and row.problem.kind) for row in rows] == [("9", None), ("x.tar:b", "bad_row")]
    assert keys(only(path, key="__key__")) == ["a", "b"]
    with pytest.raises(ManifestError, match="has no column 'uid'"):
        keys(only(path, key="uid"))


def test_several_pictures_are_asked_about(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", ("a.jpg", b"1"), ("a.png", b"2"), ("a.seg.png", b"3"))
    with pytest.raises(ManifestError, match=r"'a' has several pictures\. .* are jpg, png\. Set manifest\.image"):
        keys(only(path))
    assert scanned(only(path, image="SEG.png"))[0].data == b"3"
    with pytest.raises(ManifestError, match=r"no sample has a picture called 'gif'.* are jpg, png, seg\.png"):
        keys(only(path, image="gif"))


def test_a_dot_in_the_name_is_not_mistaken_for_the_picture(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", ("img.v2.jpg", b"1"), ("img.v2.json", b"{}"))
    with pytest.raises(ManifestError, match=r"begin at the first dot of a name, are v2\.jpg, v2\.json"):
        keys(only(path))
    assert scanned(only(path, image="v2.jpg"))[0].data == b"1"


def test_a_sample_without_a_picture_says_so(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", ("a.jpg", b"1"), ("b.txt", b"text"), ("README", b"no sample"), ("c.jpg", b""))
    rows = scanned(only(path))
    assert [(row.key, row.data, row.problem and str(row.problem)) for row in rows] == [
        ("a", b"1", None),
        ("b", None, "the sample has no picture; its fields are txt"),
        ("c", b"", None),
    ]


def test_members_that_are_apart_or_stand_twice_are_samples_of_one_key(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", ("a.jpg", b"1"), ("b.jpg", b"2"), ("a.jpg", b"3"), ("a.jpg", b"4"))
    assert [(row.key, row.data) for row in scanned(only(path))] == [("a", b"1"), ("b", b"2"), ("a", b"3"), ("a", b"4")]


def test_shards_by_range_glob_and_packing(tmp_path: Path) -> None:
    for number in range(8, 12):
        write_tar(tmp_path / f"s-{number:03}.tar", (f"{number}.jpg", b"x"))
    assert [keys(unit) for unit in opened(f"{tmp_path}/s-{{008..011}}.tar")] == [["8"], ["9"], ["10"], ["11"]]
    assert [keys(unit) for unit in opened(tmp_path / "s-*.tar")] == [["8"], ["9"], ["10"], ["11"]]
    with pytest.raises(ManifestError, match=r"s-012\.tar"):
        opened(f"{tmp_path}/s-{{008..012}}.tar")


NAMES = st.text("abÄ/.", min_size=1, max_size=8).filter(lambda name: not name.endswith("/"))


@settings(max_examples=60, deadline=None)
@given(
    entries=st.lists(
        st.tuples(
            st.builds("{}.{}".format, NAMES, st.sampled_from(["jpg", "json", "txt", "x"])), st.binary(max_size=1500)
        ),
        max_size=12,
    ),
    format=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    packing=st.sampled_from(["tar", "tar.gz", "tgz", "tar.zst"]),
    data=st.data(),
)
def test_any_part_of_any_tar_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    entries: list[tuple[str, bytes]],
    format: int,  # noqa: A002 - tarfile's word
    packing: str,
    data: st.DataObject,
) -> None:
    """Against Python's tarfile, which wrote it: every picture is there once, whole and part by part."""
    path = tmp_path_factory.mktemp("tar") / f"x.{packing}"
    entries = [*entries, ("zz.jpg", b"z")]  # a tar with no picture at all is refused
    content = tar_bytes(entries, format)
    path.write_bytes(packed(content, packing))
    unit = only(path)
    placed = [Placed(ordinal, row.key, row.ref) for ordinal, row in enumerate(unit.rows())]
    whole = list(unit.read(1, placed, []))
    pictures = [row.data for row in whole if row.problem is None]
    written = [content for name, content in entries if is_picture(name)]
    assert pictures == written
    part = data.draw(st.lists(st.sampled_from(placed), unique=True).map(sorted)) if placed else []
    cut = len(part) // 2
    later = only(path)
    again = [*later.read(1, part[:cut], []), *later.read(2, part[cut:], [])]
    assert [shown(row) for row in again] == [shown(whole[place.ordinal]) for place in part]


def shown(row: ManifestRow) -> tuple[object, ...]:
    return row.ordinal, row.key, row.uri, row.data, str(row.problem)


def is_picture(name: str) -> bool:
    base = name.rpartition("/")[2]
    return not base.startswith(".") and base.partition(".")[2] == "jpg"


def packed(content: bytes, packing: str) -> bytes:
    if packing.endswith("gz"):
        # Two members of gzip, as parallel packers write them.
        return gzip.compress(content[:700]) + gzip.compress(content[700:])
    return pa.compress(content, "zstd", asbytes=True) if packing.endswith("zst") else content
