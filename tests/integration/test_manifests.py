"""Manifests that are one file with the real command: a tar and a packed table, killed half way and run again."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.integration.command import Job, until
from tests.manifests.tars import write_tar
from tests.support import scripts
from tests.support.fake_server import FakeServer
from tests.support.pictures import write_pictures

ROWS, WIDTH = 60, 4


def manifest(folder: Path, kind: str) -> Path:
    write_pictures(folder / "pictures", ROWS)
    pictures = sorted((folder / "pictures").iterdir())
    if kind == ".csv.gz":
        path = folder / "x.csv.gz"
        lines = "".join(f"pictures/{picture.name},{picture.stem},{number}\n" for number, picture in enumerate(pictures))
        path.write_bytes(gzip.compress(f"file_name,id,n\n{lines}".encode()))
        return path
    members = [
        entry
        for number, picture in enumerate(pictures)
        for entry in ((picture.name, picture.read_bytes()), (f"{picture.stem}.json", b'{"n":%d}' % number))
    ]
    path = write_tar(folder / "x.tar", *members)
    if kind == ".tar.gz":
        (folder / "x.tar.gz").write_bytes(gzip.compress(path.read_bytes()))
    return folder / f"x{kind}"


@pytest.mark.parametrize("kind", [".tar", ".tar.gz", ".csv.gz"])
def test_a_run_killed_in_the_middle_of_a_file_goes_on_there(tmp_path: Path, fake_server: FakeServer, kind: str) -> None:
    columns = {"keep": ["n"], **({"key": "id"} if kind == ".csv.gz" else {})}
    job = Job(
        tmp_path, manifest(tmp_path, kind), fake_server.base_url, manifest_=columns, limits={"concurrency": WIDTH}
    )
    fake_server.script = scripts.delayed(scripts.caption(), 0.02)
    with job.start() as running:
        until(lambda: fake_server.answered >= 20, "answers")
        running.kill()
    fake_server.script = scripts.caption()
    ended = job.run()
    assert ended.code == 0, ended.stderr
    rows = job.rows()
    stems = sorted(path.stem for path in (tmp_path / "pictures").iterdir())
    assert [(row["key"], row["n"]) for row in rows] == list(zip(stems, range(ROWS), strict=True))
    asked = [request.image_sha256 for request in fake_server.requests]
    assert {row["image_sha256"] for row in rows} == set(asked)
    assert len(asked) <= ROWS + WIDTH
    assert job.command("verify").code == 0


def test_duplicates_are_refused_or_numbered_and_told(tmp_path: Path, fake_server: FakeServer) -> None:
    write_pictures(tmp_path / "pictures", 2)
    first, second = sorted((tmp_path / "pictures").iterdir())
    members = (("a.jpg", first), ("b.jpg", second), ("a.jpg", second))
    path = write_tar(tmp_path / "x.tar", *((name, picture.read_bytes()) for name, picture in members))
    job = Job(tmp_path, path, fake_server.base_url)
    ended = job.run()
    assert ended.code == 1
    assert "'a' again in row 3" in ended.stderr
    job.manifest_ = {"on_duplicate_key": "number"}
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert [row["key"] for row in job.rows()] == ["a", "a#2", "b"]
    assert ended.event("manifest.duplicate_keys")["rows"] == 1
    assert job.command("verify").code == 0
    assert job.run().stdout.splitlines()[-1].startswith("Nothing to do")
