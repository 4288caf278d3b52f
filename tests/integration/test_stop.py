"""Told to stop, a run keeps what it has, says so, and the next one goes on from there."""

import signal
import time
from collections.abc import Callable

import pytest

from tests.integration.command import Job, until
from tests.support import scripts
from tests.support.fake_server import FakeServer

NewJob = Callable[..., Job]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_calls_in_flight_finish(
    new_job: NewJob, fake_server: FakeServer, number: signal.Signals
) -> None:
    job = new_job(60, limits={"concurrency": 8})
    fake_server.script = scripts.delayed(scripts.caption(), 0.25)
    with job.start() as running:
        until(lambda: fake_server.answered >= 12 and fake_server.in_flight >= 4, "answers")
        running.signal(number)
        ended = running.end()
    assert ended.code == 75
    assert ended.event("run.stopping")["signal"] == number.name
    left = 60 - len(job.rows())
    assert (
        f"Stopped early; every answer is kept, {left} questions are left. Run the same command again." in ended.stdout
    )
    assert "Traceback" not in ended.stderr
    assert 12 <= len(job.rows()) < 60
    assert job.failures() == []
    assert {answer["request_id"] for answer in fake_server.answers()} == job.kept_answers()
    assert [line for line in fake_server.lines if line["event"] == "gone"] == []
    assert not (job.out / "_SUCCESS").exists()

    fake_server.script = scripts.caption()
    again = job.run()
    assert again.code == 0, again.stderr
    assert len(job.rows()) == fake_server.total == 60
    assert (job.out / "_SUCCESS").exists()


@pytest.mark.parametrize("answers", [0, 10])
def test_a_second_signal_gives_up_calls_that_nobody_answers(
    new_job: NewJob, fake_server: FakeServer, answers: int
) -> None:
    job = new_job(30, limits={"concurrency": 4})
    fake_server.script = scripts.fail_first(answers, scripts.caption(), scripts.hang())
    with job.start() as running:
        until(lambda: fake_server.answered == answers and fake_server.in_flight == 4, "a full server")
        running.signal(signal.SIGTERM)
        until(lambda: running.wrote("run.stopping"), "the first signal to be seen")
        assert running.process.poll() is None
        told = time.monotonic()
        running.signal(signal.SIGTERM)
        ended = running.end()
    assert time.monotonic() - told < 10
    assert ended.code == 75
    assert "Traceback" not in ended.stderr
    assert {answer["request_id"] for answer in fake_server.answers()} == job.kept_answers()
    assert len(job.rows()) == answers
    assert job.failures() == []

    fake_server.script = scripts.caption()
    again = job.run()
    assert again.code == 0, again.stderr
    assert len(job.rows()) == 30
    assert fake_server.total == 30 + 4


def test_a_signal_with_the_last_calls_in_flight_stops_nothing_early(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(4)
    fake_server.script = scripts.delayed(scripts.caption(), 1)
    with job.start() as running:
        until(lambda: fake_server.in_flight == 4, "the last calls")
        running.signal(signal.SIGTERM)
        ended = running.end()
    assert (ended.code, ended.stdout.splitlines()[-1]) == (0, "Complete.")
    assert (job.out / "_SUCCESS").exists()


def test_whoever_keeps_signalling_gets_the_exit_code_all_the_same(new_job: NewJob, fake_server: FakeServer) -> None:
    """Until the very end of the process: everything is written by then, and an exit by signal would deny it."""
    job = new_job(60, limits={"concurrency": 8})
    fake_server.script = scripts.delayed(scripts.caption(), 0.25)
    with job.start() as running:
        until(lambda: fake_server.answered >= 8, "answers")
        while running.process.poll() is None:
            running.signal(signal.SIGTERM)
            time.sleep(0.002)  # between two signals
        ended = running.end()
    assert ended.code == 75, ended.stderr
    assert "Traceback" not in ended.stderr
    fake_server.script = scripts.caption()
    assert job.run().code == 0
    assert len(job.rows()) == 60


def test_a_second_command_on_the_same_output_is_told_who_holds_it(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(4)
    fake_server.script = scripts.hang()
    with job.start() as first:
        until(lambda: fake_server.in_flight == 4, "the first to ask")
        second = job.run()
        assert second.code == 75
        (error,) = second.errors
        assert f"process {first.pid} on " in error
        assert str(job.out) in error
        assert fake_server.total == 4
        assert first.process.poll() is None
        first.kill()
    fake_server.script = scripts.caption()
    assert job.run().code == 0
    assert len(job.rows()) == 4
