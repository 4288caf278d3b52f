"""How long a fetch waits and for what, in virtual time: repeats, Retry-After, the deadline, turns at a host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anyio
import pytest

from pipeline.core.errors import ItemError
from pipeline.storage.web import WebFetcher
from tests.support.rude_server import (
    Page,
    RudeServer,
    after,
    answer,
    endless,
    redirect,
    sequence,
    silent,
)
from tests.support.virtual_time import run_virtual

FINE = answer(200, b"picture")
DRIP = endless(b"", b"x", seconds=0.5)


def timed(pages: dict[str, Page], path: str = "/a", **options: Any) -> tuple[str, float, RudeServer]:
    """How the fetch ended ("fetched", or the kind of its failure), after how many virtual seconds."""
    server = RudeServer(pages)

    async def scenario() -> tuple[str, float]:
        async with server, WebFetcher(allow_private=True, **options) as fetcher:
            started = anyio.current_time()
            try:
                await fetcher.fetch(server.url(path))
                ended = "fetched"
            except ItemError as error:
                ended = error.kind
            return ended, anyio.current_time() - started

    return *run_virtual(scenario), server


def refused(status: int, *headers: tuple[str, str]) -> Page:
    return answer(status, b"", headers)


def test_waits_between_repeats_are_short_at_first_and_at_random() -> None:
    first, second = [], []
    for _ in range(12):
        ended, _, server = timed({"/a": sequence(refused(500), refused(500), FINE)})
        times = [visit.at for visit in server.visits]
        assert (ended, len(times)) == ("fetched", 3)
        first.append(times[1] - times[0])
        second.append(times[2] - times[1])
    assert max(first) < 0.6
    assert max(second) < 1.1
    assert len({round(wait, 4) for wait in first + second}) > 12


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("asked", "waited"), [("7", 7), ("29", 29), ("3600", 30), ("soon", 0), ("-1", 0)])
def test_retry_after_in_seconds_is_honoured_up_to_30(status: int, asked: str, waited: float) -> None:
    ended, seconds, server = timed({"/a": sequence(refused(status, ("Retry-After", asked)), FINE)})
    assert (ended, len(server.visits)) == ("fetched", 2)
    assert waited <= seconds < waited + 0.6


def test_retry_after_as_a_date_is_honoured() -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=25), usegmt=True)
    ended, seconds, _ = timed({"/a": sequence(refused(429, ("Retry-After", when)), FINE)})
    assert ended == "fetched"
    assert 15 < seconds <= 25


def test_a_wait_that_the_deadline_does_not_allow_is_not_begun() -> None:
    ended, seconds, server = timed({"/a": refused(429, ("Retry-After", "20"))}, deadline_s=19)
    assert (ended, len(server.visits)) == ("fetch_failed", 1)
    assert seconds < 1
    ended, seconds, server = timed({"/a": refused(429, ("Retry-After", "20"))}, deadline_s=30)
    assert (ended, len(server.visits)) == ("fetch_failed", 2)
    assert 20 <= seconds < 21


@pytest.mark.parametrize(
    "pages",
    [
        {"/a": silent},
        {"/a": DRIP},
        {"/a": endless(b"", b"", seconds=0.5)},
        {"/a": after(3, DRIP)},
        {"/a": redirect("/b"), "/b": silent},
        {"/a": after(6, redirect("/b")), "/b": after(6, redirect("/a"))},
        {"/a": sequence(refused(500), silent)},
        {"/a": sequence(refused(500, ("Retry-After", "9")), after(2, FINE))},
    ],
    ids=["silent", "drip", "head only", "late", "redirected", "slow circle", "after a repeat", "waited before"],
)
def test_the_deadline_holds_for_all_together(pages: dict[str, Page]) -> None:
    ended, seconds, _ = timed(pages, deadline_s=10)
    assert ended == "fetch_timeout"
    assert 10 <= seconds < 10.1


def test_slow_headers_do_not_outlive_the_deadline() -> None:
    async def page(_: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(1000):
            writer.write(b"X-%d: y\r\n" % number)
            await anyio.sleep(1)

    ended, seconds, _ = timed({"/a": page})
    assert (ended, round(seconds)) == ("fetch_timeout", 60)


def test_the_message_of_a_deadline_names_address_and_seconds() -> None:
    server = RudeServer({"/a?token=SECRET": silent})

    async def scenario() -> str:
        async with server, WebFetcher(allow_private=True, deadline_s=2.5) as fetcher:
            with pytest.raises(ItemError) as caught:
                await fetcher.fetch(server.url("/a?token=SECRET"))
            return caught.value.message

    assert run_virtual(scenario) == (
        f"no whole answer from {server.url('/a')} within 2.5 s, repeats and redirects included"
    )


def at_once(
    pages: dict[str, Page], addresses: Callable[[RudeServer], list[str]], **options: Any
) -> tuple[list[str], float, RudeServer]:
    """How fetches begun together ended, and when the last one did."""
    server = RudeServer(pages)

    async def scenario() -> tuple[list[str], float]:
        ended: list[str] = []

        async def one(fetch: Callable[[str], Awaitable[Any]], url: str) -> None:
            try:
                await fetch(url)
                ended.append("fetched")
            except ItemError as error:
                ended.append(error.kind)

        async def lookup(_: str) -> list[str]:
            return ["127.0.0.1"]

        async with server, WebFetcher(allow_private=True, lookup=lookup, **options) as fetcher:
            async with anyio.create_task_group() as group:
                for url in addresses(server):
                    group.start_soon(one, fetcher.fetch, url)
            assert not fetcher._turns._hosts, "a host that nobody waits for is forgotten"
            return ended, anyio.current_time()

    return *run_virtual(scenario), server


def test_eight_at_a_time_go_to_one_host_and_waiting_is_no_time_out() -> None:
    ended, seconds, server = at_once(
        {"/a": after(50, FINE)}, lambda server: [server.url("/a", host="one.example")] * 40
    )
    assert ended == ["fetched"] * 40, "four of five waited longer than the deadline of 60 s"
    assert server.most_open == 8
    assert 250 <= seconds < 251


def test_hosts_do_not_wait_for_each_other() -> None:
    ended, seconds, server = at_once(
        {"/a": after(50, FINE)},
        lambda server: [server.url("/a", host=f"{name}.example") for name in "abcdef" for _ in range(2)],
        per_host=2,
    )
    assert (ended, server.most_open) == (["fetched"] * 12, 12)
    assert 50 <= seconds < 51


def test_redirects_between_two_full_hosts_do_not_lock_each_other_out() -> None:
    def pages(server: RudeServer) -> list[str]:
        for one, two in (("x", "y"), ("y", "x")):
            server.pages[f"/{one}"] = after(1, redirect(server.url("/a", host=f"{two}.example")))
        return [server.url(f"/{name}", host=f"{name}.example") for name in "xy" for _ in range(4)]

    ended, seconds, _ = at_once({"/a": after(1, FINE)}, pages, per_host=1)
    assert ended == ["fetched"] * 8
    assert seconds < 20


def test_a_cancelled_fetch_gives_its_turn_back() -> None:
    server = RudeServer({"/slow": silent, "/a": FINE})

    async def scenario() -> bytes:
        async with server, WebFetcher(allow_private=True, per_host=1) as fetcher:
            for _ in range(3):
                with anyio.move_on_after(1):
                    await fetcher.fetch(server.url("/slow"))
            return (await fetcher.fetch(server.url("/a"))).data

    assert run_virtual(scenario) == b"picture"


def test_a_connection_is_used_again() -> None:
    server = RudeServer({"/a": FINE})

    async def scenario() -> int:
        async with server, WebFetcher(allow_private=True) as fetcher:
            for _ in range(5):
                await fetcher.fetch(server.url("/a"))
            return len(server._tasks)

    assert run_virtual(scenario) == 1
