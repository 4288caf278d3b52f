"""Everyday mistakes: each is told in one clear sentence with the documented exit code, and costs nobody an answer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.command import COMMAND, Ended, Job, Running, told
from tests.support import scripts
from tests.support.fake_server import FakeServer
from tests.support.pictures import BROKEN, write_pictures

NewJob = Callable[..., Job]


def listing(job: Job, lines: list[Any]) -> Job:
    """Point the job at a listing beside the pictures; a line that is a text is written as it is."""
    job.manifest = job.folder / "pictures" / "listing.jsonl"
    job.manifest.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return job


# ---- the server ----


def test_broken_pictures_fail_alone(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(10)
    for name, make in BROKEN.items():
        (job.manifest / f"{name}.jpg").write_bytes(make())
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert len(job.rows()) == fake_server.total == 10
    assert job.kinds() == {
        "bomb.jpg": "too_many_pixels",
        "empty.jpg": "not_an_image",
        "not_a_picture.jpg": "not_an_image",
        "truncated_jpeg.jpg": "truncated",
        "truncated_png.jpg": "truncated",
    }
    assert all(row["stage"] == "prepare" and row["message"] for row in job.failures())
    assert "1 too_many_pixels" in ended.stdout


def test_a_missing_folder(new_job: NewJob, tmp_path: Path) -> None:
    job = new_job(1)
    job.manifest = tmp_path / "pictrues"
    told(job.run(), 2, "manifest.path", "there is no file or folder", str(job.manifest))


@pytest.mark.parametrize("kind", ["folder", "listing"])
def test_an_empty_manifest_is_not_taken_for_success(new_job: NewJob, tmp_path: Path, kind: str) -> None:
    job = new_job(0)
    if kind == "listing":
        listing(job, [])
    else:
        (job.manifest / "notes.txt").write_text("no picture")
    told(job.run(), 2, "manifest.path", "no picture is found in", str(job.manifest))
    assert not (job.out / "_SUCCESS").exists()
    if kind == "listing":
        write_pictures(tmp_path / "pictures", 1)
        listing(job, [{"image": "00000.jpg"}])
        assert job.run().code == 0
        assert len(job.rows()) == 1


def test_bad_rows_of_a_listing_fail_alone_under_their_own_names(new_job: NewJob, fake_server: FakeServer) -> None:
    job = listing(
        new_job(2),
        [
            {"image": "00000.jpg"},
            "{not json",
            {"image": None},
            {"image": "missing.jpg"},
            {"image": "ftp://example.org/cat.jpg?token=abc"},
            {"image": ["00001.jpg"]},
            '"a text"',
            {"image": "00001.jpg"},
        ],
    )
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert [row["key"] for row in job.rows()] == ["00000.jpg", "00001.jpg"]
    assert fake_server.total == 2
    assert job.kinds() == {
        "listing.jsonl:2": "bad_row",
        "listing.jsonl:3": "no_image",
        "missing.jpg": "not_found",
        "ftp://example.org/cat.jpg": "bad_row",
        "listing.jsonl:6": "bad_row",
        "listing.jsonl:7": "bad_row",
    }
    remote = next(row for row in job.failures() if row["key"].startswith("ftp:"))
    assert "ftp:// is no address that a manifest may name" in remote["message"]
    assert "6 have no answer" in ended.stdout


def test_a_key_that_stands_twice(new_job: NewJob, fake_server: FakeServer) -> None:
    job = listing(new_job(2), [{"image": "00000.jpg"}, {"image": "00001.jpg"}, {"image": "00000.jpg"}])
    told(job.run(), 1, "names keys more than once", "'00000.jpg'", "manifest.key")
    assert fake_server.total == 0


def test_a_column_that_is_not_there(new_job: NewJob) -> None:
    job = listing(new_job(1, manifest_={"keep": ["licence"]}), [{"image": "00000.jpg", "license": "CC0"}])
    told(job.run(), 1, "no column 'licence'", "image, license")


def test_columns_asked_of_a_folder(new_job: NewJob) -> None:
    told(
        new_job(1, manifest_={"keep": ["licence"]}).run(),
        2,
        "is a folder of pictures, which has no columns",
        "manifest.keep",
    )


def test_a_kept_column_never_hides_an_answer(new_job: NewJob) -> None:
    kept = {"manifest_": {"keep": ["caption", "stars"]}}
    job = listing(
        new_job(2, **kept),
        [{"image": "00000.jpg", "caption": "old", "stars": 3}, {"image": "00001.jpg", "caption": None, "stars": 5}],
    )
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert ended.event("output.column_renamed")["written_as"] == "source_caption"
    assert [(row["source_caption"], row["stars"]) for row in job.rows()] == [("old", 3), (None, 5)]
    assert all(row["caption"].startswith("A picture known as ") for row in job.rows())


# ---- the disk ----


def test_the_columns_of_an_output_are_fixed(new_job: NewJob, fake_server: FakeServer) -> None:
    job = listing(new_job(1, manifest_={"keep": ["stars"]}), [{"image": "00000.jpg", "stars": 5, "place": "x"}])
    assert job.run().code == 0
    told(job.run("--set", 'manifest.keep=["place"]'), 2, "manifest.keep", "fixed as ['stars']", "run.output")
    assert [row["stars"] for row in job.rows()] == [5]
    assert fake_server.total == 1


def test_a_full_disk_loses_no_answer_at_all(new_job: NewJob, fake_server: FakeServer) -> None:
    """Not even those that were on the wire when it filled up."""
    job = new_job(80, limits={"concurrency": 4})
    fake_server.script = scripts.delayed(scripts.caption(), 0.05)
    told(job.run(file_bytes=40_000), 1, "The disk is full, or a size limit is reached", "run the same command again")
    assert not (job.out / "_SUCCESS").exists()
    kept = job.kept_answers()
    assert kept == {answer["request_id"] for answer in fake_server.answers()}
    assert 10 < len(kept) < 80
    assert job.command("verify").code == 0
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert len(job.rows()) == fake_server.total == 80, "no answer was bought twice"
    assert kept <= {row["request_id"] for row in job.rows()}
    assert job.command("verify").code == 0


# ---- the configuration ----


def test_a_changed_prompt_is_refused_and_touches_nothing(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(3)
    assert job.run().code == 0
    before = job.tree()
    job.tasks = [{"kind": "caption", "prompt": "Say it in French."}]
    told(job.run(), 2, "tasks.caption: prompt changed since", "run.output")
    assert job.tree() == before
    assert fake_server.total == 3


def test_five_mistakes_are_told_at_once(new_job: NewJob) -> None:
    job = new_job(
        1,
        run_={"max_failure_share": 3},
        limits={"concurency": 4},
        provider={"dialect": "firewrks"},
        images={"max_size": 512},
        tasks=[{"kind": "captoin"}],
    )
    ended = job.run()
    assert (ended.code, "Traceback" in ended.stderr) == (2, False)
    assert sorted(ended.errors) == [
        "images.max_size: there is no such key; did you mean 'max_side'?",
        "limits.concurency: there is no such key; did you mean 'concurrency'?",
        "provider.dialect: there is no dialect 'firewrks'; did you mean 'fireworks'?",
        "run.max_failure_share: input should be less than or equal to 1",
        "tasks.0.kind: there is no task 'captoin'; did you mean 'caption'?",
    ]
    assert not job.out.exists()


def command(*arguments: str) -> Ended:
    with Running([*COMMAND, "run", *arguments]) as running:
        return running.end()


def test_a_file_that_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text('[run]\noutput = "out\n')
    told(command(str(tmp_path / "job.toml")), 2, "job.toml is no valid TOML", "line 2")
    told(command(str(tmp_path / "jop.toml")), 2, "Cannot read the configuration", "jop.toml", "No such file")


def test_an_unknown_option(tmp_path: Path) -> None:
    ended = command(str(tmp_path / "job.toml"), "--limmit", "3")
    assert ended.code == 2
    assert "No such option: --limmit" in ended.stderr
    assert "Traceback" not in ended.stderr
