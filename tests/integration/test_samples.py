"""The first run that a person makes: the sample pictures, the models that come with the package, every reader."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.command import COMMAND, ROOT, Ended, Job, Running
from tests.integration.readers import pairs_by_reader
from tests.support.pictures import text_picture

PATIENCE = 500.0  # seconds; half a minute on two idle cores, minutes on busy ones
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * PATIENCE)]
TASKS = ("caption", "ocr", "moderate")
SAMPLES = ROOT / "data" / "samples" / "images"


@dataclass
class Samples:
    """A copy of the sample pictures, and the run over it."""

    job: Job
    pictures: Path
    ended: Ended
    keys: list[str]

    def run(self) -> Ended:
        """`run configs/sample.toml` with the paths of this copy."""
        settings = (f"run.output={self.job.out}", f"manifest.path={self.pictures}")
        options = [part for setting in settings for part in ("--set", setting)]
        with Running([*COMMAND, "run", "configs/sample.toml", *options]) as running:
            return running.end(PATIENCE)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    folder = tmp_path_factory.mktemp("samples")
    pictures = folder / "pictures"
    shutil.copytree(SAMPLES, pictures)
    made = Samples(
        Job(folder, pictures, ""), pictures, Ended(0, "", "", 0), sorted(path.name for path in pictures.iterdir())
    )
    made.ended = made.run()
    return made


def captions(samples: Samples) -> list[tuple[str, str]]:
    return [(row["key"], row["caption"]) for row in samples.job.rows()]


def test_every_sample_gets_every_answer(samples: Samples) -> None:
    assert samples.ended.code == 0, samples.ended.stderr
    assert len(samples.keys) == 33
    for task in TASKS:
        assert [row["key"] for row in samples.job.rows(task)] == samples.keys
        assert samples.job.failures(task) == []
    assert {row["served_model"] for row in samples.job.rows()} == {"embedded/tags"}
    assert all(row["cost_usd"] == 0 for task in TASKS for row in samples.job.rows(task))
    assert json.loads((samples.job.out / "_SUCCESS").read_bytes())["tasks"]["ocr"]["answered"] == 33
    assert samples.ended.stdout.splitlines()[-1] == "Complete."
    assert "99 requests in" in samples.ended.stdout
    assert len(samples.ended.events) == len(samples.ended.stderr.splitlines())
    card = (samples.job.out / "README.md").read_text()
    for task in TASKS:
        assert f"- config_name: {task}\n  data_files: data/{task}/*.parquet" in card


def test_every_reader_reads_the_same(samples: Samples, tmp_path: Path) -> None:
    for reader, pairs in pairs_by_reader(samples.job.out, "caption", "caption", tmp_path).items():
        assert pairs == captions(samples), reader


def test_a_second_run_has_nothing_to_do_and_one_more_picture_costs_three_requests(samples: Samples) -> None:
    before = samples.job.tree()
    again = samples.run()
    assert again.code == 0
    assert again.stdout.splitlines()[-1] == "Nothing to do: no call was made. Every row has its answer."
    assert "0 requests in" in again.stdout
    assert again.events == []  # no server was started, nothing was planned
    assert samples.job.tree() == before

    (samples.pictures / "zz-new.png").write_bytes(text_picture("FRESH PAINT"))
    more = samples.run()
    assert more.code == 0, more.stderr
    assert more.event("manifest.planned")["new_rows"] == 1
    assert "3 requests in" in more.stdout
    for task in TASKS:
        rows = samples.job.rows(task)
        assert [row["key"] for row in rows] == [*samples.keys, "zz-new.png"]
        assert len({row["run_id"] for row in rows}) == 2
    assert (samples.job.out / "_SUCCESS").exists()
