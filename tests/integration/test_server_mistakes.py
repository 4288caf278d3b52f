"""What is wrong with a server, or with what leads to it: told at once, with nothing lost."""

import hashlib
import socket
from collections.abc import Callable

import pytest

from tests.integration.command import Job, told
from tests.support import scripts
from tests.support.fake_server import FakeServer
from tests.support.pictures import picture

NewJob = Callable[..., Job]


def test_a_wrong_key_stops_the_run_and_blames_no_row(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(30, provider={"api_key_env": "TEST_KEY"}, limits={"concurrency": 4}, env={"TEST_KEY": "sk-wrong"})
    fake_server.script = scripts.needs_key("sk-right")
    told(job.run(), 1, "answered 401: Incorrect API key provided.", "Check the API key", "provider.api_key_env")
    assert fake_server.total <= 4
    assert (job.rows(), job.failures()) == ([], [])
    job.env = {"TEST_KEY": "sk-right"}
    assert job.run().code == 0
    assert len(job.rows()) == 30


def test_no_credit_told_under_status_200_stops_the_run_and_blames_no_row(
    new_job: NewJob, fake_server: FakeServer
) -> None:
    job = new_job(30, limits={"concurrency": 4})
    broke = scripts.error(200, "You exceeded your current quota", code="insufficient_quota")
    fake_server.script = scripts.fail_first(10, scripts.caption(), broke)
    told(job.run(), 1, "under status 200: You exceeded your current quota.", "Add credit")
    refused = fake_server.total - 10
    assert refused <= 4
    assert (len(job.rows()), job.failures()) == (10, [])
    fake_server.script = scripts.caption()
    assert job.run().code == 0
    assert (len(job.rows()), fake_server.total) == (30, 30 + refused)


def test_a_key_of_several_words_is_told_with_the_other_mistakes(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(1, provider={"api_key_env": "TEST_KEY"}, limits={"concurrency": 0}, env={"TEST_KEY": "sk-a\nsk-b"})
    ended = job.run()
    assert ended.code == 2
    assert [error.partition(":")[0] for error in ended.errors] == ["limits.concurrency", "provider.api_key_env"]
    assert "the environment variable TEST_KEY has a space, a line end" in ended.stderr
    assert "sk-" not in ended.stdout + ended.stderr
    assert fake_server.total == 0


def test_a_key_that_is_not_there_is_told_before_anything_starts(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(1, provider={"api_key_env": "TEST_KEY"}, env={"TEST_KEY": None})
    told(job.run(), 2, "provider.api_key_env", "the environment variable TEST_KEY is not set", "export TEST_KEY=")
    assert fake_server.total == 0
    assert not job.out.exists()


@pytest.mark.slow
def test_a_dead_server_is_given_up_after_seconds(new_job: NewJob) -> None:
    job = new_job(30)
    with socket.socket() as bound:  # bound, not listening: the port refuses, and nobody else gets it
        bound.bind(("127.0.0.1", 0))
        job.base_url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
        ended = job.run()
    told(ended, 1, "The server has not answered for", "127.0.0.1", "Nothing is lost", "run the same command again")
    assert ended.seconds < 40
    assert (job.rows(), job.failures()) == ([], [])


def test_an_address_that_has_only_pages_ends_every_row_after_its_attempts(
    new_job: NewJob, fake_server: FakeServer
) -> None:
    job = new_job(8, retry={"attempts": 2})
    fake_server.script = scripts.garbage(b"<html><title>Welcome to nginx!</title></html>")
    assert job.run().code == 3
    failures = job.failures()
    assert {failure["message"] for failure in failures} == {"the answer is no JSON: Welcome to nginx!"}
    assert [(failure["kind"], failure["retryable"]) for failure in failures] == [("http_5xx", True)] * 8
    assert fake_server.total == 2 * 8


def test_a_server_that_refuses_every_row_alike_stops_the_run(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(60, limits={"concurrency": 4})
    fake_server.script = scripts.error(400, "top_k is not a field")
    told(job.run(), 1, "top_k is not a field", "configuration", "same words")
    assert fake_server.total <= 10 + 4
    assert job.rows() == []


def test_a_server_that_refused_every_row_alike_is_asked_them_all_again(
    new_job: NewJob, fake_server: FakeServer
) -> None:
    job = new_job(30, limits={"concurrency": 4})
    fake_server.script = scripts.error(400, "top_k is not a field")
    assert job.run().code == 1
    fake_server.script = scripts.caption()
    job.run()
    assert (len(job.rows()), job.failures()) == (30, [])


def test_a_row_refused_for_good_is_a_failure_of_its_own(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(20, run_={"max_failure_share": 0.05})
    bad = hashlib.sha256(picture(7)).hexdigest()
    fake_server.script = scripts.by_picture({bad: scripts.error(400, "this one is too odd")})
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "Complete. 1 have no answer: see failures/ in the output."
    (failure,) = job.failures()
    assert failure["key"] == "00007.jpg"
    assert failure["image_sha256"] == bad
    assert (failure["stage"], failure["kind"], failure["http_status"]) == ("call", "bad_request", 400)
    assert (failure["retryable"], failure["attempts"]) == (False, 1)
    assert failure["message"] == "the server answered 400: this one is too odd"
    assert (len(job.rows()), fake_server.total) == (19, 20)


# ---- the pictures and the manifest ----
