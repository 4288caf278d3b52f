"""`plan`: what a run would do, told without a call and without a trace."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.pictures import ImageContract
from pipeline.images.prepare import prepared
from pipeline.images.rules import ServerRules
from pipeline.tasks.caption import caption
from pipeline.tasks.definition import TaskOptions
from tests.integration.command import Job, until
from tests.support import scripts
from tests.support.exchange import Usage
from tests.support.fake_server import FakeServer
from tests.support.pictures import picture

NewJob = Callable[..., Job]
PRICED = {"model": "gpt-4o-mini"}
MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"


def plan(job: Job, fake_server: FakeServer, *options: str) -> dict[str, Any]:
    """The JSON of `plan`, which leaves no trace: not in the output, not at the server, not in the temporary folder."""
    temporary = job.folder / "temporary"
    temporary.mkdir(exist_ok=True)
    job.env["TMPDIR"] = str(temporary)
    before, asked, there = job.tree(), fake_server.total, job.out.exists()
    ended = job.about_the_job("plan", "--json", *options)
    assert ended.code == 0, ended.stderr
    assert (job.tree(), fake_server.total, job.out.exists()) == (before, asked, there)
    assert list(temporary.iterdir()) == []
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_a_new_output_is_foreseen(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(6, provider={"model": MODEL}, images={"max_side": 512}, limits={"requests_per_minute": 3})
    (job.folder / "pictures" / "large.jpg").write_bytes(picture(1, 1200, 700))
    found = plan(job, fake_server)
    sources = [path.read_bytes() for path in (job.folder / "pictures").iterdir()]
    assert (found["rows"], found["rows_to_ask"], found["picture_bytes"]) == (7, 7, sum(map(len, sources)))
    assert found["sample"] == {"rows": 7, "whole": True, "unusable": {}, "pictures": 7, "broken": {}}
    task = found["tasks"]["caption"]
    assert (task["answered"], task["failed"], task["to_ask"], task["again"]) == (0, 0, 7, 0)
    contract, rules = ImageContract(512, family="qwen2.5-vl"), ServerRules(frozenset({"JPEG"}), None, None)
    images = sum(image.tokens or 0 for source in sources for image in prepared(source, contract, rules))
    assert task["tokens"]["image"] == images
    asked = caption(TaskOptions())
    text = (len(asked.system) + len(asked.instructions)) / 4
    assert task["tokens"]["prompt"] == pytest.approx(images + 7 * text, abs=1)
    assert (task["tokens"]["completion"], task["tokens"]["completion_is"]) == (7 * 300, "at most")
    assert found["seconds"] == 140
    assert found["seconds_from"].startswith("3 requests a minute; how long an answer takes is unknown")
    assert found["cost_usd"] is None
    assert found["layouts"][0]["image_first"] is False


def test_it_is_a_table_and_lines_for_people(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(2, provider=PRICED, tasks=[{"kind": "caption"}, {"kind": "ocr"}], images={"max_side": 512})
    ended = job.about_the_job("plan", "--set", "run.max_cost_usd=0.0001")
    assert ended.code == 0, ended.stderr
    said = ended.stdout
    assert "2 rows in the manifest, 2 of them with a question left." in said
    assert "Layout of caption, ocr: pictures first (2 questions share a picture" in said
    assert "Cost: at most about $0." in said
    assert "more than run.max_cost_usd = 0.0001" in said
    assert "Time: unknown until the first run." in said
    assert said.endswith("Nothing was asked, nothing was written.\n")
    assert fake_server.total == 0
    ended = job.about_the_job("plan", "--set", "tasks.0.model=nobody-knows")
    assert "Cost: unknown." in ended.stdout


def test_what_is_done_is_not_foreseen_again(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(10, provider=PRICED, run_={"max_failure_share": 1.0}, retry={"attempts": 1})
    usage = Usage(prompt=1000, completion=20, cached=400, images=900)
    failing = [scripts.error(500), scripts.error(400, "cannot say this", code="content_policy_violation")]
    fake_server.script = scripts.sequence(*failing, scripts.delayed(scripts.caption(usage), 0.2))
    assert job.run("--limit", "4", "--set", "limits.concurrency=1").code == 0
    found = plan(job, fake_server)
    task = found["tasks"]["caption"]
    assert (found["rows"], task["answered"], task["failed"], task["to_ask"], task["again"]) == (10, 2, 1, 7, 1)
    assert found["sample"]["rows"] == found["rows_to_ask"] == 7
    # Learned: 900 image tokens a picture and 100 of text; 3 rows reached the model (two answered, one filtered).
    assert task["tokens"]["sources"]["prompt"] == "text of earlier answers, and pictures"
    assert task["tokens"]["image"] == 7 * 900
    assert task["tokens"]["prompt"] == 7 * 1000
    assert task["tokens"]["cached"] == 7 * 400
    assert task["tokens"]["completion_is"] == "about"
    assert found["spent_usd"] > 0
    assert found["cost_usd"] == pytest.approx(task["cost_usd"])
    assert 0.1 < found["seconds"] / (7 * 0.2 / 16) < 5
    assert "earlier answers" in found["seconds_from"]

    # The manifest changes: the next run asks as many questions as were foreseen.
    (job.folder / "pictures" / "new.png").write_bytes(picture(77, 40, 30, "PNG"))
    [path for path in sorted((job.folder / "pictures").iterdir()) if path.suffix == ".jpg"][-1].unlink()
    found = plan(job, fake_server)
    assert found["rows"] == 10
    assert found["vanished"] == 1
    assert found["tasks"]["caption"]["again"] == 1, "what failed has a new place, and is known to have failed"
    assert found["tasks"]["caption"]["to_ask"] == found["sample"]["rows"] == found["rows_to_ask"] == 7
    fake_server.script = scripts.caption()
    before = fake_server.total
    assert job.run().code == 0
    assert fake_server.total - before == found["tasks"]["caption"]["to_ask"]
    found = plan(job, fake_server)
    assert (found["rows"], found["rows_to_ask"], found["cost_usd"], found["seconds"]) == (10, 0, 0, 0)
    assert (found["tasks"]["caption"]["to_ask"], found["tasks"]["caption"]["again"]) == (0, 0)
    # A new task asks all of them, the old one none.
    job.tasks.append({"kind": "ocr"})
    found = plan(job, fake_server)
    assert {name: task["to_ask"] for name, task in found["tasks"].items()} == {"caption": 0, "ocr": 10}
    assert found["rows_to_ask"] == 10


def test_a_row_is_left_as_long_as_one_task_lacks_it(new_job: NewJob, fake_server: FakeServer) -> None:
    tasks = [{"kind": "caption"}, {"kind": "ocr", "model": "other"}]
    job = new_job(3, tasks=tasks, run_={"max_failure_share": 1.0}, retry={"attempts": 1})
    fake_server.script = scripts.by_model({"other": scripts.error(500)}, scripts.caption())
    assert job.run().code == 0
    found = plan(job, fake_server)
    assert [(task["answered"], task["again"]) for task in found["tasks"].values()] == [(3, 0), (0, 3)]
    assert found["rows_to_ask"] == found["sample"]["rows"] == 3


def test_rows_that_cannot_be_used_and_names_that_come_again_are_told(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(2, provider=PRICED)
    folder, listing = job.folder / "pictures", job.folder / "list.jsonl"
    names = [path.name for path in sorted(folder.iterdir())]
    (folder / "broken.jpg").write_bytes(b"<html>not there</html>")
    lines = [json.dumps({"image": f"pictures/{name}"}) for name in [*names, "broken.jpg", "gone.jpg", names[0]]]
    listing.write_text("\n".join([*lines, "{no json", '{"image": null}', '{"image": "https://example.com/a.jpg"}']))
    job.manifest = listing
    ended = job.about_the_job("plan")
    assert ended.code == 1
    assert "more than once" in ended.errors[0]
    job.manifest_ = {"on_duplicate_key": "first"}
    found = plan(job, fake_server)
    assert (found["rows"], found["repeated"], found["rows_to_ask"]) == (8, 1, 7)
    assert found["sample"]["unusable"] == {"bad_row": 1, "no_image": 1}
    assert found["sample"]["broken"] == {"not_an_image": 1, "not_found": 1}
    assert found["sample"]["pictures"] == 4, "nothing is fetched from the web"
    # Five sevenths of the rows name a picture, and half of those looked at are pictures.
    assert found["tasks"]["caption"]["calls"] == round(7 * 5 / 7 / 2)
    said = job.about_the_job("plan").stdout
    assert "1 name a key again" in said
    assert "Cannot be used, of all of them: 1 bad_row, 1 no_image." in said


def test_a_running_output_is_looked_at(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(6, provider=PRICED, limits={"concurrency": 2}, retry={"attempts": 1})
    fake_server.script = scripts.sequence(scripts.error(500), scripts.caption(), scripts.caption(), scripts.hang())
    with job.start() as running:
        until(lambda: fake_server.answered == 3 and fake_server.in_flight == 2, "three answers, and two that wait")
        until(
            lambda: json.loads(job.about_the_job("plan", "--json").stdout)["tasks"]["caption"]["to_ask"] == 3,
            "the journal to be seen",
        )
        ended = job.about_the_job("plan")
        assert ended.code == 0, ended.stderr
        assert f"is being worked on by process {running.pid}" in ended.stdout
        running.kill()
    task = plan(job, fake_server)["tasks"]["caption"]
    assert (task["answered"], task["failed"], task["to_ask"], task["again"]) == (2, 1, 3, 0)


def test_what_a_run_would_refuse_is_refused(new_job: NewJob, fake_server: FakeServer, tmp_path: Path) -> None:
    job = new_job(1)
    assert job.run().code == 0
    ended = job.about_the_job("plan", "--set", "tasks.0.prompt=Look.")
    assert ended.code == 2
    assert "prompt changed since" in ended.errors[0]
    ended = job.about_the_job("plan", "--set", f"manifest.path={tmp_path / 'nowhere'}")
    assert ended.code == 2
    assert "there is no file or folder" in ended.errors[0]


def test_a_change_may_be_accepted_for_the_look_alone(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(3)
    assert job.run("--limit", "1").code == 0
    task = plan(job, fake_server, "--set", "tasks.0.prompt=Look.", "--accept-change")["tasks"]["caption"]
    assert (task["answered"], task["to_ask"]) == (1, 2)
    assert job.run("--set", "tasks.0.prompt=Look.").code == 2, "nobody has accepted it for a run"


def test_no_key_is_needed(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(2, provider={"api_key_env": "TEST_KEY"}, env={"TEST_KEY": None})
    assert plan(job, fake_server)["rows_to_ask"] == 2
    assert job.run().code == 2


def missing(plans: Path) -> None:
    shutil.rmtree(plans)


def without_its_first(plans: Path) -> None:
    (plans / "000001.json").rename(plans / "000002.json")


def unreadable(plans: Path) -> None:
    (plans / "000001.json").write_text("{}")


def without_rows(plans: Path) -> None:
    (plans / "000001.rows").write_bytes(b"nothing")


@pytest.mark.parametrize("damage", [missing, without_its_first, unreadable, without_rows])
def test_what_is_damaged_is_named_where_it_lies(
    new_job: NewJob, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    (tmp_path / "temporary").mkdir()
    job = new_job(3, env={"TMPDIR": str(tmp_path / "temporary")})
    assert job.run("--limit", "1").code == 0
    damage(job.out / "_run" / "plan")
    ended = job.about_the_job("plan")
    assert ended.code == 1
    assert f"{job.out / '_run' / 'plan'}" in ended.errors[0]
    assert "temporary" not in ended.stderr


def test_a_long_manifest_is_planned_from_a_sample(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(1, provider=PRICED)
    (name,) = [path.name for path in (job.folder / "pictures").iterdir()]
    listing = job.folder / "list.csv"
    listing.write_text("image,id,title\n" + "".join(f"pictures/{name},{n},abcd\n" for n in range(45_000)))
    job.manifest, job.manifest_ = listing, {"key": "id"}
    job.tasks = [{"kind": "caption", "context": ["title"]}]
    found = plan(job, fake_server)
    assert (found["rows"], found["rows_to_ask"]) == (45_000, 45_000)
    assert found["sample"]["whole"] is False
    assert 18_000 < found["sample"]["rows"] <= 20_000
    assert 50 <= found["sample"]["pictures"] <= 64
    assert found["picture_bytes"] == 45_000 * (job.folder / "pictures" / name).stat().st_size
