"""What a picture's address gives, and what each misbehaviour of a server is called."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from typing import Any

import pytest

from pipeline import __version__
from pipeline.core.errors import ItemError
from pipeline.storage.web import Fetched, WebFetcher
from tests.storage.fetching import PICTURE, failing, fetching
from tests.support.rude_server import (
    Page,
    RudeServer,
    answer,
    bomb,
    endless,
    head,
    raw,
    sequence,
)
from tests.support.virtual_time import run_virtual

MIB = 1 << 20


def test_a_picture_comes_as_it_lies_there() -> None:
    fetched, server = fetching({"/a": answer(200, PICTURE, (("Content-Type", "Image/JPEG; q=1"),))})
    assert fetched == Fetched(PICTURE, server.url("/a"), "image/jpeg")
    assert server.visits[0].method == "GET"
    assert server.visits[0].headers == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": f"vlm-batch/{__version__}",
        "accept": "*/*",
        "accept-encoding": "identity",
    }


def test_whatever_is_answered_with_200_is_bytes() -> None:
    fetched, _ = fetching({"/a": answer(200, b"<html>sorry</html>", (("Content-Type", "text/html"),))})
    assert (fetched.data, fetched.content_type) == (b"<html>sorry</html>", "text/html")
    empty, _ = fetching({"/a": answer(200)})
    assert (empty.data, empty.content_type) == (b"", None)


@pytest.mark.parametrize(
    ("status", "kind", "visits"),
    [
        (404, "not_found", 1),
        (410, "not_found", 1),
        (401, "forbidden", 1),
        (403, "forbidden", 1),
        (451, "forbidden", 1),
        (400, "fetch_failed", 1),
        (418, "fetch_failed", 1),
        (204, "fetch_failed", 1),
        (206, "fetch_failed", 1),
        (304, "fetch_failed", 1),
        (302, "fetch_failed", 1),  # without a location
        (429, "fetch_failed", 3),
        (500, "fetch_failed", 3),
        (503, "fetch_failed", 3),
    ],
)
def test_a_status_has_its_kind_and_only_passing_ones_are_tried_again(status: int, kind: str, visits: int) -> None:
    error, server = failing({"/a": answer(status)}, kind)
    assert (error.status, len(server.visits)) == (status, visits)
    assert server.url("/a") in error.message
    assert str(status) in error.message


@pytest.mark.parametrize(
    "bad",
    [
        answer(500),
        answer(429),
        answer(200, PICTURE, missing=10),
        raw(head(200, ("Content-Length", "1000")) + b"half", reset=True),
        raw(b""),
        raw(b"SSH-2.0-OpenSSH_9\r\n\r\n"),
        raw(head(200, ("Transfer-Encoding", "chunked")) + b"5\r\nhello\r\n"),
        raw(head(200, ("Content-Length", "9"), ("Content-Encoding", "gzip")) + b"not gzip."),
        raw(head(200, ("X-Filler", "x" * 70_000))),
        raw(head(200, *((f"X-{number}", "x" * 7_000) for number in range(200)))),
    ],
    ids=[
        "500",
        "429",
        "short",
        "reset",
        "nothing",
        "no http",
        "half a chunk",
        "no gzip",
        "huge header",
        "many headers",
    ],
)
def test_what_may_pass_is_tried_again_and_then_called_failed(bad: Page) -> None:
    fetched, server = fetching({"/a": sequence(bad, answer(200, PICTURE))})
    assert (fetched.data, len(server.visits)) == (PICTURE, 2)
    _, server = failing({"/a": bad}, "fetch_failed")
    # Where the connection ends without a byte, aiohttp repeats a GET once by itself.
    assert len(server.visits) in {3, 6}


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    fetched, _ = fetching({"/a": raw(head(200, ("Connection", "close")) + PICTURE)})
    assert fetched.data == PICTURE


def test_the_cap_is_the_last_size_that_passes() -> None:
    for size in (0, 1, 999, 1000):
        fetched, _ = fetching({"/a": answer(200, b"x" * size)}, max_bytes=1000)
        assert len(fetched.data) == size
    error, server = failing({"/a": answer(200, b"x" * 1001)}, "too_large", max_bytes=1000)
    assert "1,000 bytes" in error.message
    assert len(server.visits) == 1, "it will not be smaller the next time"


@pytest.mark.parametrize(
    "page",
    [
        raw(head(200, ("Content-Length", str(10**12)))),  # believed, without waiting for it
        endless(b"", b"x" * 65536),
        endless(b"", b"8000\r\n" + b"x" * 32768 + b"\r\n", (("Transfer-Encoding", "chunked"),)),
        answer(200, bomb(64), (("Content-Encoding", "gzip"),)),
    ],
    ids=["claimed", "endless", "endless chunks", "bomb"],
)
def test_too_large_is_found_out_without_holding_it(page: Page) -> None:
    tracemalloc.start()
    try:
        failing({"/a": page}, "too_large", max_bytes=4 * MIB)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 7 * MIB


def test_a_picture_of_the_cap_is_held_once() -> None:
    async def page(_: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, ("Content-Length", str(32 * MIB))))
        for _ in range(512):
            writer.write(bytes(65536))
            await writer.drain()

    tracemalloc.start()
    try:
        fetched, _ = fetching({"/a": page}, max_bytes=32 * MIB)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(fetched.data) == 32 * MIB
    assert peak < 38 * MIB


def test_a_compressed_body_counts_decompressed() -> None:
    body = gzip.compress(b"x" * 1000)
    page = answer(200, body, (("Content-Encoding", "gzip"),))
    fetched, _ = fetching({"/a": page}, max_bytes=1000)
    assert fetched.data == b"x" * 1000
    failing({"/a": page}, "too_large", max_bytes=999)


def test_a_fetcher_may_be_made_before_the_loop_runs() -> None:
    fetcher, server = WebFetcher(allow_private=True), RudeServer({"/a": answer(200, PICTURE)})

    async def scenario() -> Fetched:
        async with server, fetcher:
            return await fetcher.fetch(server.url("/a", host="localhost"))

    assert run_virtual(scenario).data == PICTURE


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert fetching({"/a": answer(200, PICTURE)})[0].data == PICTURE


@pytest.mark.parametrize("status", [404, 403, 500, 400, 302])
def test_no_message_shows_what_signs_an_address(status: int) -> None:
    path = "/a?X-Amz-Signature=SECRET&token=SECRET&v=1"
    to = f"/b?sig=SECRET&se=SECRET&n={'x' * 400}" if status == 302 else ""
    error, server = failing(
        {path: answer(status, b"", (("Location", to),) if to else ())},
        {404: "not_found", 403: "forbidden", 302: "not_found"}.get(status, "fetch_failed"),
        path,
    )
    assert "SECRET" not in error.message
    assert server.url("/a?v=1") in error.message


@pytest.mark.parametrize("broken", [raw(b""), raw(head(200, ("X", "x" * 70_000))), raw(b"no\r\n\r\n")])
def test_no_message_about_a_broken_answer_shows_it_either(broken: Page) -> None:
    error, _ = failing({"/a?token=SECRET": broken}, "fetch_failed", "/a?token=SECRET")
    again, _ = failing({"/a?token=SECRET": broken}, "fetch_failed", "/a?token=SECRET")
    assert "SECRET" not in error.message
    assert error.message.partition("/a:")[2] == again.message.partition("/a:")[2] != ""


def robots(*values: str) -> Page:
    return answer(200, PICTURE, tuple(("X-Robots-Tag", value) for value in values))


def test_a_picture_that_models_are_not_to_read_is_forbidden() -> None:
    for method in ("fetch", "probe"):
        error, _ = fetching({"/a": robots("noindex", "NoAI")}, method=method)
        assert isinstance(error, ItemError)
        assert (error.kind, "noai" in error.message) == ("forbidden", True)
    assert fetching({"/a": robots("noindex", "googlebot: noai")})[0].data == PICTURE
