"""`status`: how far an output is, from its files alone, also while a run works on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.command import Job, until
from tests.support import scripts
from tests.support.fake_server import FakeServer
from tests.support.pictures import write_pictures

NewJob = Callable[..., Job]
PRICED = {"model": "gpt-4o-mini"}


def status(job: Job) -> dict[str, Any]:
    before = job.tree()
    ended = job.command("status", "--json")
    assert ended.code == 0, ended.stderr
    if "working" not in ended.stdout:
        assert job.tree() == before, "a look changes nothing"
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_an_output_over_its_life(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(8, provider=PRICED, limits={"concurrency": 2})
    assert job.run("--limit", "3").code == 0
    found = status(job)
    assert (found["state"], found["planned"], found["left"], found["runs"]) == ("stopped", 8, 5, 1)
    assert found["tasks"]["caption"]["answered"] == 3
    cost = found["cost_usd"]
    assert cost == pytest.approx(sum(row["cost_usd"] for row in job.rows()))

    fake_server.script = scripts.fail_first(3, scripts.caption(), scripts.hang())
    with job.start() as running:
        until(lambda: fake_server.answered == 6 and fake_server.in_flight == 2, "three more, and two that wait")
        until(lambda: status(job)["left"] == 2, "the journal to be seen")
        found = status(job)
        assert (found["state"], found["waiting"], found["left"]) == ("working", 3, 2)
        assert str(running.pid) in found["holder"]
        assert found["cost_usd"] == pytest.approx(2 * cost), "answers in the journal have been paid for"
        assert found["in_vain"] == 0, "nothing is lost yet"
        assert "Being worked on by process" in job.command("status").stdout
        running.kill()
    found = status(job)
    assert (found["state"], found["waiting"], found["left"], found["holder"]) == ("stopped", 3, 2, None)
    assert found["in_vain"] == 2
    assert found["in_vain_usd"] > 0
    assert "at most 2 calls that brought no answer" in job.command("status").stdout

    fake_server.script = scripts.caption()
    assert job.run().code == 0
    found = status(job)
    assert (found["state"], found["left"], found["waiting"], found["in_vain"]) == ("complete", 0, 0, 2)
    assert found["cost_usd"] == pytest.approx(sum(row["cost_usd"] for row in job.rows())) == pytest.approx(8 / 3 * cost)
    assert "Complete." in job.command("status").stdout


def test_failures_repairs_and_what_is_between_two_attempts_are_counted(
    new_job: NewJob, fake_server: FakeServer
) -> None:
    job = new_job(1, provider=PRICED, run_={"max_failure_share": 1.0}, retry={"attempts": 2})
    fake_server.script = scripts.sequence(scripts.cut_by_length("An unfinished"), scripts.hang())
    with job.start() as running:
        until(lambda: fake_server.total == 2, "the repair")
        running.kill()
    found = status(job)
    assert (found["left"], found["waiting"]) == (1, 0)
    once = found["cost_usd"]
    assert once > 0, "an unusable answer was paid for"
    fake_server.script = scripts.caption()
    assert job.run().code == 0
    (row,) = job.rows()
    found = status(job)
    assert found["cost_usd"] == pytest.approx(row["cost_usd"])
    assert row["cost_usd"] > once

    fake_server.script = scripts.error(500)
    write_pictures(job.folder / "pictures", 3)
    assert job.run().code == 0
    found = status(job)
    assert (found["state"], found["left"], found["retryable"]) == ("finished", 0, 2)
    assert found["tasks"]["caption"]["failures"] == {"http_5xx": 2}


def test_an_unknown_price_is_no_price_of_nothing(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(2)
    ended = job.run()
    assert "unknown" in ended.stdout
    assert status(job)["cost_usd"] is None
    assert "unknown" in job.command("status").stdout


def test_what_is_no_output_is_told(new_job: NewJob) -> None:
    ended = new_job(1).command("status")
    assert ended.code == 2
    assert "is no output of vlm-batch" in ended.errors[0]


def test_an_output_of_another_version_is_told(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(1)
    assert job.run().code == 0
    path = job.out / "_run" / "config-1.json"
    record = json.loads(path.read_text())
    record["config"]["tasks"][0]["kind"] = "sing"
    path.write_text(json.dumps(record))
    for verb in ("status", "rerun"):
        ended = job.command(verb)
        assert ended.code == 2
        assert "another version of vlm-batch: this one does not know sing" in ended.errors[0]
    record["config"] = {"run": {}}
    path.write_text(json.dumps(record))
    ended = job.command("status")
    assert ended.code == 2
    assert "cannot be used by this version" in ended.errors[0]
