"""Tars made to hurt: every one is a row, a failure of its row, or one clear line; nothing is written to the disk."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from pipeline.core.errors import ManifestError
from pipeline.manifests.unit import Placed
from tests.manifests.pages import only, scanned
from tests.manifests.tars import header, padded, tar_bytes, write_tar

GOOD = tar_bytes([("a.jpg", b"1" * 600), ("b.jpg", b"2" * 600)])
ROOT = Path(__file__).parents[2]


def test_names_are_only_names(tmp_path: Path) -> None:
    names = ("../../up.jpg", "/etc/abs.jpg", "./here.jpg", b"\xff\xfe.jpg", "a\nb.jpg", "x" * 300 + ".jpg")
    path = write_tar(tmp_path / "x.tar", *((name, b"1") for name in names), format=tarfile.GNU_FORMAT)
    rows = scanned(only(path))
    assert [row.key for row in rows] == ["../../up", "/etc/abs", "./here", "\\xff\\xfe", "a\nb", "x" * 300]
    assert all(row.data == b"1" for row in rows)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.tar"]


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (b"S", "a sparse file"),
        (b"Z", "of an unknown kind"),
    ],
)
def test_what_is_no_file_is_the_failure_of_its_row(tmp_path: Path, kind: bytes, what: str) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(header(b"a.jpg", 0, kind) + header(b"b.jpg", 3) + padded(b"abc") + bytes(1024))
    first, second = scanned(only(path))
    assert first.problem is not None
    assert (first.problem.kind, first.problem.message) == ("no_image", f"'a.jpg' is {what} in the tar, no file")
    assert second.data == b"abc"


def test_a_link_with_the_size_of_its_target_has_no_content(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(header(b"a.jpg", 600, tarfile.LNKTYPE) + header(b"b.jpg", 3) + padded(b"abc"))
    assert [(row.key, row.data) for row in scanned(only(path))] == [("a", None), ("b", b"abc")]


def test_what_is_done_is_not_read_again(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", *((f"{name}.jpg", name.encode()) for name in "abcd"))
    placed = [Placed(ordinal, row.key, row.ref) for ordinal, row in enumerate(only(path).rows())]
    content = bytearray(path.read_bytes())
    content[2048:2560] = b"?" * 512  # the header of c: nobody who enters the tar behind it has to care
    path.write_bytes(content)
    assert [row.data for row in only(path).read(1, [placed[0], placed[3]], [])] == [b"a", b"d"]


def test_what_webdataset_takes_for_metadata_is_no_sample(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", ("__meta__/a.jpg", b"1"), ("__b__", b"2"), ("__c.jpg", b"3"))
    assert [row.key for row in scanned(only(path))] == ["__c"]


def test_folders_and_labels_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(header(b"d.jpg/", 0, b"5") + header(b"v.jpg", 0, b"V") + header(b"b.jpg", 3) + padded(b"abc"))
    assert [row.key for row in scanned(only(path))] == ["b"]


def test_a_pax_sparse_file_is_no_picture(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.jpg")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "8589934592"}
    [row] = scanned(only(write_tar(tmp_path / "x.tar", info)))
    assert "sparse" in str(row.problem)


def test_too_large_a_picture_is_the_failure_of_its_row(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with path.open("wb") as file:
        file.write(header(b"a.jpg", 2**28 + 1))
        file.seek(512 + 2**28 + 512)
        file.write(header(b"b.jpg", 1) + padded(b"b"))
    first, second = scanned(only(path))
    assert first.problem is not None
    assert first.problem.kind == "too_large"
    assert (second.key, second.data) == ("b", b"b")


PAX = b"30 path=b.jpg\n"
BROKEN = {
    "8 GiB claimed": (header(b"a.jpg", 0, number=b"%011o\0" % (2**33 - 1)), "claims 8,589,934,591 bytes"),
    "more, in base 256": (header(b"a.jpg", 0, number=b"\x80" + (2**50).to_bytes(11, "big")), "claims"),
    "negative": (header(b"a.jpg", 0, number=b"\xff" * 12), "an impossible size"),
    "no number": (header(b"a.jpg", 0, number=b"hello world\0"), "no tar header"),
    "a damaged sum": (b"A" + GOOD[1:], "checksum is wrong"),
    "a later damaged sum": (GOOD[:1536] + b"Z" + GOOD[1537:], "at byte 1,536 stands no tar header"),
    "cut in a picture": (GOOD[:700], "is cut off or damaged"),
    "cut in a header": (GOOD[:1700], "it is cut off"),
    "empty": (b"", "is empty"),
    "no tar": (b"GIF89a" * 200, "no tar header"),
    "a huge pax header": (header(b"p", 2**34, b"x", b"\x80" + (2**34).to_bytes(11, "big")), "at most 1,048,576"),
    "a huge long name": (header(b"p", 2**30, b"L"), "at most 1,048,576"),
    "a damaged pax header": (header(b"p", len(PAX), b"x") + padded(PAX) + GOOD, "a damaged pax header"),
    "a name and no file": (header(b"p", 5, b"L") + padded(b"a.jpg"), "a name without a file"),
    "garbage at the end": (GOOD + b"garbage!" * 64, "no tar header"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("packed", [False, True])
def test_a_broken_tar_is_one_clear_line(tmp_path: Path, name: str, packed: bool) -> None:
    content, message = BROKEN[name]
    path = tmp_path / ("x.tar.gz" if packed else "x.tar")
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(ManifestError) as raised:
        scanned(only(path))
    told = str(raised.value)
    assert str(path) in told
    assert "\n" not in told
    assert message in told or (packed and "cut off" in told), told


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_broken_packing_is_one_clear_line(tmp_path: Path, damage: str) -> None:
    content = bytearray(gzip.compress(GOOD))
    path = tmp_path / "x.tar.gz"
    if damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    path.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    with pytest.raises(ManifestError, match=r"Cannot unpack .*x\.tar\.gz: [^\n]+$"):
        scanned(only(path))


def test_appended_tars_are_read_on(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(GOOD + tar_bytes([("c.jpg", b"3")]))
    assert [row.key for row in scanned(only(path))] == ["a", "b", "c"]


def test_one_key_for_everything_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", *((f"v.{number}.jpg", b"") for number in range(1001)))
    with pytest.raises(ManifestError, match=r"more than 1,000 members belong to one key, 'v'"):
        scanned(only(path))


MEMORY = """
import json, sys, time
from tests.manifests.pages import only
from tests.manifests.rewritten import peak_mb
before, started = peak_mb(), time.process_time()
unit = only(sys.argv[1])
rows = sum(1 for _ in unit.rows())
print(json.dumps({"rows": rows, "mb": peak_mb() - before, "seconds": time.process_time() - started}))
"""


def test_a_million_empty_members_take_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with path.open("wb") as file:
        for first in range(0, 200_000, 10_000):
            file.write(b"".join(header(b"%d.jpg" % number, 0) for number in range(first, first + 10_000)))
    found = measured(MEMORY, str(path))
    assert found["rows"] == 200_000
    assert found["mb"] < 40


def measured(code: str, *arguments: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    found: dict[str, float] = json.loads(done.stdout)
    return found
