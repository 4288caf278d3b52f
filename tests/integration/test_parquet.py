"""Parquet manifests with the real command: pictures in the file or beside it, kills in the middle, broken files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.command import ROOT, Job, until
from tests.manifests.pages import keys, only, scanned
from tests.manifests.tables import images, parquet
from tests.support import scripts
from tests.support.fake_server import FakeServer
from tests.support.pictures import picture, write_pictures


def job_over(path: Path, server: FakeServer, **tables: dict[str, object]) -> Job:
    folder = path.parents[1]
    return Job(folder, path, server.base_url, **tables)  # type: ignore[arg-type]  # its tables are dictionaries


def test_a_kill_in_the_middle_of_a_shard_buys_nothing_twice(tmp_path: Path, fake_server: FakeServer) -> None:
    rows = [(picture(number), f"{number:03}.jpg") for number in range(120)]
    titles = [f"Title {number}" for number in range(120)]
    tags = pa.array([["a", str(number)] for number in range(120)])
    columns = {"image": images(*rows), "title": titles, "tags": tags}
    path = parquet(tmp_path / "set/train.parquet", columns, hf={"image": {"_type": "Image"}}, row_group_size=7)
    job = job_over(path, fake_server, manifest_={"keep": ["title", "tags"]}, limits={"concurrency": 4})
    job.tasks = [{"kind": "caption", "context": ["title"]}]
    fake_server.script = scripts.delayed(scripts.caption(), 0.03)
    with job.start() as running:
        until(lambda: fake_server.total >= 40, "forty requests")
        running.kill()
    fake_server.script = scripts.caption()
    ended = job.run()
    assert ended.code == 0, ended.stderr
    found = job.rows()
    assert [(row["key"], row["title"], row["tags"]) for row in found] == [
        (f"{number:03}.jpg", titles[number], ["a", str(number)]) for number in range(120)
    ]
    asked = Counter(request.image_sha256 for request in fake_server.requests)
    assert len(asked) == 120
    assert sum(asked.values()) <= 124, "only what was on the wire is asked again"
    assert job.command("verify").code == 0
    assert "no call was made" in job.run().stdout


def test_pictures_in_a_file_and_beside_it_are_the_same_questions(tmp_path: Path, fake_server: FakeServer) -> None:
    files = write_pictures(tmp_path / "set/pictures", 5)
    names = [file.name for file in files]
    forms = {
        "paths": pa.array([f"pictures/{name}" for name in names]),
        "bytes": pa.array([file.read_bytes() for file in files]),
        "struct": images(*((file.read_bytes(), file.name) for file in files)),
        "named": images(*((None, f"pictures/{file.name}") for file in files)),
    }
    outcomes = []
    for form, column in forms.items():
        path = parquet(tmp_path / f"set/{form}.parquet", {"image": column, "id": names})
        job = job_over(path, fake_server, manifest_={"key": "id"}, run_={"output": str(tmp_path / f"out-{form}")})
        ended = job.run()
        assert ended.code == 0, ended.stderr
        rows = pq.read_table(tmp_path / f"out-{form}/data/caption").select(["key", "image_sha256", "request_sha256"])
        outcomes.append(rows.sort_by("key").to_pylist())
    assert [row["key"] for row in outcomes[0]] == names
    assert all(outcome == outcomes[0] for outcome in outcomes)


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_a_broken_file_of_several(tmp_path: Path, fake_server: FakeServer, policy: str) -> None:
    for number in range(3):
        parquet(tmp_path / f"set/{number}.parquet", {"jpg": [picture(number)], "id": [number]})
    whole = (tmp_path / "set/1.parquet").read_bytes()
    (tmp_path / "set/1.parquet").write_bytes(whole[:-9])
    job = job_over(tmp_path / "set/*.parquet", fake_server, manifest_={"key": "id", "on_bad_file": policy})
    ended = job.run()
    if policy == "error":
        assert (ended.code, len(ended.errors), fake_server.total) == (1, 1, 0)
        assert "1.parquet is cut off" in ended.errors[0]
        return
    assert ended.code == 0, ended.stderr
    assert [row["key"] for row in job.rows()] == ["0", "2"]
    assert ended.event("manifest.file_skipped")["file"].endswith("1.parquet")
    assert (ended.event("manifest.files_skipped")["files"], ended.event("manifest.files_skipped")["of"]) == (1, 3)
    (tmp_path / "set/1.parquet").write_bytes(whole)
    assert job.run().code == 0
    assert [row["key"] for row in job.rows()] == ["0", "1", "2"], "a repaired file is planned"
    assert fake_server.total == 3


def test_the_sample_manifest_names_every_sample() -> None:
    unit = only(ROOT / "data/samples/manifest.parquet", key="id", keep=("title", "category", "licence"))
    listed = only(ROOT / "data/samples/manifest.jsonl", key="id")
    assert keys(unit) == keys(listed)
    rows = scanned(unit)
    assert len(rows) == 33
    assert all(row.problem is None and row.size and row.columns["title"] for row in rows)
