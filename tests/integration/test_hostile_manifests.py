"""Hostile manifests with the real command: one line before any call, or left out, and the others go on."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.command import Job
from tests.manifests.tables import parquet
from tests.manifests.tars import header, padded, tar_bytes
from tests.manifests.test_bombs import zeros
from tests.support.fake_server import FakeServer
from tests.support.pictures import picture


def good(path: Path) -> None:
    if path.suffix == ".parquet":
        parquet(path, {"jpg": [picture(0)], "id": ["0"]})
    elif path.name.endswith(".tar.gz"):
        path.write_bytes(gzip.compress(tar_bytes([("0.jpg", picture(0))])))
    else:
        (path.parent / "0.jpg").write_bytes(picture(0))
        path.write_bytes(gzip.compress(b"url\n0.jpg\n"))


def page_bomb(path: Path) -> None:
    parquet(path, {"jpg": [bytes(2**28)], "id": ["x"]}, compression="zstd", use_dictionary=False)


def many_columns(path: Path) -> None:
    parquet(path, {f"c{number}": [number] for number in range(2000)})


def eight_gigabytes(path: Path) -> None:
    path.write_bytes(gzip.compress(header(b"x.jpg", 0, number=b"%011o\0" % (2**33 - 1)) + padded(b"short")))


def garbage_behind(path: Path) -> None:
    path.write_bytes(gzip.compress(tar_bytes([("x.jpg", b"x")])) + b"garbage")


def endless_header(path: Path) -> None:
    path.write_bytes(zeros(40))


CASES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "page bomb": (".parquet", page_bomb, "claims to unpack from"),
    "8 GiB claimed": (".tar.gz", eight_gigabytes, "it is cut off"),
    "garbage behind": (".tar.gz", garbage_behind, "Cannot unpack"),
    "endless header": (".csv.gz", endless_header, "is longer than 16,777,216 bytes"),
}


@pytest.mark.parametrize("policy", ["error", "skip"])
@pytest.mark.parametrize("name", CASES)
def test_one_line_or_left_out(tmp_path: Path, fake_server: FakeServer, name: str, policy: str) -> None:
    ending, damage, words = CASES[name]
    folder = tmp_path / "set"
    folder.mkdir()
    good(folder / f"a{ending}")
    damage(folder / f"b{ending}")
    job = Job(tmp_path, folder / f"*{ending}", fake_server.base_url, manifest_={"on_bad_file": policy})
    if ending == ".parquet":
        job.manifest_["key"] = "id"
    ended = job.run()
    assert "Traceback" not in ended.stderr
    if policy == "error":
        assert (ended.code, len(ended.errors), fake_server.total) == (1, 1, 0)
        assert words in ended.errors[0]
        return
    assert (ended.code, len(job.rows()), fake_server.total) == (0, 1, 1), ended.stderr
    assert words in ended.event("manifest.file_skipped")["because"]


def test_a_question_about_very_many_columns_is_short(tmp_path: Path, fake_server: FakeServer) -> None:
    many_columns(tmp_path / "x.parquet")
    ended = Job(tmp_path, tmp_path / "x.parquet", fake_server.base_url).run()
    assert (ended.code, len(ended.errors), fake_server.total) == (1, 1, 0)
    assert "and 1970 more" in ended.errors[0]
