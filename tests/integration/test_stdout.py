"""A stdout that takes nothing: one sentence and exit code 1, whatever the command was to say, and never a traceback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from resource import RLIMIT_FSIZE, setrlimit
from typing import Any

import pytest

from tests.integration.command import COMMAND, ROOT, Job

NewJob = Callable[..., Job]
LOST = "error: Cannot write to stdout: {}. What the command did is done, what it had to say is lost."


def said(job: Job, *arguments: str, **stdout: Any) -> tuple[int, list[str]]:
    """The exit code, and what stands on stderr beside the log."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "", **job.env}
    ended = subprocess.run([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env, **stdout)
    return ended.returncode, [line for line in ended.stderr.splitlines() if not line.startswith("{")]


@pytest.mark.parametrize(
    ("verb", "unbuffered"),
    [
        ("run", ""),
        ("plan", "1"),
        ("plan --json", ""),
        ("check --json", "1"),
        ("status", ""),
        ("verify", ""),
        ("verify", "1"),
        ("--version", ""),
    ],
)
def test_a_full_disk_behind_stdout_is_told_in_a_sentence(new_job: NewJob, verb: str, unbuffered: str) -> None:
    job = new_job(2)
    assert job.run().code == 0
    job.env["PYTHONUNBUFFERED"] = unbuffered
    name, *options = verb.split()
    about = {"--version": []}.get(name, [str(job.out if name in {"status", "verify"} else job.config)])
    with Path("/dev/full").open("w") as full:
        assert said(job, name, *about, *options, stdout=full) == (1, [LOST.format("No space left on device")])


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_file_that_may_not_grow(new_job: NewJob, tmp_path: Path, unbuffered: str) -> None:
    """Other than a full device it takes a write of nothing; without a buffer nothing is left of what it refused."""
    job = new_job(1, env={"PYTHONUNBUFFERED": unbuffered})
    with (tmp_path / "said").open("w") as file:
        ended = said(job, "--help", stdout=file, preexec_fn=lambda: setrlimit(RLIMIT_FSIZE, (0, 0)))
    assert ended == (1, [LOST.format("File too large")])


def test_a_run_that_cannot_say_how_it_ended_has_kept_everything(new_job: NewJob) -> None:
    job = new_job(5)
    with Path("/dev/full").open("w") as full:
        assert said(job, "run", str(job.write()), stdout=full)[0] == 1
    assert len(job.rows()) == 5
    assert job.command("verify").code == 0


@pytest.mark.parametrize("verb", ["plan", "plan --json", "--help"])
def test_a_reader_that_went_away_is_no_mistake(new_job: NewJob, verb: str) -> None:
    job = new_job(2)
    name, *options = verb.split()
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert said(job, name, str(job.write()), *options, stdout=writing) == (1, [])
    finally:
        os.close(writing)


def test_a_closed_stdout_is_told_before_anything_is_asked(new_job: NewJob) -> None:
    job = new_job(2)
    closed = said(job, "run", str(job.write()), preexec_fn=lambda: os.close(1))
    assert closed == (1, ["error: stdout is closed. Send it to a file, or to /dev/null."])
    assert not job.out.exists()


def test_another_mistake_of_the_machine_is_not_blamed_on_stdout() -> None:
    script = "from pipeline import cli\ndef app(): raise OSError(5, 'a bug')\ncli.app = app\ncli.main()"
    ended = subprocess.run([COMMAND[0], "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 1
    assert "OSError: [Errno 5] a bug" in ended.stderr
    assert "stdout" not in ended.stderr.replace("cli.main", "")
