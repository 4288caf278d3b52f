"""A long manifest comes back in another order, some of it signed anew: only what is new or undone is asked."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.integration.command import Job
from tests.manifests.tables import parquet
from tests.support.fake_server import FakeServer
from tests.support.pictures import picture

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


class Bucket:
    """One picture under every name, on loopback; `asked` are the paths of all requests, signatures included."""

    def __init__(self, content: bytes) -> None:
        asked = self.asked = list[str]()

        class Page(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one piece

            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "image/jpeg")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/pictures"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def store() -> Iterator[Bucket]:
    bucket = Bucket(picture(0))
    yield bucket
    bucket.close()


SIGNED_ROWS = 3_000


@pytest.mark.slow
def test_addresses_signed_anew_and_shuffled_overnight_leave_only_what_is_new(
    tmp_path: Path, store: Bucket, fake_server: FakeServer
) -> None:
    job = Job(tmp_path, tmp_path / "train.parquet", fake_server.base_url, limits={"concurrency": 64})
    job.manifest_ = {"allow_private": True, "keep": ["title"]}
    job.tasks = [{"kind": "caption", "context": ["title"]}]

    def write_night(night: int, rows: int) -> None:
        numbers = list(range(rows))
        random.Random(night).shuffle(numbers)
        signed = f"X-Amz-Date=202611{night:02}T000000Z&X-Amz-Signature=secret"
        urls = [f"{store.address}/{n:05}.jpg?{signed}-{n * night}" for n in numbers]
        parquet(job.manifest, {"URL": urls, "title": [f"title {n:05}." for n in numbers]}, row_group_size=700)

    write_night(1, SIGNED_ROWS)
    assert job.run(patience=120).code == 0
    done = {row["key"]: row for row in job.rows()}
    assert len(done) == fake_server.total == SIGNED_ROWS

    new = SIGNED_ROWS // 100
    write_night(2, SIGNED_ROWS + new)
    fetched = len(store.asked)
    ended = job.run()
    assert ended.code == 0, ended.stderr
    planned = ended.event("manifest.planned")
    assert (planned["new_rows"], planned["vanished"]) == (new, 0)
    assert fake_server.total == SIGNED_ROWS + new
    assert sorted(path.partition("?")[0] for path in store.asked[fetched:]) == [
        f"/pictures/{n:05}.jpg" for n in range(SIGNED_ROWS, SIGNED_ROWS + new)
    ]
    assert all("Date=20261102T" in path for path in store.asked[fetched:]), "by tonight's addresses"
    rows = {row["key"]: row for row in job.rows()}
    assert rows.keys() == {f"{store.address}/{n:05}.jpg" for n in range(SIGNED_ROWS + new)}
    assert all(row["title"] == f"title {key[-9:-4]}." for key, row in rows.items())
    assert {key: rows[key] for key in done} == done
    assert job.command("verify").code == 0
