"""Parquet files on the disk: which are meant, broken ones, many row groups, and the memory that they take."""

from __future__ import annotations

import errno
import gc
import io
import struct
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.core.errors import ManifestError
from pipeline.core.types import Column
from pipeline.manifests import remarks
from pipeline.manifests.directory import Directory
from pipeline.manifests.parquet import ParquetFile
from pipeline.manifests.parquet_source import open_source
from pipeline.manifests.remarks import remarks_on
from pipeline.manifests.skipping import Skipping
from pipeline.manifests.unit import Placed, Unit
from tests.manifests.job import Job, captions
from tests.manifests.pages import keys, listing, only, opened, scanned, touch
from tests.manifests.tables import images, parquet


def names(path: Path | str, **options: Any) -> list[str]:
    return [Path(unit.name).name for unit in opened(path, **options)]


def test_brace_ranges_are_expanded(tmp_path: Path) -> None:
    for number in range(12):
        parquet(tmp_path / f"d/part-{number:05}.parquet", {"url": [str(number)]})
    units = opened(tmp_path / "d/part-{00000..00011}.parquet", key="url")
    assert [key for unit in units for key in keys(unit)] == [str(number) for number in range(12)]
    assert names(tmp_path / "d/part-0000{8..9}.parquet") == ["part-00008.parquet", "part-00009.parquet"]
    with pytest.raises(ManifestError, match=r"there is no file or folder .*part-00012\.parquet"):
        opened(tmp_path / "d/part-{00010..00012}.parquet")
    with pytest.raises(ManifestError, match=r"stands for 10,000,000 names; at most 1,000,000 are read"):
        opened(tmp_path / "d/part-{0..9999999}.parquet")


def test_labels_tell_files_of_one_name_apart(tmp_path: Path) -> None:
    for folder in ("d/a0", "d/a1"):
        parquet(tmp_path / folder / "t.parquet", {"jpg": [b"J"]})
    both = ["a0/t.parquet:1", "a1/t.parquet:1"]
    for path in (tmp_path / "d/*/t.parquet", tmp_path / "d/a{0..1}/t.parquet", tmp_path / "d/a{0..1}/*.parquet"):
        assert [key for unit in opened(path) for key in keys(unit)] == both
    assert [key for unit in opened(tmp_path / "d", kind="parquet") for key in keys(unit)] == both


def test_a_folder_of_parquet_files_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    parquet(tmp_path / "set/data/train-00000-of-00001.parquet", {"jpg": [b"J"]})
    parquet(tmp_path / "set/.cache/x.parquet", {"jpg": [b"J"]})
    touch(tmp_path, "set/README.md")
    with pytest.raises(ManifestError, match=r"but files of the kind parquet\. Set manifest\.kind = 'parquet' to"):
        opened(tmp_path / "set")
    assert names(tmp_path / "set", kind="parquet") == ["train-00000-of-00001.parquet"]
    touch(tmp_path, "set/a.jpg")
    assert keys(only(tmp_path / "set")) == ["a.jpg"]


def test_the_kind_is_what_a_person_says(tmp_path: Path) -> None:
    parquet(tmp_path / "one.bin", {"url": ["a"]})
    with pytest.raises(ManifestError, match=r"neither a folder nor a file .* \.parquet, .* set manifest\.kind"):
        opened(tmp_path / "one.bin")
    assert keys(only(tmp_path / "one.bin", kind="parquet")) == ["a"]
    assert keys(only(listing(tmp_path / "list.dat", {"image": "b"}), kind="listing")) == ["b"]
    assert isinstance(only(tmp_path, kind="directory"), Directory)
    with pytest.raises(ManifestError, match=r"no file matches"):
        opened(tmp_path / "*.parquet")


# Broken files


def whole(path: Path) -> bytes:
    return parquet(path, {"url": [f"{number}.jpg" for number in range(1000)]}, compression="none").read_bytes()


def cut(path: Path) -> None:
    path.write_bytes(whole(path)[:-20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    path.write_bytes(b"<!DOCTYPE html><html></html>")


def encrypted(path: Path) -> None:
    path.write_bytes(whole(path)[:-4] + b"PARE")


def footer(path: Path) -> None:
    content = whole(path)
    path.write_bytes(content[:-8] + struct.pack("<I", 2**31) + b"PAR1")


def scrambled_footer(path: Path) -> None:
    content = whole(path)
    size = struct.unpack("<I", content[-8:-4])[0]
    path.write_bytes(content[: -8 - size] + b"\xee" * size + content[-8:])


def missing_middle(path: Path) -> None:
    content = whole(path)
    size = struct.unpack("<I", content[-8:-4])[0]
    path.write_bytes(b"PAR1" + content[-8 - size :])


def page(path: Path) -> None:
    content = bytearray(whole(path))
    content[4:40] = b"\xff" * 36
    path.write_bytes(bytes(content))


BROKEN = {
    "cut": (cut, "is cut off. Write it again"),
    "empty": (empty, "is no Parquet file: it has 0 bytes"),
    "foreign": (foreign, "is no Parquet file"),
    "encrypted": (encrypted, "is encrypted; this version has no keys"),
    "footer": (footer, "is broken in its footer"),
    "scrambled footer": (scrambled_footer, "is broken in its footer"),
    "missing middle": (missing_middle, "its footer places"),
    "page": (page, "is broken in row group 0 from its row 0 on"),
}


@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_file_is_one_line_or_left_out(tmp_path: Path, damage: str) -> None:
    parquet(tmp_path / "a.parquet", {"url": ["first"], "n": [1]})
    parquet(tmp_path / "z.parquet", {"url": ["last"]})
    make, message = BROKEN[damage]
    make(tmp_path / "m.parquet")
    units = opened(tmp_path / "*.parquet", keep=("n",))
    with pytest.raises(ManifestError) as caught:
        keys(units[1])
    assert message in str(caught.value)
    assert "m.parquet" in str(caught.value)
    assert "\n" not in str(caught.value)

    units = opened(tmp_path / "*.parquet", keep=("n",), on_bad_file="skip")
    for _ in range(2):  # planning reads twice
        assert [key for unit in units for key in keys(unit)] == ["first", "last"]
    assert [bool(unit.because) for unit in units if isinstance(unit, Skipping)] == [False, True, False]
    assert units[1].columns() == []


def test_what_cannot_be_read_now_is_never_left_out(tmp_path: Path) -> None:
    unit = only(parquet(tmp_path / "a.parquet", {"url": ["a"]}), on_bad_file="skip")
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(ManifestError, match=r"Cannot read .*a\.parquet: No such file"):
        keys(unit)


class FailingDisk(io.BytesIO):
    """Gives the footer, and an error for anything near the beginning."""

    def read(self, size: int | None = -1) -> bytes:
        if 4 <= self.tell() < 100:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(size)


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_a_disk_that_fails_does_not_make_a_file_a_broken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    path = parquet(tmp_path / "a.parquet", {"url": [f"{number}.jpg" for number in range(99)]})
    content = path.read_bytes()
    monkeypatch.setattr("pipeline.manifests.parquet_source.opened", lambda name: FailingDisk(content))
    unit = only(path, on_bad_file=policy)
    with pytest.raises(ManifestError, match=r"^Cannot read .*a\.parquet: Input/output error\.$"):
        keys(unit)
    assert not isinstance(unit, Skipping) or not unit.because


def test_the_weight_of_a_row_group_is_known(tmp_path: Path) -> None:
    options: dict[str, Any] = {"row_group_size": 2, "use_dictionary": False, "compression": "none"}
    unit = only(parquet(tmp_path / "a.parquet", {"jpg": [b"J" * 1000, b"K" * 1000, b"L" * 5000]}, **options))
    assert isinstance(unit, ParquetFile)
    keys(unit)
    assert 5000 <= unit.heaviest_group < 5200


def test_a_heavy_row_group_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("a", 10), ("b", 2_000_000), ("c", 3_000_000)):
        parquet(tmp_path / f"{name}.parquet", {"jpg": [b"J" * size]}, use_dictionary=False, compression="none")
    units = opened(tmp_path / "*.parquet", on_bad_file="skip")
    for unit in units:
        keys(unit)
    assert list(remarks_on(units)) == [], "512 MiB are the limit"
    monkeypatch.setattr(remarks, "HEAVY_GROUP", 1_000_000)
    (remark,) = remarks_on(units)
    assert (remark.event, remark.warns) == ("manifest.heavy_row_groups", True)
    assert (remark.facts["files"], Path(remark.facts["heaviest"]).name) == (2, "c.parquet")


def test_kept_columns_of_files_that_are_left_out_stay_columns(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", {"url": ["first"]})
    path = parquet(tmp_path / "b.parquet", {"url": ["x" * 99], "n": [1]}, compression="none")
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36
    path.write_bytes(content)
    job = Job(tmp_path / "out")
    job.keep = ("n",)
    plan = job.run(opened(tmp_path / "*.parquet", keep=("n",), on_bad_file="skip"))
    assert plan.kept == [Column("n", "string")], "else the next run would find another setting than the output's"


def test_a_page_that_breaks_after_planning_costs_its_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pictures = [bytes([65 + number]) * 5000 for number in range(9)]
    options: dict[str, Any] = {"row_group_size": 3, "use_dictionary": False, "compression": "none"}
    parquet(path, {"id": list(range(9)), "jpg": pictures}, write_page_checksum=True, **options)
    unit = only(path, key="id")
    placed = [Placed(number, row.key, row.ref) for number, row in enumerate(unit.rows())]
    content = path.read_bytes()
    path.write_bytes(content.replace(b"E" * 5000, b"E" * 4999 + b"!"))
    assert len(keys(unit)) == 9, "pictures are not read when planning"
    read = list(unit.read(1, placed, []))
    assert [row.data for row in read] == [*pictures[:3], None, None, None, *pictures[6:]]
    assert [row.problem and row.problem.kind for row in read[3:6]] == ["bad_row"] * 3
    assert "row group 1 from its row 0 on" in str(read[3].problem)


# Size


def test_only_what_is_asked_for_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "t.parquet", {"jpg": [b"J" * 100] * 100, "id": list(range(100))}, row_group_size=10)
    unit = only(path, key="id")
    placed = [Placed(number, row.key, row.ref) for number, row in enumerate(unit.rows())]
    asked: list[list[int]] = []
    iter_batches = pq.ParquetFile.iter_batches

    def noted(self: Any, *arguments: Any, **options: Any) -> Any:
        asked.append(options["row_groups"])
        return iter_batches(self, *arguments, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noted)
    assert [row.ordinal for row in unit.read(1, [placed[number] for number in (47, 48, 93)], [])] == [47, 48, 93]
    assert asked == [[4], [9]]


def test_batches_hold_few_bytes_whatever_the_pictures_weigh(tmp_path: Path) -> None:
    for pictures in ([bytes([number]) * 2**20 for number in range(40)], [b"J" * 2**19] * 400):
        path = parquet(tmp_path / "t.parquet", {"jpg": pictures})
        with open_source(str(path)) as source:
            sizes = [batch.nbytes for batch in source.batches(0, ("jpg",), ("jpg",))]
        assert max(sizes) <= 10 * 2**20


def test_thousands_of_row_groups(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", {"url": [str(number) for number in range(6000)]}, row_group_size=2)
    unit = only(path)
    placed = [Placed(number, row.key, row.ref) for number, row in enumerate(unit.rows())]
    assert [row.key for row in unit.read(1, placed, [])] == [str(number) for number in range(6000)]


def test_files_that_call_their_pictures_alike(tmp_path: Path) -> None:
    def shard(number: int, of: int, *names: str) -> None:
        column = images(*((f"{number}{name}".encode(), name) for name in names))
        parquet(tmp_path / f"set/train-{number:05}-of-{of:05}.parquet", {"image": column})

    def units() -> list[Unit]:
        return opened(tmp_path / "set/*.parquet")

    shard(0, 2, "0.jpg", "1.jpg")
    shard(1, 2, "0.jpg")
    job = Job(tmp_path / "out")
    said = (
        r"'0\.jpg' again in row 1 of .*train-00001-of-00002\.parquet\. Set manifest\.key .*on_duplicate_key to 'number'"
    )
    with pytest.raises(ManifestError, match=said):
        job.run(units())
    job.on_duplicate_key = "number"
    assert job.run(units()).new_rows == 3
    assert sorted(job.todo()) == captions("0.jpg", "0.jpg#2", "1.jpg")
    job.settle(*job.todo())

    # Hugging Face counts the files in their names: one more, and all have new ones.
    for path in (tmp_path / "set").iterdir():
        path.rename(path.with_name(path.name.replace("of-00002", "of-00003")))
    shard(2, 3, "0.jpg")
    assert job.run(units()).new_rows == 1
    assert job.todo() == captions("0.jpg#3")


def test_footers_do_not_outlive_their_reading(tmp_path: Path) -> None:
    """A file is opened once a shard: footers that wait for Python to find their circles grow with the manifest."""
    path = parquet(tmp_path / "t.parquet", {"url": [str(number) for number in range(6)]}, row_group_size=2)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            assert len(scanned(only(path))) == 6
        assert [found for found in gc.get_objects() if isinstance(found, pq.ParquetSchema)] == []
    finally:
        gc.enable()
