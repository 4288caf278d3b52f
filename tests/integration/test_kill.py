"""Kill -9 at twenty moments: every picture ends answered once, and no answer that was kept is bought again."""

import random
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.integration.command import Job, Tail, until
from tests.support.fake_process import FakeProcess
from tests.support.fake_server import is_whole_answer
from tests.support.pictures import write_pictures

PICTURES, KILLS, CONCURRENCY = 500, 20, 8


@pytest.mark.slow
def test_twenty_kills_lose_nothing_and_buy_nothing_twice(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", PICTURES)
    chance = random.Random(20)
    extra: list[int] = []
    with FakeProcess(latency=0.06, sigma=0.4, log=tmp_path / "server.jsonl") as server:
        log = Tail(tmp_path / "server.jsonl")
        job = Job(tmp_path, tmp_path / "pictures", server.base_url, limits={"concurrency": CONCURRENCY})
        kept: dict[str, int] = {}
        """By picture: how many lines the server's log had when its answer was found in the journal or in a part."""
        for _ in range(KILLS):
            wanted = log.count("answered") + chance.randint(3, 30)
            before = log.count("received")
            with job.start() as running:
                until(partial(log.has, "answered", wanted), "answers")
                assert running.kill().code == -9
            until(lambda: server.stats()["connections"] == 1, "the server to see that the client is gone")
            journaled = {frame.facts.image_sha256 or "" for frame in job.journaled()}
            fresh = (journaled | {row["image_sha256"] for row in job.rows()}) - set(kept)
            extra.append(log.count("received") - before - len(fresh))
            kept.update(dict.fromkeys(fresh, len(log.lines)))
        last = job.run(patience=120)
    assert last.code == 0, last.stderr

    lines = log.read()
    received = [(at, line["image_sha256"]) for at, line in enumerate(lines) if line["event"] == "received"]
    asked_again = [picture for at, picture in received if at >= kept.get(picture, at + 1)]
    assert asked_again == []
    assert max(extra) <= CONCURRENCY, extra
    assert log.count("received") == PICTURES + sum(extra)

    rows = job.rows()
    assert [row["key"] for row in rows] == [f"{number:05d}.jpg" for number in range(PICTURES)]
    assert job.failures() == []
    sold = {line["request_id"]: line["image_sha256"] for line in lines if is_whole_answer(line)}
    assert [sold.get(row["request_id"]) for row in rows] == [row["image_sha256"] for row in rows]
    assert Counter(row["attempts"] for row in rows) == {1: PICTURES}
    assert last.event("run.resumed")["restored"] == len(kept)
    assert not list((job.out / "_run" / "journal").glob("*.vlj"))
    print(f"{KILLS} kills, {len(kept)} answers kept across them, extra calls per kill {extra}")
