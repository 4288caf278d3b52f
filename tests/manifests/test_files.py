"""Which files a manifest path means, here and in an object store, and what they are called in keys."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest

from pipeline.core.errors import ManifestError
from pipeline.manifests.open import open_manifest
from tests.manifests.pages import keys, listing, only, opened, scanned, touch
from tests.manifests.tables import parquet
from tests.manifests.tars import tar_bytes
from tests.support.moto_store import MotoStore


def all_keys(*paths: str) -> list[str]:
    return [key for unit in open_manifest(paths, avoid=Path("/nowhere")) for key in keys(unit)]


def test_several_paths_of_several_kinds_are_one_manifest(tmp_path: Path) -> None:
    touch(tmp_path, "pictures/a.jpg")
    listing(tmp_path / "l.jsonl", {"image": "b.jpg"}, b"broken")
    parquet(tmp_path / "p.parquet", {"jpg": [b"c"]})
    paths = [f"{tmp_path}/{name}" for name in ("pictures", "l.jsonl", "p.parquet")]
    assert all_keys(*paths) == ["a.jpg", "b.jpg", f"{tmp_path}/l.jsonl:2", f"{tmp_path}/p.parquet:1"]
    assert all_keys(*paths, f"{tmp_path}/*.jsonl", paths[0]) == all_keys(*paths), "what is named twice counts once"


def test_folders_of_a_range_keep_their_pictures_apart(tmp_path: Path) -> None:
    touch(tmp_path, "set/train/a.jpg", "set/test/a.jpg", "set/other/a.jpg")
    for path in ("set/{train,test}", "set/{train,test}/*.jpg"):
        assert all_keys(f"{tmp_path}/{path}") == ["train/a.jpg", "test/a.jpg"]
    [row] = scanned(opened(tmp_path / "set/{train,test}")[1])
    assert row.path == f"{tmp_path}/set/test/a.jpg"


def test_a_folder_that_is_really_called_so_is_meant(tmp_path: Path) -> None:
    touch(tmp_path, "{1..2}/a.jpg", "[x]*/b.jpg")
    assert all_keys(f"{tmp_path}/{{1..2}}", f"{tmp_path}/[x]*") == ["a.jpg", "b.jpg"]


def test_all_files_of_a_kind_below_a_folder(tmp_path: Path) -> None:
    listing(tmp_path / "d/one.jsonl", {"image": "a.jpg"})
    (tmp_path / "d/deep").mkdir()
    (tmp_path / "d/deep/two.csv.gz").write_bytes(gzip.compress(b"image\nb.jpg\n"))
    touch(tmp_path, "d/a.jpg", "d/.hidden.jsonl")
    assert [key for unit in opened(tmp_path / "d", kind="listing") for key in keys(unit)] == ["b.jpg", "a.jpg"]


def test_a_web_address_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(
        ManifestError, match=r"https://host/set\.parquet: a manifest is read from this machine"
    ) as caught:
        open_manifest(["https://host/set.parquet?X-Amz-Signature=secret"], avoid=tmp_path)
    assert "secret" not in str(caught.value)


# In an object store


def test_manifests_of_every_kind_are_read_from_a_bucket(bucket: MotoStore, tmp_path: Path) -> None:
    bucket.put(
        "set/list.jsonl.gz", gzip.compress(orjson.dumps({"image": "deep/a.jpg"}) + b'\n{"image": "/etc/passwd"}')
    )
    bucket.put("set/p-0.parquet", parquet(tmp_path / "p.parquet", {"url": ["b.jpg", "https://h/c.jpg"]}).read_bytes())
    bucket.put("set/p-1.parquet", parquet(tmp_path / "p.parquet", {"jpg": [b"picture"]}).read_bytes())
    bucket.put("set/t-0.tar", tar_bytes([("k1.jpg", b"one"), ("k2.jpg", b"two")]))
    [lines, plain, held, tar] = [
        unit for name in ("list.jsonl.gz", "p-{0..1}.parquet", "t-*.tar") for unit in opened(bucket.url(f"set/{name}"))
    ]
    first, second = scanned(lines)
    assert (first.key, first.url, first.path) == ("deep/a.jpg", bucket.url("set/deep/a.jpg"), None)
    assert second.problem is not None
    assert second.problem.message == "a manifest in an object store names no files of this machine"
    assert [row.url for row in scanned(plain)] == [bucket.url("set/b.jpg"), "https://h/c.jpg"]
    assert [(row.key, row.data) for row in scanned(held)] == [("p-1.parquet:1", b"picture")]
    assert [(row.key, row.data) for row in scanned(tar)] == [("k1", b"one"), ("k2", b"two")]
    assert [row.key for row in scanned(only(bucket.url("set"), kind="webdataset"))] == ["k1", "k2"]


def test_prefixes_of_a_range_keep_their_pictures_apart(bucket: MotoStore) -> None:
    for key in ("set/train/a.jpg", "set/test/a.jpg"):
        bucket.put(key)
    units = opened(bucket.url("set/{train,test}/"))
    assert [key for unit in units for key in keys(unit)] == ["train/a.jpg", "test/a.jpg"]
    assert [row.url for unit in units for row in scanned(unit)] == [
        bucket.url("set/train/a.jpg"),
        bucket.url("set/test/a.jpg"),
    ]


def test_a_changed_object_is_noticed_while_it_is_read(bucket: MotoStore) -> None:
    bucket.put("l.jsonl", b'{"image": "a.jpg"}\n')
    unit = only(bucket.url("l.jsonl"))
    before = unit.fingerprint()
    bucket.put("l.jsonl", b'{"image": "b.jpg"}\n')
    assert unit.fingerprint() != before
