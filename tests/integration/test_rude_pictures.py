"""Ten thousand addresses of a server that does everything wrong: the run ends in time, and says of each row why."""

from __future__ import annotations

import gzip
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.integration.command import Job, Running
from tests.support.fake_server import FakeServer
from tests.support.pictures import not_a_picture, picture, truncated
from tests.support.rude_server import (
    Page,
    RudeServer,
    after,
    answer,
    endless,
    head,
    in_a_thread,
    raw,
    redirect,
    sequence,
    silent,
)

ROWS = 10_000
DISTINCT = 40
DEADLINE_S = 3
PATIENCE_S = 150
"""For a machine that has other things to do; alone it takes about 25 s."""


@dataclass(frozen=True)
class Behaviour:
    """So many rows whose address gives this page, and what becomes of them; `visits` are requests for each row."""

    rows: int
    page: Page
    ends: str
    status: int | None = None
    visits: int | None = 1


def once_for_each(first: Page, then: Page) -> Page:
    """`first` for the first visit to an address, `then` for later ones."""
    pages: dict[str, Page] = {}

    async def page(visit: Any, writer: Any) -> None:
        await pages.setdefault(visit.path, sequence(first, then))(visit, writer)

    return page


async def good(visit: Any, writer: Any) -> None:
    """One of the distinct pictures, by the number in the address."""
    content = CONTENTS[int(visit.path.rpartition("/")[2].partition(".")[0]) % DISTINCT]
    await answer(200, content, (("Content-Type", "image/jpeg"),))(visit, writer)


async def circle(visit: Any, writer: Any) -> None:
    """To the same address again and again."""
    await redirect(visit.path, 308)(visit, writer)


async def to_good(visit: Any, writer: Any) -> None:
    await redirect(f"/good/{visit.path.rpartition('/')[2]}")(visit, writer)


async def slow_headers(_: Any, writer: Any) -> None:
    """A header every now and then, never the end of them."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: x\r\n")
        await writer.drain()
        await anyio.sleep(0.2)


CONTENTS = [picture(number) for number in range(DISTINCT)]
HTML = (("Content-Type", "image/jpeg"),)
ZIPPED = (("Content-Encoding", "gzip"),)
CHUNKED = (("Transfer-Encoding", "chunked"),)
BEHAVIOURS: dict[str, Behaviour] = {
    "good": Behaviour(0, good, "answered", visits=None),  # all that is left of the ten thousand
    "moved": Behaviour(400, to_good, "answered"),
    "zipped": Behaviour(100, answer(200, gzip.compress(CONTENTS[0]), ZIPPED), "answered"),
    "recovers": Behaviour(40, once_for_each(answer(503), good), "answered", visits=2),
    "patient": Behaviour(20, once_for_each(answer(429, b"", (("Retry-After", "1"),)), good), "answered", visits=2),
    "gone": Behaviour(1500, answer(404, b"gone"), "not_found", 404),
    "long_gone": Behaviour(300, answer(410), "not_found", 410),
    "forbidden": Behaviour(600, answer(403), "forbidden", 403),
    "login": Behaviour(200, answer(401, b"", (("WWW-Authenticate", "Basic"),)), "forbidden", 401),
    "no_models": Behaviour(200, answer(200, CONTENTS[0], (("X-Robots-Tag", "noai"),)), "forbidden", 200),
    "teapot": Behaviour(100, answer(418), "fetch_failed", 418),
    "page": Behaviour(800, answer(200, not_a_picture(), HTML), "not_an_image"),
    "empty": Behaviour(100, answer(200), "not_an_image"),
    "half": Behaviour(200, answer(200, truncated(1)), "truncated"),
    "claims": Behaviour(100, raw(head(200, ("Content-Length", str(10**12)))), "too_large", 200),
    "circle": Behaviour(100, circle, "fetch_failed", visits=6),
    "to_file": Behaviour(100, redirect("file:///etc/passwd"), "blocked_address"),
    "to_metadata": Behaviour(100, redirect("http://169.254.169.254/latest/meta-data/"), "blocked_address"),
    "down": Behaviour(40, answer(500), "fetch_failed", 500, 3),
    "busy": Behaviour(10, answer(429, b"", (("Retry-After", "1"),)), "fetch_failed", 429, 3),
    "much_too_busy": Behaviour(40, answer(429, b"", (("Retry-After", "3600"),)), "fetch_failed", 429),
    "short": Behaviour(20, answer(200, CONTENTS[0], missing=10), "fetch_failed", visits=3),
    "half_a_chunk": Behaviour(20, raw(head(200, *CHUNKED) + b"5\r\nhello\r\n"), "fetch_failed", visits=3),
    "reset": Behaviour(20, raw(head(200, ("Content-Length", "999")) + b"x", reset=True), "fetch_failed", visits=3),
    "hangs_up": Behaviour(20, raw(b""), "fetch_failed", visits=None),
    "no_http": Behaviour(20, raw(b"SSH-2.0-OpenSSH_9\r\n\r\n"), "fetch_failed", visits=None),
    "silent": Behaviour(8, silent, "fetch_timeout"),
    "drips": Behaviour(8, endless(b"", b"x", seconds=0.2), "fetch_timeout"),
    "slow_headers": Behaviour(8, slow_headers, "fetch_timeout"),
    "late": Behaviour(8, after(DEADLINE_S + 30, good), "fetch_timeout"),
    "endless": Behaviour(3, endless(b"", bytes(65536)), "too_large or fetch_timeout"),
}


@pytest.fixture
def web() -> Iterator[RudeServer]:
    with in_a_thread(RudeServer({f"/{name}/": one.page for name, one in BEHAVIOURS.items()})) as server:
        yield server


@pytest.mark.slow
def test_ten_thousand_addresses_of_a_rude_server(tmp_path: Path, web: RudeServer, fake_server: FakeServer) -> None:
    names = [name for name, one in BEHAVIOURS.items() for _ in range(one.rows)]
    names += ["good"] * (ROWS - len(names))
    random.Random(5).shuffle(names)
    paths = [f"/{name}/{number}.jpg" for number, name in enumerate(names)]
    listing = tmp_path / "list.jsonl"
    listing.write_text("".join(json.dumps({"url": web.url(path)}) + "\n" for path in paths))
    job = Job(
        tmp_path,
        listing,
        fake_server.base_url,
        run_={"max_input_failure_share": 1.0},
        manifest_={"allow_private": True},
        limits={"downloads_per_host": 32},
    )
    hurried = [sys.executable, "-m", "tests.integration.hurried", str(DEADLINE_S), "run", str(job.write())]
    with Running(hurried) as running:
        ended = running.end(PATIENCE_S)
    assert ended.code == 0, ended.stderr
    assert "Traceback" not in ended.stderr

    failures = {row["key"]: row for row in job.failures()}
    outcome = dict.fromkeys((row["key"] for row in job.rows()), "answered")
    assert not outcome.keys() & failures.keys()
    outcome |= {key: row["kind"] for key, row in failures.items()}
    assert outcome.keys() == {web.url(path) for path in paths}
    ends = Counter((name, outcome[web.url(path)]) for name, path in zip(names, paths, strict=True))
    assert {name: kind for name, kind in ends if kind not in BEHAVIOURS[name].ends.split(" or ")} == {}
    for key, row in failures.items():
        expected = BEHAVIOURS[key.split("/")[3]]
        if expected.status is not None:
            assert (row["http_status"], key) == (expected.status, key)
        assert row["stage"] == ("prepare" if row["kind"] in {"not_an_image", "truncated"} else "fetch")
        assert key in row["message"] or row["stage"] == "prepare"

    visits = Counter(path.split("/")[1] for path in web.paths)
    for name, one in BEHAVIOURS.items():
        assert one.visits is None or visits[name] == one.visits * one.rows, name
    assert fake_server.total == DISTINCT, "equal pictures are one question, however often they are fetched"
