"""Folders that are no place for a new output, and a reparse that was stopped: told in a sentence, nothing is lost."""

import random
import shutil
import sys
from collections.abc import Callable

import pytest

from tests.integration.command import Job, Running, until
from tests.integration.test_reparse import beside, reparse
from tests.support import scripts
from tests.support.exchange import answer
from tests.support.fake_server import FakeServer

NewJob = Callable[..., Job]


def test_mistakes_are_told_and_touch_nothing(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(3)
    assert job.run().code == 0
    before, taken = job.tree(), job.folder / "taken"
    taken.mkdir()
    (taken / "note.txt").write_text("mine")
    wrong = {
        job.out: "lies in",
        job.out / "data" / "second": "lies in",
        taken: "exists and is not empty",
        taken / "note.txt": "Not a directory",
        job.folder: "exists and is not empty",
    }
    for to, said in wrong.items():
        ended = reparse(job, to)
        assert (ended.code, len(ended.errors)) == (2, 1), ended.stderr
        assert said in ended.errors[0]
    nothing = job.folder / "nothing"
    ended = reparse(job, job.folder / "new", out=nothing)
    assert ended.code == 2
    assert "is no output of vlm-batch" in ended.errors[0]
    assert not nothing.exists()
    assert not (job.folder / "new").exists()
    assert job.tree() == before
    assert [path.name for path in taken.iterdir()] == ["note.txt"]

    (job.folder / "empty").mkdir()
    assert reparse(job, job.folder / "empty").code == 0


def test_an_output_in_use_is_left_alone(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(3)
    fake_server.script = scripts.hang()
    with job.start() as running:
        until(lambda: fake_server.in_flight == 3, "calls")
        ended = reparse(job, job.folder / "new")
        assert (ended.code, (job.folder / "new").exists()) == (75, False)
        assert f"process {running.pid}" in ended.errors[0]


@pytest.mark.parametrize("trouble", ["damaged", "deleted", "full"])
def test_what_was_not_finished_is_no_output(new_job: NewJob, fake_server: FakeServer, trouble: str) -> None:
    # Long answers that do not compress: their parts are larger than any other file.
    fake_server.script = lambda request: answer(request, random.Random(request.body_sha256).randbytes(10_000).hex())
    job = new_job(8, tasks=[{"kind": "caption"}, {"kind": "ocr"}])
    assert job.run().code == 0
    asked, new = fake_server.total, beside(job)
    (part,) = (job.out / "data" / "ocr").iterdir()
    if trouble == "damaged":
        content = bytearray(part.read_bytes())
        content[4:2000] = bytes(1996)
        part.write_bytes(content)
    elif trouble == "deleted":
        part.unlink()
    ended = reparse(job, new.out, file_bytes=100_000 if trouble == "full" else None)
    assert (ended.code, len(ended.errors)) == (1, 1), ended.stderr
    assert "Traceback" not in ended.stderr
    if trouble == "deleted":
        assert "It was committed, and vlm-batch deletes no part." in ended.errors[0]
        assert not new.out.exists()
        return
    assert ("The disk is full" if trouble == "full" else f"Cannot read {part}") in ended.errors[0]
    assert ended.errors[0].endswith(f"{new.out} is not complete: delete it before you start again.")
    assert not (new.out / "_SUCCESS").exists()
    second = reparse(job, new.out)
    assert second.code == 2
    assert "is not complete: what filled it was stopped. Delete it and start again." in second.errors[0]
    if trouble == "damaged":  # some answers are there: a run must not take it for an output and buy the others
        assert new.run().code == 1
        assert fake_server.total == asked


def test_a_killed_reparse_leaves_what_can_only_be_deleted(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(5, tasks=[{"kind": "caption"}, {"kind": "ocr"}])
    assert job.run().code == 0
    asked, new = fake_server.total, beside(job)
    command = [sys.executable, "-m", "tests.integration.parsers", "stuck"]
    with Running([*command, "reparse", str(job.out), "--to", str(new.out)]) as running:
        until(lambda: new.rows("caption"), "the captions")
        running.kill()
    assert not (new.out / "_SUCCESS").exists()
    assert new.run().code == 1  # it is no output yet: nothing is bought for it
    again = reparse(job, new.out)
    assert (again.code, len(again.errors)) == (2, 1), again.stderr
    assert f"{new.out} is not complete" in again.errors[0]
    shutil.rmtree(new.out)
    assert reparse(job, new.out).code == 0
    assert [new.rows(task) for task in ("caption", "ocr")] == [job.rows(task) for task in ("caption", "ocr")]
    assert fake_server.total == asked
