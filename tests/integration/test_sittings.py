"""What a regression asks again and what it does not, records, and makes its baseline; with the real command."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.command import COMMAND, Ended, Job, Running, until
from tests.support import scripts
from tests.support.fake_server import FakeServer
from tests.support.pictures import write_pictures

SAMPLES = 12
Regress = Callable[..., Ended]


@pytest.fixture
def job(tmp_path: Path, fake_server: FakeServer) -> Job:
    """A regression over twelve pictures whose baseline is there."""
    write_pictures(tmp_path / "samples", SAMPLES)
    keys = sorted(path.name for path in (tmp_path / "samples").iterdir())
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(json.dumps({"id": key, "captions": ["A picture of a fake."]}) + "\n" for key in keys))
    made = {"labels": str(labels), "baseline": str(tmp_path / "baseline.json"), "cassettes": str(tmp_path / "tapes")}
    job = Job(tmp_path, tmp_path / "samples", fake_server.base_url, more={"regress": made})
    assert regress(job, "--update-baseline").code == 0
    fake_server.requests.clear()
    return job


def regress(job: Job, *options: str) -> Ended:
    return job.about_the_job("regress", *options)


def stopped(job: Job, server: FakeServer, *options: str) -> int:
    """Kill a regression in the middle; how many requests it made."""
    slow = ["--set", "limits.requests_per_minute=60"]
    with Running([*COMMAND, "regress", str(job.write()), *options, *slow]) as running:
        until(lambda: len(server.requests) >= 3, "three requests")
        running.kill()
    return len(server.requests)


def test_what_was_judged_is_never_judged_again(job: Job, fake_server: FakeServer) -> None:
    odd = fake_server.requests
    fake_server.script = scripts.for_some_bodies(0.1, scripts.error(500, "no"))
    regress(job, "--set", "retry.attempts=1")
    fake_server.script = scripts.text("I see nothing.")
    odd.clear()
    ended = regress(job, "--set", "retry.attempts=1")
    assert len(fake_server.requests) == SAMPLES
    assert ended.code == 5


def test_what_was_stopped_goes_on(job: Job, fake_server: FakeServer) -> None:
    asked = stopped(job, fake_server)
    fake_server.requests.clear()
    (job.out / "runs" / "zzz").write_text("somebody's note")
    assert regress(job, "--set", "limits.requests_per_minute=60").code == 0
    assert len(fake_server.requests) <= SAMPLES - asked + 1  # one was on the wire


@pytest.mark.parametrize("change", ["age", "prompt", "picture", "damage"])
def test_what_was_stopped_begins_anew_once_something_changed(job: Job, fake_server: FakeServer, change: str) -> None:
    stopped(job, fake_server)
    fake_server.requests.clear()
    [note] = [path for path in job.out.glob("runs/*/sitting.json") if not json.loads(path.read_text())["judged"]]
    if change == "age":
        note.write_text(json.dumps({**json.loads(note.read_text()), "begun_at": time.time() - 3601}))
    elif change == "damage":
        note.write_text('{"judged": ')
    elif change == "prompt":
        job.tasks[0]["prompt"] = "Another one."
    else:
        one, other, *_ = sorted(job.manifest.iterdir())
        one.write_bytes(other.read_bytes())
    fast = [] if change == "prompt" else ["--set", "limits.requests_per_minute=60"]
    with Running([*COMMAND, "regress", str(job.write()), *fast]) as running:
        ended = running.end()
    # Equal pictures are asked once.
    assert len(fake_server.requests) == SAMPLES - (change == "picture"), ended.stderr


def test_a_recording_answers_again_without_a_server(job: Job, fake_server: FakeServer) -> None:
    assert regress(job, "--record").code == 0
    tapes = job.folder / "tapes"
    assert len(list(tapes.iterdir())) == SAMPLES
    fake_server.requests.clear()
    job.run_ = {"max_cost_usd": 0.000001}
    job.provider = {"prices": str(prices(job.folder))}
    ended = regress(job, "--replay")
    assert (ended.code, len(fake_server.requests)) == (0, 0), ended.stdout
    next(tapes.iterdir()).unlink()
    missed = regress(job, "--replay", "--update-baseline")
    assert missed.code == 5
    assert "was not written: No cassette answers 1 requests" in missed.stdout


def prices(folder: Path) -> Path:
    path = folder / "prices.toml"
    path.write_text('[models]\n"fake/vlm" = { input = 1000.0, output = 1000.0 }\n')
    return path


def test_only_a_whole_recording_deletes_what_it_did_not_ask(job: Job, fake_server: FakeServer) -> None:
    tapes = job.folder / "tapes"
    tapes.mkdir()
    old = tapes / "0123456789abcdef.json"
    old.write_text("{}")
    fake_server.script = scripts.for_some_bodies(0.2, scripts.error(503, "no"))
    ended = regress(job, "--record", "--set", "retry.attempts=1", "--set", "retry.total_seconds=1")
    assert old.exists(), ended.stderr
    fake_server.script = scripts.caption()
    ended = regress(job, "--record")
    assert not old.exists()
    assert ended.event("cassettes.recorded")["deleted"] == [old.name]


def test_an_answer_that_must_not_be_recorded_is_told_and_kept(job: Job, fake_server: FakeServer) -> None:
    fake_server.script = scripts.text("data:image/png;base64,iVBORw0KGgo=")
    ended = regress(job, "--record")
    assert ended.code == 1
    assert "data in base64" in ended.stderr
    asked = len(fake_server.requests)
    again = regress(job, "--record")
    assert (again.code, len(fake_server.requests)) == (5, asked)  # judged from what was bought


def test_no_baseline_is_made_of_failures(job: Job, fake_server: FakeServer) -> None:
    before = (job.folder / "baseline.json").read_bytes()
    fake_server.script = scripts.refusal()
    ended = regress(job, "--update-baseline")
    assert ended.code == 5
    assert "was not written: no sample has an answer (refusal: " in ended.stdout
    fake_server.script = scripts.error(503, "not now")
    ended = regress(job, "--update-baseline", "--set", "retry.attempts=1", "--set", "retry.total_seconds=1")
    assert ended.code != 0
    assert (job.folder / "baseline.json").read_bytes() == before


def test_a_damaged_baseline_is_replaced_by_the_command_that_it_advises(job: Job) -> None:
    baseline = job.folder / "baseline.json"
    sound = baseline.read_bytes()
    baseline.write_bytes(b"<<<<<<< HEAD\n" + sound)
    ended = regress(job)
    assert ended.code == 2
    assert "--update-baseline" in ended.stderr
    assert regress(job, "--update-baseline").code == 0
    assert baseline.read_bytes() == sound
