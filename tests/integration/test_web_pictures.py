"""Pictures from the web with the real command: a listing of addresses, a web server and a provider that fetches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.command import Job
from tests.manifests.tables import parquet
from tests.support import scripts
from tests.support.exchange import Reply, Request
from tests.support.fake_server import FakeServer
from tests.support.pictures import write_pictures
from tests.support.web_server import WebServer


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    write_pictures(tmp_path / "served", 3)
    with WebServer(tmp_path / "served") as server:
        yield server


def _job(tmp_path: Path, web: WebServer, fake_server: FakeServer, *names: str, **tables: Any) -> Job:
    listing = tmp_path / "list.jsonl"
    addresses = [f"{web.address}/{name}?sig=secret-{number}" for number, name in enumerate(names)]
    listing.write_text("".join(json.dumps({"url": address}) + "\n" for address in addresses))
    tables.setdefault("manifest_", {"allow_private": True})
    return Job(tmp_path, listing, fake_server.base_url, **tables)


NAMES = ("00000.jpg", "00001.jpg", "00002.jpg")


def test_pictures_are_fetched_and_their_signatures_are_nowhere(
    tmp_path: Path, web: WebServer, fake_server: FakeServer
) -> None:
    job = _job(tmp_path, web, fake_server, *NAMES, "gone.jpg")
    ended = job.run("--verbose")
    assert ended.code == 0, ended.stderr
    rows = job.rows()
    assert [row["key"] for row in rows] == [f"{web.address}/{name}" for name in NAMES]
    assert all(row["uri"] == row["key"] and row["width"] == 48 for row in rows)
    assert sorted(row["image_sha256"] for row in rows) == sorted(
        request.image_sha256 for request in fake_server.requests
    )
    (failure,) = job.failures()
    assert (failure["kind"], failure["stage"], failure["http_status"]) == ("not_found", "fetch", 404)
    everything = ended.stdout + ended.stderr + repr(rows) + repr(failure)
    everything += "".join(path.read_bytes().decode("latin-1") for path in job.out.rglob("*") if path.is_file())
    assert "secret" not in everything

    # The same pictures under new signatures are the same rows.
    again = _job(tmp_path, web, fake_server, *NAMES, "gone.jpg").run()
    assert "no call was made" in again.stdout


@pytest.mark.parametrize("kind", ["listing", "parquet"])
def test_a_manifest_of_others_does_not_lead_into_this_network(
    tmp_path: Path, web: WebServer, fake_server: FakeServer, kind: str
) -> None:
    job = _job(tmp_path, web, fake_server, manifest_={})
    hosts = ("127.0.0.1", "localhost", "127.1", "2130706433", "0177.0.0.1", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]")
    addresses = [web.url(NAMES[0]).replace("127.0.0.1", host) for host in hosts]
    if kind == "parquet":
        job.manifest = parquet(tmp_path / "list.parquet", {"url": addresses})
    else:
        job.manifest.write_text("".join(json.dumps({"url": address}) + "\n" for address in addresses))
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert job.kinds() == dict.fromkeys(addresses, "blocked_address")
    assert "manifest.allow_private" in job.failures()[0]["message"]
    assert web.asked == []


def _linked(request: Request) -> bool:
    return request.has('"url":"http')


def test_the_provider_fetches_what_it_can_and_gets_the_rest_inline(
    tmp_path: Path, web: WebServer, fake_server: FakeServer
) -> None:
    def script(request: Request) -> Reply:
        if _linked(request) and request.has("00001.jpg"):
            message = "Error while downloading file. Upstream status code: 403"
            return scripts.error(400, message)(request)
        return scripts.text("A picture.")(request)

    (tmp_path / "served" / "page.html").write_text("<html>")
    fake_server.script = script
    job = _job(tmp_path, web, fake_server, *NAMES, "page.html", provider={"dialect": "vllm"}, images={"send": "url"})
    ended = job.run()
    assert ended.code == 0, ended.stderr
    rows = {row["key"].rpartition("/")[2]: row for row in job.rows()}
    assert set(rows) == set(NAMES)
    assert [(rows[name]["width"], rows[name]["attempts"]) for name in NAMES] == [(None, 1), (48, 2), (None, 1)]
    assert job.kinds() == {f"{web.address}/page.html": "not_an_image"}, "what is no picture is not left to the provider"
    assert sorted(_linked(request) for request in fake_server.requests) == [False, True, True, True]
    fetched = [line for line in web.asked if line.startswith("GET")]
    assert len(fetched) == 2, "one that the provider could not fetch, one that it was not asked to"
    assert "no call was made" in job.run().stdout


def test_a_provider_that_fetches_nothing_is_told_before_the_start(
    tmp_path: Path, web: WebServer, fake_server: FakeServer
) -> None:
    job = _job(tmp_path, web, fake_server, *NAMES, images={"send": "url"})
    ended = job.run()
    assert ended.code == 2
    assert "images.send: it is not known that generic fetches" in ended.stderr
