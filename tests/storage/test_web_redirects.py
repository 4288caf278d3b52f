"""Redirects, followed by hand."""

from __future__ import annotations

import pytest

from pipeline.storage.web import Fetched, WebFetcher
from tests.storage.fetching import PICTURE, failing, fetching
from tests.support.rude_server import RudeServer, answer, redirect
from tests.support.virtual_time import run_virtual


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(status: int) -> None:
    pages = {"/a": redirect("b/../c%2Fd?x=%2B#top", status), "/c%2Fd?x=%2B": answer(200, PICTURE)}
    fetched, server = fetching(pages)
    assert (fetched.data, fetched.url) == (PICTURE, server.url("/c%2Fd?x=%2B"))


def test_where_a_picture_came_from_is_told_without_what_signed_it() -> None:
    pages = {"/a": redirect("/b?v=1&token=SECRET"), "/b?v=1&token=SECRET": answer(200, PICTURE)}
    fetched, server = fetching(pages)
    assert fetched.url == server.url("/b?v=1")


def test_five_redirects_pass_and_a_sixth_does_not() -> None:
    pages = {f"/{number}": redirect(f"/{number + 1}") for number in range(5)} | {"/5": answer(200, PICTURE)}
    assert fetching(pages, "/0")[0].data == PICTURE
    error, server = failing(pages | {"/start": redirect("/0")}, "fetch_failed", "/start")
    assert server.paths == ["/start", "/0", "/1", "/2", "/3", "/4"]
    assert server.url("/start") in error.message


def test_a_circle_ends() -> None:
    _, server = failing({"/a": redirect("/b"), "/b": redirect("/a")}, "fetch_failed")
    assert len(server.visits) == 6


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://ex.org/a", "javascript:alert(1)", "http://%00/", "http://0x/", "gopher://a/"],
)
def test_redirects_to_what_is_no_web_address_are_refused(location: str) -> None:
    error, server = failing({"/a": redirect(location)}, "blocked_address")
    assert server.url("/a") in error.message, "the address that the manifest has"
    assert len(server.visits) == 1


def test_cookies_and_names_and_passwords_are_not_passed_on() -> None:
    server = RudeServer({"/b": answer(200, PICTURE)})

    async def scenario() -> Fetched:
        async with server, WebFetcher(allow_private=True) as fetcher:
            location = f"http://me:secret@127.0.0.1:{server.port}/b"
            server.pages["/a"] = answer(302, b"", (("Location", location), ("Set-Cookie", "id=1; Path=/")))
            return await fetcher.fetch(server.url("/a", host="user:word@127.0.0.1"))

    fetched = run_virtual(scenario)
    assert fetched.url == server.url("/b")
    for visit in server.visits:
        assert set(visit.headers) == {"host", "user-agent", "accept", "accept-encoding"}
