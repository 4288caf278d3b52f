"""Kept answers read again by another parser: what changes, what must not, and that nobody is asked."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.integration.command import COMMAND, Ended, Job, Running, until
from tests.integration.test_answers import PRICED, judged, sha
from tests.support import scripts
from tests.support.exchange import Usage
from tests.support.fake_server import FakeServer

NewJob = Callable[..., Job]
TASKS = ("caption", "ocr", "moderate")
SAFE = json.dumps(
    {
        "verdict": "safe",
        "labels": [],
        "scores": dict.fromkeys(("sexual", "violence", "violence/graphic", "self-harm"), 0.0),
        "reason": "Nothing.",
    }
)
KEYS = sorted([*(f"{number:05d}.jpg" for number in range(12)), "copy-0.jpg", "copy-1.jpg", "missing.jpg"])
ENVELOPE = {
    *("key", "uri", "licence", "raw_text", "finish_reason", "model", "served_model", "prompt_sha256", "image_sha256"),
    *("request_sha256", "width", "height", "sent_width", "sent_height", "prompt_tokens", "cached_tokens"),
    *("image_tokens", "completion_tokens", "reasoning_tokens", "cost_usd", "attempts", "latency_ms", "request_id"),
    *("dedup_of", "finished_at", "run_id", "shard", "ordinal"),
}


def reparse(job: Job, to: Path, *, parser: str | None = None, out: Path | None = None, **options: Any) -> Ended:
    command = COMMAND if parser is None else [sys.executable, "-m", "tests.integration.parsers", parser]
    with Running([*command, "reparse", str(out or job.out), "--to", str(to)], **options) as running:
        return running.end()


def beside(job: Job) -> Job:
    """The same job with another output."""
    again = replace(job, folder=job.folder / "again")
    again.folder.mkdir()
    return again


@pytest.fixture
def answered(new_job: NewJob, fake_server: FakeServer) -> Job:
    """Three tasks over fourteen pictures, two of them copies, and one that is missing, with all that may go wrong."""
    usage = Usage(prompt=100, completion=50, cached=0)
    fake_server.script = scripts.by_marker(
        {
            '"json_schema"': scripts.by_picture(
                {
                    sha(3): scripts.refusal(SAFE),
                    sha(4): scripts.content_filter(SAFE),
                    sha(5): scripts.text("It is safe.", usage),
                    sha(7): judged("violence"),
                },
                judged(),
            ),
            '"model":"fake/ocr"': scripts.text("language: en\n\n  Line 7 of 9", usage),
        },
        scripts.by_picture(
            {
                sha(1): scripts.cut_by_length("A cat and", usage),
                sha(2): scripts.text("I can't help with that.", usage),
                sha(3): scripts.refusal("Better not."),
                sha(4): scripts.content_filter("A man"),
                sha(5): scripts.text(" "),
                sha(7): scripts.text("Caption: 7 birds", usage),
            },
            scripts.text('"A cat."', usage),
        ),
    )
    job = new_job(
        12,
        tasks=[{"kind": "caption"}, {"kind": "ocr", "model": "fake/ocr"}, {"kind": "moderate"}],
        run_={"max_failure_share": 1},
        manifest_={"keep": ["licence"]},
        provider={"model": PRICED, "api_key_env": "A_KEY"},
        env={"A_KEY": "secret"},
    )
    pictures = job.manifest
    for number in (0, 1):
        shutil.copy(pictures / f"{number:05d}.jpg", pictures / f"copy-{number}.jpg")
    job.manifest = pictures / "listing.jsonl"
    job.manifest.write_text("".join(json.dumps({"image": key, "licence": f"of {key}"}) + "\n" for key in KEYS))
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert {row["dedup_of"] for task in TASKS for row in job.rows(task)} == {None, "00000.jpg", "00001.jpg"}
    assert job.kinds("caption") == {
        **dict.fromkeys(("00001.jpg", "copy-1.jpg"), "cut"),
        **dict.fromkeys(("00002.jpg", "00003.jpg"), "refusal"),
        "00004.jpg": "content_filter",
        "00005.jpg": "empty",
        "missing.jpg": "not_found",
    }
    return job


def tree(job: Job) -> dict[str, str]:
    """Every file but the index of questions, which is a cache: SQLite folds its log into it on closing."""
    return {name: digest for name, digest in job.tree().items() if not name.startswith("_run/index")}


def together(job: Job, task: str) -> dict[str, dict[str, Any]]:
    """Every row by key, and that each planned one is there once."""
    rows = [*job.rows(task), *job.failures(task)]
    assert sorted(row["key"] for row in rows) == KEYS
    return {row["key"]: row for row in rows}


def test_an_unchanged_parser_makes_the_same_output_without_key_manifest_or_call(
    answered: Job, fake_server: FakeServer
) -> None:
    asked, before = fake_server.total, answered.tree()
    answered.manifest.parent.rename(answered.folder / "gone")
    again = beside(answered)
    ended = reparse(answered, again.out, env={"A_KEY": "this is no key"})
    assert ended.code == 0, ended.stderr
    assert (fake_server.total, answered.tree()) == (asked, before)
    for task in TASKS:
        assert again.rows(task) == answered.rows(task)
        assert again.failures(task) == answered.failures(task)
        together(again, task)
        for part in (again.out / "data" / task).iterdir():
            assert pq.read_schema(part) == pq.read_schema(answered.out / "data" / task / part.name)
    after = again.tree()
    for name in ("README.md", "summary.json", "_SUCCESS", "_run/plan/000001.json", "_run/plan/000001.rows"):
        assert after[name] == before[name]
    ours = {"_run/segments", "_run/runs.jsonl"}  # of runs that asked
    assert {name for name in before if "journal" not in name} - ours == set(after) - ours
    assert f"data: {again.out / 'data' / 'caption'}" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "No call was made."
    figures = {line.split("│")[1].strip(): line.split("│")[2:-1] for line in ended.stdout.splitlines() if "│" in line}
    # 12 of 15 captions are read again: not the missing one, not the refusals, not what the filter stopped.
    assert [int(figure) for figure in figures["caption"]] == [11, 0, 0, 0, 0, 4]

    (answered.folder / "gone").rename(answered.manifest.parent)
    nothing = again.run()
    assert (nothing.code, fake_server.total) == (0, asked), nothing.stderr
    assert "Nothing to do: no call was made." in nothing.stdout


def test_another_parser_changes_answers_and_nothing_that_was_paid(answered: Job, fake_server: FakeServer) -> None:
    asked, again = fake_server.total, beside(answered)
    ended = reparse(answered, again.out, parser="loud")
    assert (ended.code, fake_server.total) == (0, asked), ended.stderr
    told = {row["key"]: row["caption"] for row in answered.rows()}
    assert {row["key"]: row["caption"] for row in again.rows()} == {key: said.upper() for key, said in told.items()}
    for task in TASKS:
        before, after = together(answered, task), together(again, task)
        for key, row in before.items():
            assert {name: after[key][name] for name in ENVELOPE} == {name: row[name] for name in ENVELOPE}
    assert next(row for row in again.rows() if row["key"] == "copy-0.jpg")["caption"] == "A CAT."
    assert "│ caption  │     11 │               8 │" in ended.stdout


def test_a_stricter_parser_makes_failures_and_a_laxer_one_answers_but_never_of_a_refusal(
    answered: Job, fake_server: FakeServer
) -> None:
    asked, stricter = fake_server.total, beside(answered)
    ended = reparse(answered, stricter.out, parser="strict")
    assert ended.code == 0, ended.stderr
    before, after = together(answered, "caption"), together(stricter, "caption")
    assert stricter.kinds() == {**answered.kinds(), "00007.jpg": "schema_mismatch"}
    failed = after["00007.jpg"]
    assert (failed["raw_text"], failed["message"]) == ("Caption: 7 birds", "sevens are not wanted any more")
    assert (failed["stage"], failed["retryable"], failed["next_try_at"]) == ("parse", False, None)
    assert {name: failed[name] for name in ENVELOPE} == {name: before["00007.jpg"][name] for name in ENVELOPE}
    assert stricter.rows("ocr") == []
    assert (stricter.out / "_SUCCESS").exists()

    # Out of the failures that the strict parser made come the first answers again, column by column but for `pages`,
    # which failures do not have.
    back = replace(answered, folder=answered.folder / "back")
    assert reparse(answered, back.out, out=stricter.out).code == 0
    assert [_without_pages(back.rows(task)) for task in TASKS] == [
        _without_pages(answered.rows(task)) for task in TASKS
    ]
    assert {row["pages"] for row in back.rows("ocr")} == {None}

    laxer = replace(answered, folder=answered.folder / "laxer")
    ended = reparse(answered, laxer.out, parser="lenient")
    assert ended.code == 0, ended.stderr
    for task in TASKS:
        together(laxer, task)
    captions = {row["key"]: row["caption"] for row in laxer.rows()}
    assert (captions["00001.jpg"], captions["copy-1.jpg"], captions["00005.jpg"]) == ("A cat and", "A cat and", " ")
    stays = {key: row for key, row in before.items() if row.get("kind") in {"refusal", "content_filter", "not_found"}}
    assert {row["key"]: row for row in laxer.failures()} == stays
    assert laxer.kinds("moderate") == {
        "00003.jpg": "refusal",
        "00004.jpg": "content_filter",
        "missing.jpg": "not_found",
    }
    assert fake_server.total == asked


def test_columns_are_those_of_today(answered: Job) -> None:
    again = beside(answered)
    ended = reparse(answered, again.out, parser="wider")
    assert ended.code == 0, ended.stderr
    kept = {row["key"]: row["licence"] for row in answered.rows()}
    assert {row["key"]: row["source_licence"] for row in again.rows()} == kept
    assert {row["licence"] for row in again.rows()} == {"stop"}
    back = replace(answered, folder=answered.folder / "back")
    assert reparse(answered, back.out, out=again.out).code == 0
    assert [back.rows(task) for task in TASKS] == [answered.rows(task) for task in TASKS]
    assert [back.failures(task) for task in TASKS] == [answered.failures(task) for task in TASKS]


def test_what_a_kill_left_is_in_the_new_output_and_the_rest_is_asked_there(
    new_job: NewJob, fake_server: FakeServer
) -> None:
    job = new_job(20, limits={"concurrency": 2}, provider={"model": PRICED})
    usage = Usage(prompt=100, completion=50, cached=0)
    fake_server.script = scripts.by_picture(
        {sha(1): scripts.sequence(scripts.cut_by_length("A cat and", usage), scripts.hang())},
        scripts.fail_first(8, scripts.caption(usage), scripts.hang()),
    )
    with job.start() as running:
        until(lambda: fake_server.answered == 9 and fake_server.in_flight == 2, "a full server")
        until(lambda: len(job.journaled()) == 9, "the journal")
        running.kill()
    asked, before = fake_server.total, tree(job)
    again = beside(job)
    ended = reparse(job, again.out)
    assert ended.code == 0, ended.stderr
    assert (fake_server.total, tree(job)) == (asked, before)
    bought = {answer["request_id"] for answer in fake_server.answers()}
    assert len(bought) == 9
    assert again.kept_answers() == bought
    assert len(again.rows()) == 8
    assert "12 questions are left" in ended.stdout
    assert not (again.out / "_SUCCESS").exists()
    told = json.loads((again.out / "summary.json").read_bytes())
    assert told["left"] == 12

    fake_server.script = scripts.caption(usage)
    ended = again.run("--set", f"run.output={again.out}")
    assert ended.code == 0, ended.stderr
    assert fake_server.total == asked + 12
    assert [row["key"] for row in again.rows()] == [f"{number:05d}.jpg" for number in range(20)]
    assert {row["attempts"] for row in again.rows() if row["key"] != "00001.jpg"} == {1}
    (repaired,) = [row for row in again.rows() if row["key"] == "00001.jpg"]
    assert (repaired["attempts"], repaired["cost_usd"]) == (2, pytest.approx(2 * 150 * 0.20 / 1e6))
    assert (again.out / "_SUCCESS").exists()
    assert tree(job) == before


def test_failures_that_may_pass_are_carried_over_and_tried_again_there(
    new_job: NewJob, fake_server: FakeServer
) -> None:
    job = new_job(4, retry={"attempts": 1}, run_={"max_failure_share": 1})
    fake_server.script = scripts.by_picture({sha(2): scripts.error(503)})
    assert job.run().code == 0
    (failure,) = job.failures()
    assert (failure["kind"], failure["retryable"]) == ("http_5xx", True)
    again = beside(job)
    ended = reparse(job, again.out)
    assert ended.code == 0, ended.stderr
    assert again.failures() == [failure]
    assert not (again.out / "_SUCCESS").exists()
    assert "1 failed in a way that may pass: such a run tries them again." in ended.stdout
    fake_server.script, asked = scripts.caption(), fake_server.total
    assert again.run().code == 0
    assert (fake_server.total, again.failures(), len(again.rows())) == (asked + 1, [], 4)


def _without_pages(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "pages"} for row in rows]
