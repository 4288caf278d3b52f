"""Which pictures may be left to the server: by its rule, as the picture is found to be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest

from pipeline.core.errors import ItemError
from pipeline.core.pictures import Download, FetchRule, LinkedImage
from pipeline.storage.links import LinkingWeb
from pipeline.storage.web import FIRST_RESERVE, WebFetcher
from tests.support.rude_server import Page, RudeServer, after, answer, endless, raw, redirect
from tests.support.virtual_time import run_virtual

JPEG = (("Content-Type", "image/jpeg"),)
RULE = FetchRule(frozenset({"image/jpeg"}), max_bytes=5000, seconds=1.5, private=True)
PICTURE = b"picture" * 100


def _with_web(
    pages: dict[str, Page], rule: FetchRule | None, act: Callable[[LinkingWeb, RudeServer], Awaitable[Any]], **cap: int
) -> tuple[Any, RudeServer]:
    async def main() -> tuple[Any, RudeServer]:
        async with (
            RudeServer(pages) as server,
            WebFetcher(allow_private=True, **cap) as web,
            WebFetcher(allow_private=rule is not None and rule.private) as outside,
        ):
            return await act(LinkingWeb(web, outside, rule), server), server

    return run_virtual(main)


def _link(page: Page, rule: FetchRule | None = RULE, path: str = "/a?sig=secret", host: str = "127.0.0.1") -> Any:
    pages = {path: page, "/b": answer(200, PICTURE, JPEG)}
    link, server = _with_web(pages, rule, lambda web, server: web.link(server.url(path, host)))
    assert {visit.method for visit in server.visits} <= {"HEAD"}, "nothing is fetched"
    return link


def _download(page: Page, rule: FetchRule | None = RULE) -> Download:
    async def nothing(size: int) -> None: ...

    pages = {"/a": page, "/b": answer(200, PICTURE, JPEG)}
    download, _ = _with_web(pages, rule, lambda web, server: web.fetch(server.url("/a"), nothing))
    assert isinstance(download, Download)
    return download


def test_what_the_rule_allows_is_left_to_the_server() -> None:
    link = _link(answer(200, PICTURE, JPEG))
    assert isinstance(link, LinkedImage)
    assert link.url.endswith("/a?sig=secret")
    assert link.shown.endswith("/a")
    assert "secret" not in repr(link)


@pytest.mark.parametrize(
    "page",
    [
        answer(200, PICTURE, (("Content-Type", "image/webp"),)),
        answer(200, PICTURE),
        answer(200, b"x" * 5000, JPEG),
        answer(404, PICTURE, JPEG),
        answer(405, PICTURE, JPEG),
        redirect("/b"),
        redirect("http://169.254.169.254/"),
        after(1.6, answer(200, PICTURE, JPEG)),
        raw(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n"),
        raw(b"no http"),
        answer(200, PICTURE, (*JPEG, ("X-Robots-Tag", "noai"))),
    ],
    ids=["type", "no-type", "size", "404", "no-head", "redirect", "inside", "slow", "no-size", "rubbish", "noai"],
)
def test_what_it_does_not_allow_is_not(page: Page) -> None:
    assert _link(page) is None


def test_redirects_and_private_addresses_are_the_rules_matter() -> None:
    followed = FetchRule(RULE.media_types, 5000, 1.5, redirects=True, private=True)
    assert _link(redirect("/b"), followed) is not None
    in_a_cloud = FetchRule(RULE.media_types, 5000, 1.5)
    assert _link(answer(200, PICTURE, JPEG), in_a_cloud) is None, "it could not reach this machine"
    assert _link(answer(200, PICTURE, JPEG), None) is None


def test_a_password_in_an_address_is_given_to_nobody() -> None:
    assert _link(answer(200, PICTURE, JPEG), host="me:secret@127.0.0.1") is None


def test_what_was_fetched_here_is_judged_by_what_came() -> None:
    found = _download(answer(200, PICTURE, JPEG))
    assert found.data == PICTURE
    assert found.link is not None
    assert found.link.url == found.link.shown
    for page in (answer(200, b"x" * 5000, JPEG), answer(200, PICTURE), redirect("/b")):
        assert _download(page).link is None
    assert _download(answer(200, PICTURE, JPEG), None).link is None


def _reserved(page: Page, **cap: int) -> list[int]:
    sizes: list[int] = []

    async def reserve(size: int) -> None:
        sizes.append(size)

    async def fetch(web: LinkingWeb, server: RudeServer) -> None:
        with suppress(ItemError):  # over the cap: how much was asked for until then is what counts
            await web.fetch(server.url("/a"), reserve)

    _with_web({"/a": page}, RULE, fetch, **cap)
    return sizes


def test_bytes_are_reserved_before_they_are_read() -> None:
    assert _reserved(answer(200, b"x" * 3_000_000)) == [3_000_000]
    unknown = _reserved(raw(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 3_000_000))
    assert unknown[:2] == [0, FIRST_RESERVE]
    assert all(later >= 2 * sooner for sooner, later in pairwise(unknown))
    assert unknown[-1] >= 3_000_000
    assert max(_reserved(endless(b"", b"x" * 65536), max_bytes=4_000_000)) < 2 * 4_000_000 + 65536


def test_waiting_for_memory_is_nobodys_slowness() -> None:
    async def reserve(size: int) -> None:
        await asyncio.sleep(3600)

    async def nothing(size: int) -> None: ...

    pages = {"/a": answer(200, PICTURE, JPEG)}
    download, _ = _with_web(pages, RULE, lambda web, server: web.fetch(server.url("/a"), reserve))
    assert download.data == PICTURE
