"""Outputs that something happened to between two runs: nothing is doubled, mixed up or called done."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.integration.command import Job, told
from tests.integration.test_mistakes import listing
from tests.support import scripts
from tests.support.fake_server import FakeServer
from tests.support.pictures import picture

NewJob = Callable[..., Job]


def test_answers_without_their_plan_are_not_built_upon(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(5)
    assert job.run().code == 0
    (job.folder / "pictures" / "aaa.jpg").write_bytes(picture(99))
    shutil.rmtree(job.out / "_run")
    (job.out / "_SUCCESS").unlink()
    asked = fake_server.total
    told(job.run(), 1, "plan they belong to is missing", "run.output")
    assert fake_server.total == asked
    assert not (job.out / "_SUCCESS").exists()


def test_a_lost_generation_of_the_plan_is_noticed(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(3)
    assert job.run().code == 0
    for number in range(2):
        (job.folder / "pictures" / f"z{number}.jpg").write_bytes(picture(90 + number))
        assert job.run().code == 0
    for path in (job.out / "_run" / "plan").glob("000003.*"):
        path.unlink()
    (job.folder / "pictures" / "aaa.jpg").write_bytes(picture(99))
    asked = fake_server.total
    told(job.run(), 1, "its plan", "does not know")
    for path in (job.out / "_run" / "plan").glob("000001.*"):
        path.unlink()
    told(job.run(), 1, "has no generation 1")
    assert fake_server.total == asked


@pytest.mark.parametrize("content", [b"{}", b"[]", b"not json"])
def test_a_plan_that_cannot_be_read_is_named(new_job: NewJob, fake_server: FakeServer, content: bytes) -> None:
    job = new_job(2)
    assert job.run().code == 0
    (job.out / "_run" / "plan" / "000001.json").write_bytes(content)
    told(job.run(), 1, "Cannot read the plan", "000001.json")


def test_foreign_files_among_ours_are_left_alone(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(2)
    job.out.mkdir(parents=True)
    (job.out / "README.md").write_text("my own notes")
    assert job.run("--limit", "1").code == 0
    (job.out / "_run" / "plan" / "notes.json").write_text("{}")
    (job.out / "_run" / "journal" / "x.vlj").write_text("mine")
    (job.out / "_run" / "tmp" / "folder").mkdir()
    assert job.run().code == 0
    assert len(job.rows()) == 2
    assert (job.out / "README.md").read_text() == "my own notes"


def test_a_manifest_that_became_empty_is_not_complete(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(3)
    assert job.run("--limit", "1").code == 0
    for path in (job.folder / "pictures").iterdir():
        path.unlink()
    told(job.run(), 2, "no picture is found")
    assert not (job.out / "_SUCCESS").exists()


def test_success_is_taken_back_when_the_folder_has_grown(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(2)
    assert job.run().code == 0
    assert (job.out / "_SUCCESS").exists()
    (job.folder / "pictures" / "z.jpg").write_bytes(picture(99))
    fake_server.script = scripts.error(401, "no such key")
    assert job.run().code == 1
    assert not (job.out / "_SUCCESS").exists()


def test_a_first_start_that_fails_does_not_fix_the_kept_columns(new_job: NewJob, fake_server: FakeServer) -> None:
    rows = [{"image": "00000.jpg", "stars": 3}, {"image": "00001.jpg", "stars": 5}]
    job = listing(new_job(2), [*rows, rows[0]])
    told(job.run(), 1, "names keys more than once")
    assert not list((job.out / "_run").glob("plan/*"))
    job = listing(job, rows)
    job.manifest_ = {"keep": ["stars"]}
    assert job.run().code == 0
    assert [row["stars"] for row in job.rows()] == [3, 5]
