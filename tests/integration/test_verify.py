"""The command `verify` over outputs of real runs: silent when they are sound, however they ended; loud when not."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.ledger.output import Output
from tests.integration.command import COMMAND, Ended, Job, Running, Tail, until
from tests.ledger.tampering import changed, rewrite
from tests.support import scripts
from tests.support.fake_process import FakeProcess
from tests.support.fake_server import FakeServer
from tests.support.pictures import picture, write_pictures

NewJob = Callable[..., Job]
BOTH = [{"kind": "caption"}, {"kind": "ocr"}]


def verify(out: Path, *options: str) -> Ended:
    with Running([*COMMAND, "verify", str(out), *options]) as running:
        return running.end()


def here(out: Path, *options: str) -> Result:
    """The same without a process: starting one takes longer than most of what is looked at."""
    return CliRunner().invoke(app, ["verify", str(out), *options])


def sound(job: Job) -> str:
    """It must be, and looking must not have changed it; the report."""
    before = job.tree()
    ended = here(job.out)
    assert (ended.exit_code, ended.stderr) == (0, ""), ended.stdout
    assert ended.stdout.splitlines()[-1].startswith("verify: ok")
    assert job.tree() == before
    return ended.stdout


def codes(job: Job) -> set[str]:
    """What is broken."""
    ended = here(job.out, "--json")
    said = json.loads(ended.stdout)
    assert (ended.exit_code, said["ok"], ended.stderr) == (5, False, "")
    return {one["code"] for one in said["findings"]}


@pytest.mark.slow
def test_an_output_is_sound_all_its_life(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(12, tasks=BOTH, retry={"attempts": 1}, run_={"max_failure_share": 1})
    (job.folder / "pictures" / "broken.jpg").write_bytes(b"no picture")
    fake_server.script = scripts.sometimes(0.4, scripts.error(503, "busy"), seed=3)
    assert job.run("--limit", "7").code == 0
    assert "not there" in sound(job)
    assert job.run().code == 0
    assert "to be tried again" in sound(job)
    assert not (job.out / "_SUCCESS").exists()
    fake_server.script = scripts.caption()
    assert job.run().code == 0
    assert (job.out / "_SUCCESS").exists()
    assert "26 questions in 1 shard; 0 to do" in sound(job)

    (job.folder / "pictures" / "aaa.jpg").write_bytes(picture(99))  # the only shard is retired
    (job.folder / "pictures" / "00000.jpg").unlink()
    assert job.run("--limit", "1").code == 0
    assert "and 1 retired" in sound(job)
    assert job.run().code == 0
    sound(job)
    job.tasks = [{"kind": "caption"}]  # and one task less
    assert job.run().code == 0
    sound(job)


@pytest.mark.slow
def test_a_killed_run_is_sound_with_its_journal_and_held_while_it_lives(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 60)
    with FakeProcess(latency=0.05, sigma=0.4, log=tmp_path / "server.jsonl") as server:
        log = Tail(tmp_path / "server.jsonl")
        job = Job(tmp_path, tmp_path / "pictures", server.base_url, tasks=BOTH, limits={"concurrency": 4})
        for wanted in (10, 40):
            with job.start() as running:
                until(partial(log.has, "answered", wanted), "answers")
                running.signal(signal.SIGSTOP)  # so that it does not end meanwhile
                held = verify(job.out)
                assert (held.code, held.stdout) == (75, "")
                assert f"is being worked on by process {running.pid} on" in held.stderr
                assert running.kill().code == -9
            report = sound(job)
            assert "not committed yet" in report
            assert "Nothing is lost." in report
        assert job.run().code == 0
    assert "120 questions in 1 shard; 0 to do" in sound(job)


def test_damage_is_told_with_its_place_and_what_to_do(new_job: NewJob) -> None:
    job = new_job(4, tasks=BOTH)
    assert job.run().code == 0
    part = job.out / "data/ocr/part-000001-000001.parquet"
    content = part.read_bytes()
    rewrite(part, changed("key", "somebody else"))
    ended = verify(job.out)
    assert ended.code == 5
    for words in (
        "I3: a row's key is not the one that the plan has at its place",
        "data/ocr/part-000001-000001.parquet: row 0 is 'somebody else', planned was '00000.jpg'",
        "-> The file was changed after it was committed.",
    ):
        assert words in ended.stdout
    assert ended.stdout.splitlines()[-1] == "verify: 1 finding"

    part.write_bytes(content[:-20])
    assert codes(job) == {"file_unreadable"}
    part.unlink()
    assert {"success_unanswered"} <= codes(job)
    part.write_bytes(content)
    sound(job)
    (job.out / "data/ocr/mine.parquet").write_bytes(content)
    assert codes(job) == {"foreign_parquet"}


@pytest.mark.parametrize("lost", ["plan", "config-1.json", "plan/000001.rows", ""])
def test_answers_without_what_they_belong_to_are_damage(new_job: NewJob, lost: str) -> None:
    job = new_job(2)
    assert job.run().code == 0
    (job.out / "_run" / lost).rename(job.folder / "elsewhere")
    assert codes(job) & {"plan_missing", "plan_unreadable", "config_missing"}
    (job.folder / "elsewhere").rename(job.out / "_run" / lost)
    sound(job)


def test_what_is_no_output_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        ended = here(path, "--json")
        assert (ended.exit_code, ended.stdout) == (2, "")
        assert ended.stderr.startswith("error: ")
        assert ended.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_refused_while_it_is_looked_at_and_the_lock_goes_with_the_look(new_job: NewJob) -> None:
    job = new_job(2)
    assert job.run("--limit", "1").code == 0
    with Output(job.out).lock_to_read() as held:
        assert held is not None
        assert job.run().code == 75
        assert here(job.out).exit_code == 75
    assert job.run().code == 0
    sound(job)


def test_help_tells_the_exit_codes() -> None:
    told = " ".join(CliRunner().invoke(app, ["verify", "--help"], env={"COLUMNS": "200"}).stdout.split())
    for words in (
        "0 nothing found",
        "1 the output cannot be read",
        "2 there is no output",
        "5 something is broken",
        "75",
    ):
        assert words in told
