"""The gate in front of a run: a regression with the run's own server, before the first row is bought."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.command import COMMAND, Ended, Job, Running, until
from tests.support.fake_server import FakeServer
from tests.support.pictures import write_pictures
from tests.support.scripts import caption, error, text

SAMPLES = 12
ROWS = 5


@dataclass
class Gated:
    """A job over five pictures behind a gate over twelve others, with a baseline from the server when it was good."""

    job: Job
    gate: Job
    server: FakeServer

    def asked(self) -> tuple[int, int]:
        """Requests of the gate and of the run so far; the gate's baseline left out."""
        samples = sum(request.has(b"SAMPLE") for request in self.server.requests)
        return samples, len(self.server.requests) - samples


@pytest.fixture
def gated(tmp_path: Path, fake_server: FakeServer, new_job: Callable[..., Job]) -> Gated:
    folder = tmp_path / "gate"
    write_pictures(folder / "samples", SAMPLES)
    keys = sorted(path.name for path in (folder / "samples").iterdir())
    labels = folder / "labels.jsonl"
    labels.write_text("".join(json.dumps({"id": key, "captions": ["A picture of a fake."]}) + "\n" for key in keys))
    gate = Job(
        folder,
        folder / "samples",
        fake_server.base_url,
        tasks=[{"kind": "caption", "prompt": "SAMPLE: describe it."}],
        more={"regress": {"labels": str(labels), "baseline": str(folder / "baseline.json")}},
    )
    made = regress(gate, "--update-baseline")
    assert made.code == 0, made.stderr
    fake_server.requests.clear()
    return Gated(new_job(ROWS, run_={"gate": str(gate.config)}), gate, fake_server)


def regress(job: Job, *options: str) -> Ended:
    return job.about_the_job("regress", *options)


def test_a_good_server_is_let_through(gated: Gated) -> None:
    ended = gated.job.run()
    assert ended.code == 0, ended.stderr
    assert len(gated.job.rows()) == ROWS
    assert gated.asked() == (SAMPLES, ROWS)


def test_a_run_with_nothing_to_do_buys_no_gate(gated: Gated) -> None:
    gated.job.run()
    before = gated.asked()
    assert gated.job.run().code == 0
    assert gated.asked() == before


def test_a_server_that_turned_bad_gets_no_row(gated: Gated) -> None:
    gated.server.script = text("I see nothing.")
    ended = gated.job.run()
    assert ended.code == 3
    assert "refused, and no row was asked. Regressed: " in ended.stdout
    assert "caption chrf (all)" in ended.stdout
    assert gated.asked() == (SAMPLES, 0)
    assert gated.job.rows() == []
    gated.server.script = caption()
    assert gated.job.run().code == 0
    assert len(gated.job.rows()) == ROWS


def test_a_server_that_refuses_everything_ends_the_run_before_its_first_row(gated: Gated) -> None:
    gated.server.script = error(401, "no such key")
    ended = gated.job.run()
    assert ended.code == 1
    assert gated.asked()[1] == 0


def test_the_gate_asks_the_runs_own_model(gated: Gated) -> None:
    gated.job.provider = {"model": "another/model"}
    gated.job.run()
    assert {request.field("model") for request in gated.server.requests} == {"another/model"}


def test_a_gate_that_is_no_regression_is_a_wrong_configuration(gated: Gated, tmp_path: Path) -> None:
    gated.gate.more = {}
    gated.gate.write()
    ended = gated.job.run()
    assert ended.code == 2
    assert ended.errors == [f"run.gate: {gated.gate.config}: [regress] is missing"]
    gated.job.run_ = {"gate": str(tmp_path / "nowhere.toml")}
    ended = gated.job.run()
    assert ended.code == 2
    assert "nowhere.toml" in ended.stderr
    assert gated.asked() == (0, 0)


def test_a_regression_that_was_killed_goes_on(gated: Gated) -> None:
    gated.server.script = text("I see nothing.")
    with Running([*COMMAND, "regress", str(gated.gate.write()), "--set", "limits.requests_per_minute=60"]) as running:
        until(lambda: len(gated.server.requests) >= 3, "three requests")
        running.kill()
    assert len(gated.server.requests) < SAMPLES
    ended = regress(gated.gate)
    assert ended.code == 5
    twice = len(gated.server.requests) - len({request.image_base64_sha256 for request in gated.server.requests})
    assert twice <= 1  # one may have been on the wire


def test_what_is_missing_is_told_before_anything_is_asked(gated: Gated, tmp_path: Path) -> None:
    (tmp_path / "gate" / "baseline.json").unlink()
    ended = regress(gated.gate)
    assert ended.code == 2
    assert "--update-baseline" in ended.stderr
    (tmp_path / "gate" / "labels.jsonl").write_text('{"id": 3}\nnonsense\n')
    ended = regress(gated.gate)
    assert ended.code == 2
    assert len(ended.errors) == 2
    for option in ("--record", "--replay"):
        ended = regress(gated.gate, option)
        assert ended.code == 2
        assert "regress.cassettes is missing" in ended.stderr
    assert regress(gated.gate, "--record", "--replay").code == 2
    assert gated.asked() == (0, 0)


def test_labels_of_other_pictures_are_told(gated: Gated, tmp_path: Path) -> None:
    labels = tmp_path / "gate" / "labels.jsonl"
    first, *others = labels.read_text().splitlines(keepends=True)
    odd = '{"id": "elsewhere.jpg", "captions": ["x"]}\n'
    labels.write_text("".join([odd, *others]))
    ended = regress(gated.gate)
    assert ended.event("regress.unlabelled")["such_as"] == json.loads(first)["id"]
    assert ended.event("regress.label_without_row")["such_as"] == "elsewhere.jpg"
    assert ended.code == 5  # the baseline has a sample more
    labels.write_text(odd)
    ended = regress(gated.gate)
    assert ended.code == 2
    assert "No label belongs to a row of the manifest" in ended.stderr
