"""A listing of ten thousand rows, half done, comes back in another order: only what is new or undone is asked."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable

import pytest

from tests.integration.command import Job
from tests.support.fake_server import FakeServer

NewJob = Callable[..., Job]
ROWS = 10_000


def write(job: Job, numbers: list[int]) -> None:
    """One picture, and a title of its own in every row, which the answer's request carries."""
    job.manifest = job.folder / "pictures" / "rows.jsonl"
    lines = (json.dumps({"image": "00000.jpg", "id": f"id-{n}", "title": f"title {n:05d}."}) for n in numbers)
    job.manifest.write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.slow
def test_a_shuffled_listing_asks_what_is_new_and_undone_and_mixes_nothing_up(
    new_job: NewJob, fake_server: FakeServer
) -> None:
    job = new_job(
        1,
        manifest_={"key": "id", "keep": ["title"]},
        limits={"concurrency": 64},
        tasks=[{"kind": "caption", "context": ["title"]}],
    )
    write(job, list(range(ROWS)))
    assert job.run("--limit", str(ROWS // 2), patience=120).code == 0
    assert fake_server.total == ROWS // 2
    done = {row["key"]: row for row in job.rows()}
    assert len(done) == ROWS // 2

    numbers = list(range(ROWS // 100, ROWS + ROWS // 100))  # 1 % gone, 1 % new
    random.Random(5).shuffle(numbers)
    write(job, numbers)
    ended = job.run(patience=120)
    assert ended.code == 0, ended.stderr
    planned = ended.event("manifest.planned")
    gone = {f"id-{n}" for n in range(ROWS // 100)}
    wanted = {f"id-{n}" for n in numbers}
    assert planned["new_rows"] == len(wanted - done.keys())
    assert planned["vanished"] == len(gone)

    titles = Counter(request.between(b"title ", b".") for request in fake_server.requests)
    assert set(titles.values()) == {1}, "nothing was asked twice"
    assert {f"id-{int(title)}" for title in titles} == wanted | done.keys()
    rows = {row["key"]: row for row in job.rows()}
    assert rows.keys() == wanted | done.keys(), "what vanished stays"
    assert all(row["title"] == f"title {int(key[3:]):05d}." for key, row in rows.items())
    bodies = {request.request_id: request.between(b"title ", b".") for request in fake_server.requests}
    assert all(int(bodies[row["request_id"]]) == int(key[3:]) for key, row in rows.items()), "each its own answer"
    assert {key: row["request_id"] for key, row in done.items()} == {key: rows[key]["request_id"] for key in done}
    assert job.command("verify").code == 0
