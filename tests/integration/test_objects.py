"""Pictures in an object store with the real command: a prefix, a listing, and what goes wrong there."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.command import Job
from tests.support.fake_server import FakeServer
from tests.support.moto_store import MotoStore
from tests.support.pictures import picture


def _job(tmp_path: Path, bucket: MotoStore, fake_server: FakeServer, path: str | Path) -> Job:
    job = Job(tmp_path, tmp_path, fake_server.base_url, env=dict(bucket.env))
    job.manifest_["path"] = str(path)
    return job


def test_a_prefix_of_pictures(tmp_path: Path, bucket: MotoStore, fake_server: FakeServer) -> None:
    for number in range(3):
        bucket.put(f"set/{number}.jpg", picture(number))
    job = _job(tmp_path, bucket, fake_server, bucket.url("set/"))
    ended = job.run("--verbose")
    assert ended.code == 0, ended.stderr
    rows = job.rows()
    assert [(row["key"], row["uri"]) for row in rows] == [(f"{n}.jpg", bucket.url(f"set/{n}.jpg")) for n in range(3)]
    everything = ended.stdout + ended.stderr
    everything += "".join(path.read_bytes().decode("latin-1") for path in job.out.rglob("*") if path.is_file())
    assert "very-secret" not in everything
    assert "no call was made" in job.run().stdout
    bucket.put("set/3.jpg", picture(3))
    assert job.run().code == 0
    assert fake_server.total == 4, "only what is new is asked"


def test_a_listing_of_objects_and_one_that_is_gone(tmp_path: Path, bucket: MotoStore, fake_server: FakeServer) -> None:
    addresses = [bucket.put(f"{number}.jpg", picture(number)) for number in range(3)]
    listing = tmp_path / "list.jsonl"
    listing.write_text("".join(json.dumps({"url": url}) + "\n" for url in (*addresses, bucket.url("gone.jpg"))))
    job = _job(tmp_path, bucket, fake_server, listing)
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert [row["key"] for row in job.rows()] == addresses
    assert job.kinds() == {bucket.url("gone.jpg"): "not_found"}
    assert job.failures()[0]["message"] == f"there is nothing at {bucket.url('gone.jpg')}"


def test_a_missing_bucket_is_told_before_any_call(tmp_path: Path, bucket: MotoStore, fake_server: FakeServer) -> None:
    ended = _job(tmp_path, bucket, fake_server, "s3://no-such-bucket/set/").run()
    assert ended.code in {1, 2}
    assert "there is no bucket s3://no-such-bucket/" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert fake_server.total == 0


def test_credentials_that_cannot_be_had_fail_every_row(
    tmp_path: Path, bucket: MotoStore, fake_server: FakeServer
) -> None:
    listing = tmp_path / "list.jsonl"
    listing.write_text(json.dumps({"url": bucket.put("a.jpg", picture(0))}) + "\n")
    job = _job(tmp_path, bucket, fake_server, listing)
    job.env |= {"AWS_ACCESS_KEY_ID": None, "AWS_PROFILE": "no-such-profile"}
    ended = job.run()
    assert set(job.kinds().values()) == {"forbidden"}, ended.stderr
    assert "no-such-profile" in job.failures()[0]["message"]
    assert fake_server.total == 0
