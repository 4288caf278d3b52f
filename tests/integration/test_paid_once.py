"""Equal questions are paid once: within a run, across runs and names, and never where anything differs."""

import json
import shutil
from collections import Counter
from collections.abc import Callable

import pytest

from tests.integration.command import Job
from tests.integration.test_mistakes import listing
from tests.support import scripts
from tests.support.fake_server import FakeServer
from tests.support.pictures import picture, write_pictures

NewJob = Callable[..., Job]
PRICED = {"model": "gpt-4o-mini"}


def same_pictures(job: Job, rows: int, distinct: int) -> Job:
    """So many rows, each naming one of the distinct pictures; every row has a title of its own."""
    return listing(
        job,
        [
            {"image": f"{number % distinct:05d}.jpg", "id": f"row-{number}", "title": f"number {number}"}
            for number in range(rows)
        ],
    )


@pytest.mark.slow
def test_a_thousand_rows_over_four_hundred_pictures_cost_four_hundred_calls(
    new_job: NewJob, fake_server: FakeServer
) -> None:
    job = same_pictures(new_job(400, provider=PRICED, manifest_={"key": "id"}, limits={"concurrency": 32}), 1000, 400)
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert fake_server.total == 400
    assert "400 requests in" in ended.stdout
    assert "600 answers shared with equal questions" in ended.stdout
    rows = job.rows()
    assert len({row["key"] for row in rows}) == len(rows) == 1000
    leaders = {row["key"]: row for row in rows if row["dedup_of"] is None}
    assert len(leaders) == 400
    one = next(iter(leaders.values()))["cost_usd"]
    assert one > 0
    assert sum(row["cost_usd"] for row in rows) == pytest.approx(sum(row["cost_usd"] for row in leaders.values()))
    for row in rows:
        leader = leaders[row["dedup_of"] or row["key"]]
        assert row["caption"] == leader["caption"]
        assert row["image_sha256"] == leader["image_sha256"]
        assert row["request_id"] == leader["request_id"]
    sold = {answer["request_id"]: answer["image_sha256"] for answer in fake_server.answers()}
    assert [sold[row["request_id"]] for row in rows] == [row["image_sha256"] for row in rows]
    assert job.command("verify").code == 0

    again = job.run()
    assert (again.code, fake_server.total) == (0, 400)


@pytest.mark.slow
def test_another_context_is_another_question(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(
        400, manifest_={"key": "id"}, limits={"concurrency": 32}, tasks=[{"kind": "caption", "context": ["title"]}]
    )
    assert same_pictures(job, 1000, 400).run().code == 0
    assert fake_server.total == 1000
    assert {row["dedup_of"] for row in job.rows()} == {None}


def test_a_renamed_picture_is_not_bought_again(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(6)
    assert job.run().code == 0
    folder = job.folder / "pictures"
    for number in range(4):
        (folder / f"{number:05d}.jpg").rename(folder / f"new-{number}.jpg")
    ended = job.run()
    assert (ended.code, fake_server.total) == (0, 6)
    copies = {row["key"]: row["dedup_of"] for row in job.rows() if row["dedup_of"]}
    assert copies == {f"new-{number}.jpg": f"{number:05d}.jpg" for number in range(4)}

    # The index is a cache: without it the answers are found all the same.
    for path in (job.out / "_run").glob("index.sqlite*"):
        path.unlink()
    (folder / "new-0.jpg").rename(folder / "newer.jpg")
    assert job.run().code == 0
    assert fake_server.total == 6
    assert {row["key"]: row["dedup_of"] for row in job.rows()}["newer.jpg"] == "00000.jpg", "the one that was asked"
    (job.out / "_run" / "index.sqlite").write_bytes(b"no database" * 100)
    (folder / "newer.jpg").rename(folder / "newest.jpg")
    ended = job.run()
    assert (ended.code, fake_server.total) == (0, 6)
    assert ended.event("index.rebuilt")
    assert job.command("verify").code == 0


def test_one_pixel_another_prompt_or_another_model_is_asked(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(0)
    folder = job.folder / "pictures"
    folder.mkdir(exist_ok=True)
    page = bytearray(picture(1, format="BMP"))
    (folder / "a.bmp").write_bytes(page)
    page[-1] ^= 1
    (folder / "b.bmp").write_bytes(page)
    assert job.run().code == 0
    assert fake_server.total == 2, "one bit of one glyph"
    job.tasks = [{"kind": "caption"}, {"kind": "caption", "name": "short", "prompt": "In five words."}]
    assert job.run().code == 0
    assert fake_server.total == 4
    job.tasks = [{"kind": "caption"}, job.tasks[1], {"kind": "caption", "name": "other", "model": "fake/large"}]
    assert job.run().code == 0
    assert fake_server.total == 6
    assert {row["model"] for row in job.rows("other")} == {"fake/large"}


def test_equal_rows_share_a_refusal_and_a_new_equal_row_does_not_buy_it_again(
    new_job: NewJob, fake_server: FakeServer
) -> None:
    job = new_job(1, run_={"max_failure_share": 1.0})
    pictures = job.folder / "pictures"
    for name in ("a", "b", "c"):
        shutil.copy(pictures / "00000.jpg", pictures / f"{name}.jpg")
    fake_server.script = scripts.refusal("I cannot describe this image.")
    assert job.run().code == 0
    assert fake_server.total == 1
    assert Counter(job.kinds().values()) == {"refusal": 4}
    shutil.copy(pictures / "00000.jpg", pictures / "d.jpg")
    assert job.run().code == 0
    assert fake_server.total == 1
    assert job.kinds()["d.jpg"] == "refusal"
    assert job.command("verify").code == 0


# ---- settings that change ----


def test_a_change_that_is_accepted_keeps_the_answers_and_asks_the_rest(
    new_job: NewJob, fake_server: FakeServer
) -> None:
    job = new_job(5)
    assert job.run().code == 0
    write_pictures(job.folder / "pictures", 8)
    job.tasks = [{"kind": "caption", "prompt": "In five words."}]
    refused = job.run()
    assert refused.code == 2
    assert "--accept-change" in refused.errors[0]
    assert fake_server.total == 5
    ended = job.run("--accept-change")
    assert (ended.code, fake_server.total) == (0, 8)
    assert ended.event("output.change_accepted")["settings"] == ["prompt"]
    assert len({row["prompt_sha256"] for row in job.rows()}) == 2
    record = json.loads((job.out / "_run" / "config-2.json").read_text())
    assert record["config"]["tasks"][0]["prompt"] == "In five words."
    assert job.run().code == 0, "what was accepted is the output's setting from now on"
    assert fake_server.total == 8
    assert job.command("verify").code == 0


def test_a_change_of_the_columns_cannot_be_accepted(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(2, tasks=[{"kind": "moderate"}])
    assert job.run().code == 0
    job.tasks = [{"kind": "moderate", "labels": ["spam"]}]
    write_pictures(job.folder / "pictures", 3)
    ended = job.run("--accept-change")
    assert ended.code == 2
    assert "labels decides the columns" in ended.errors[0]
    assert fake_server.total == 2
