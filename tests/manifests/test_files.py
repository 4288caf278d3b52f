"""Which files a manifest path means, here and in an object store, and what they are called in keys."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import orjson
import pytest

from pipeline.core.errors import ManifestError
from pipeline.manifests.open import open_manifest
from tests.manifests.job import Job, captions
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


# What strangers leave lying about


def test_a_pipe_among_listings_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(ManifestError, match=r"no file matches .*a\.csv"):
        opened(tmp_path / "a.csv")
    [unit] = opened(tmp_path / "*.csv")
    for look in (unit.fingerprint, lambda: keys(unit)):
        with pytest.raises(ManifestError, match=r"a\.csv: it is no regular file"):
            look()


def test_links_in_circles_names_that_are_no_text_and_endless_ranges(tmp_path: Path) -> None:
    touch(tmp_path, "p/a.jpg")
    (tmp_path / "p/loop.jpg").symlink_to("loop.jpg")
    assert all_keys(f"{tmp_path}/p/*.jpg") == ["a.jpg", "loop.jpg"]
    names = [f"{number:020}" for number in range(30)]
    for name in names:
        listing(tmp_path / f"{name}.jsonl", {"image": f"{name}.jpg"})
    assert all_keys(f"{tmp_path}/{{{','.join(names)}}}.jsonl") == [f"{name}.jpg" for name in names]
    (tmp_path / "odd").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd/\xff.csv")).write_text("image\na.jpg\n")
    with pytest.raises(ManifestError, match=r"the name of .*\\xff\.csv is not UTF-8; rename it"):
        opened(tmp_path / "odd/*.csv")


def test_packed_files_do_not_stay_open_behind_their_reading(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.jsonl.gz").write_bytes(gzip.compress(b'{"image":"%d.jpg"}\n' % number))
        tar = gzip.compress(tar_bytes([(f"{number}.jpg", b"x")]))
        (tmp_path / f"{number}.tar.gz").write_bytes(tar)
    before = len(list(Path("/proc/self/fd").iterdir()))
    units = [*opened(tmp_path / "*.jsonl.gz"), *opened(tmp_path / "*.tar.gz")]
    assert sum(len(scanned(unit)) for unit in units) == 80
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2, "one waits for its next shard"


# What names depend on


def test_other_names_are_planned_anew(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", {"jpg": [b"1", b"2"], "id": ["x", "y"]})
    parquet(tmp_path / "b.parquet", {"jpg": [b"3"], "id": ["z"]})
    a, b = str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")
    job = Job(tmp_path / "out")
    assert job.run(opened(a)).new_rows == 2
    assert job.todo() == captions("a.parquet:1", "a.parquet:2")
    assert job.run(open_manifest([a, b], avoid=tmp_path / "out")).new_rows == 3
    assert job.todo() == captions(f"{a}:1", f"{a}:2", f"{b}:1")
    assert job.run(opened(a, key="id")).new_rows == 2
    assert job.todo() == captions("x", "y")
    assert job.run(opened(a, key="id")).new_rows == 0


def test_rows_that_were_left_out_come_back_under_numbers(tmp_path: Path) -> None:
    path = listing(tmp_path / "l.jsonl", {"image": "a.jpg"}, {"image": "a.jpg"})
    job = Job(tmp_path / "out")
    job.on_duplicate_key = "first"
    job.run([only(path)])
    assert job.todo() == captions("a.jpg")
    job.on_duplicate_key = "number"
    job.run([only(path)])
    assert job.todo() == captions("a.jpg", "a.jpg#2")


def test_fields_that_differ_from_row_to_row_are_not_all_remembered(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    path.write_bytes(
        b"".join(b'{"image":"%d.jpg","f%d":1}\n' % (n, n) for n in range(12_000)) + b'{"image":"z","k":1}\n'
    )
    assert scanned(only(path, keep=("k",)), [12_000])[0].columns == {"k": 1}
