"""`rerun`: chosen failures are tried again, final ones too, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.command import Ended, Job, until
from tests.support import scripts
from tests.support.exchange import Script
from tests.support.fake_server import FakeServer
from tests.support.pictures import BROKEN, picture

NewJob = Callable[..., Job]


def troubled(job: Job, fake_server: FakeServer) -> Job:
    """Twelve pictures: 0-2 failed with 500, 3-4 were refused, 5 is cut, one file is broken, the others are answered."""
    (job.folder / "pictures" / "broken.jpg").write_bytes(BROKEN["truncated_jpeg"]())
    seen = [job.folder / "pictures" / f"{number:05d}.jpg" for number in range(12)]
    bad = dict.fromkeys(hashes(seen[0:3]), scripts.error(500, "no luck"))
    bad |= dict.fromkeys(hashes(seen[3:5]), scripts.refusal())
    bad |= dict.fromkeys(hashes(seen[5:6]), scripts.cut_by_length("An unfinished"))
    fake_server.script = by_source(bad)
    job.run_ = {"max_failure_share": 1.0}
    job.retry = {"attempts": 1}
    ended = job.run()
    assert ended.code == 0, ended.stderr
    return job


def hashes(paths: list[Path]) -> list[str]:
    import hashlib

    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def by_source(chosen: dict[str, Script]) -> Script:
    usual = scripts.caption()
    return lambda request: chosen.get(request.image_sha256, usual)(request)


def asked(fake_server: FakeServer, since: int) -> list[str]:
    return sorted(request.image_sha256 for request in fake_server.requests[since:])


def sources(job: Job, *numbers: int) -> list[str]:
    return sorted(hashes([job.folder / "pictures" / f"{number:05d}.jpg" for number in numbers]))


def test_chosen_failures_alone_are_asked_and_are_failures_no_more(new_job: NewJob, fake_server: FakeServer) -> None:
    job = troubled(new_job(12), fake_server)
    kinds = {f"{number:05d}.jpg": kind for number, kind in enumerate(["http_5xx"] * 3 + ["refusal"] * 2 + ["cut"])}
    assert job.kinds() == {**kinds, "broken.jpg": "truncated"}
    answers = job.rows()
    fake_server.script = scripts.caption()

    since = fake_server.total
    ended = job.command("rerun", "--kind", "http_5xx")
    assert ended.code == 0, ended.stderr
    assert "Tried 3 of 3 chosen failures again: 3 have an answer now." in ended.stdout
    assert asked(fake_server, since) == sources(job, 0, 1, 2)
    assert set(job.kinds().values()) == {"refusal", "cut", "truncated"}
    assert {row["key"]: row["attempts"] for row in job.rows() if row["key"] < "00003"} == {
        f"0000{number}.jpg": 2 for number in range(3)
    }
    assert [row for row in job.rows() if row["key"] > "00005.jpg"] == answers, "nothing else is touched"

    since = fake_server.total
    assert job.command("rerun", "--kind", "refusal", "--kind", "truncated").code == 0
    assert asked(fake_server, since) == sources(job, 3, 4)
    assert job.kinds() == {"00005.jpg": "cut", "broken.jpg": "truncated"}
    since = fake_server.total
    assert job.command("rerun", "--stage", "parse", "--status", "200").code == 0
    assert asked(fake_server, since) == sources(job, 5)
    (row,) = [row for row in job.rows() if row["key"] == "00005.jpg"]
    assert row["attempts"] == 3, "both answers of the first run, and this one"
    assert job.kinds() == {"broken.jpg": "truncated"}
    (job.folder / "pictures" / "broken.jpg").write_bytes(picture(50))  # mended under the same name
    assert job.command("rerun", "--stage", "prepare").code == 0
    assert job.failures() == []
    assert (job.out / "_SUCCESS").exists()
    assert job.command("verify").code == 0
    assert fake_server.total == 12 + 1 + 3 + 2 + 1 + 1


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["--status", "500"], [0, 1, 2]),
        (["--status", "500", "--status", "200"], [0, 1, 2, 3, 4, 5]),
        (["--kind", "http_5xx", "--stage", "parse"], []),
        (["--older-than", "1h"], []),
        (["--older-than", "0s", "--stage", "call"], [0, 1, 2]),
    ],
)
def test_flags_of_one_kind_mean_any_and_different_flags_mean_all(
    new_job: NewJob, fake_server: FakeServer, options: list[str], numbers: list[int]
) -> None:
    job = troubled(new_job(12), fake_server)
    fake_server.script = scripts.caption()
    since = fake_server.total
    ended = job.command("rerun", *options)
    assert ended.code == 0, ended.stderr
    assert asked(fake_server, since) == sources(job, *numbers)
    if not numbers:
        assert "no failure is like that" in ended.stdout


def test_failures_in_retired_shards_are_found_where_the_manifest_has_them_now(
    new_job: NewJob, fake_server: FakeServer
) -> None:
    job = troubled(new_job(12), fake_server)
    (job.folder / "pictures" / "aaa.jpg").write_bytes(picture(60))  # the folder has changed: its shard is retired
    assert job.run().code == 0
    (job.folder / "pictures" / "00004.jpg").unlink()
    fake_server.script = scripts.caption()
    since = fake_server.total
    ended = job.command("rerun", "--kind", "refusal", "--kind", "http_5xx")
    assert ended.code == 0, ended.stderr
    assert asked(fake_server, since) == sources(job, 0, 1, 2, 3)
    assert ended.event("rerun.vanished")["rows"] == 1
    assert job.kinds() == {"00004.jpg": "refusal", "00005.jpg": "cut", "broken.jpg": "truncated"}
    keys = [row["key"] for row in job.rows()]
    assert len(keys) == len(set(keys)) == 11
    assert {row["attempts"] for row in job.rows() if row["key"] in {"00000.jpg", "00003.jpg"}} == {3, 2}
    assert job.command("verify").code == 0
    since = fake_server.total
    assert job.run().code == 0
    assert fake_server.total == since, "what was not chosen is as final as before"


def test_a_failure_that_fails_again_stands_once(new_job: NewJob, fake_server: FakeServer) -> None:
    job = troubled(new_job(12), fake_server)
    ended = job.command("rerun", "--kind", "refusal")
    assert ended.code == 0, ended.stderr
    assert "2 chosen failures again: 0 have an answer now" in ended.stdout
    assert sorted(job.kinds().values()) == [
        "cut",
        "http_5xx",
        "http_5xx",
        "http_5xx",
        "refusal",
        "refusal",
        "truncated",
    ]
    assert job.command("verify").code == 0


def test_a_rerun_that_is_killed_keeps_its_answers_and_touches_nothing_else(
    new_job: NewJob, fake_server: FakeServer
) -> None:
    from tests.integration.command import COMMAND, Running

    job = troubled(new_job(12, limits={"concurrency": 1}), fake_server)
    fake_server.script = scripts.sequence(scripts.caption(), scripts.hang())
    since = fake_server.total
    with Running([*COMMAND, "rerun", str(job.out), "--kind", "refusal"]) as running:
        until(lambda: fake_server.total == since + 2, "the second call")
        running.kill()
    fake_server.script = scripts.caption()
    since = fake_server.total
    assert job.command("verify").code == 0
    ended = job.command("rerun", "--kind", "refusal")
    assert ended.code == 0, ended.stderr
    assert fake_server.total == since + 1, "the answer that was received is not bought again"
    assert "refusal" not in job.kinds().values()
    assert job.command("verify").code == 0


def test_a_rerun_that_is_stopped_is_not_done(new_job: NewJob, fake_server: FakeServer) -> None:
    import signal

    from tests.integration.command import COMMAND, Running

    job = troubled(new_job(12, limits={"concurrency": 1}), fake_server)
    fake_server.script = scripts.delayed(scripts.caption(), 0.5)
    since = fake_server.total
    with Running([*COMMAND, "rerun", str(job.out), "--kind", "refusal", "--kind", "http_5xx"]) as running:
        until(lambda: fake_server.total == since + 1, "the first call")
        running.signal(signal.SIGTERM)
        ended = running.end()
    assert ended.code == 75, ended.stdout
    assert "questions are left" in ended.stdout
    assert not (job.out / "_SUCCESS").exists()
    assert len(job.failures()) == 6, "one has an answer, the others stand as they stood"


def told(ended: Ended, code: int, *words: str) -> None:
    assert ended.code == code, ended.stderr
    assert "Traceback" not in ended.stderr
    for word in words:
        assert word in ended.stderr


def test_mistakes_are_told(new_job: NewJob, fake_server: FakeServer, tmp_path: Path) -> None:
    job = new_job(2)
    told(job.command("rerun"), 2, "is no output of vlm-batch")
    assert job.run().code == 0
    told(job.command("rerun", "--kind", "refused"), 2, "there is no such kind", "refusal")
    told(job.command("rerun", "--stage", "asking", "--older-than", "soon"), 2, "no such stage", "90s, 15m, 1h or 2d")
    (job.folder / "pictures").rename(job.folder / "moved")
    told(job.command("rerun"), 2, "manifest.path")
    (job.folder / "moved").rename(job.folder / "pictures")
    job.out.rename(job.folder / "elsewhere")
    job.out.symlink_to(job.folder / "elsewhere")
    assert job.command("rerun").code == 0
