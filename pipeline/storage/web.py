"""Pictures from the web: the bytes behind http and https addresses that stand in manifests, which others have written.

vlm-batch fetches exactly the addresses its user lists, under a User-Agent that names it; it does not crawl and reads no
robots.txt. An answer whose X-Robots-Tag says `noai` or `noimageai` is respected as forbidden.

What is contacted: http and https on any port, at addresses of the public internet (`addresses.py`). Redirects are
followed by hand, at most five, each read and checked like the first; one from https to http is refused, since it would
take a picture, and what is in its address, over a wire that the manifest meant to avoid. No cookies, no proxy of the
environment, no user name or password of an address, no compression asked for.

What it costs at most: `deadline_s` seconds for repeats and redirects together, `max_bytes` of memory after
decompression, `per_host` requests at a time to one host. Waiting for one's turn at a host does not count as time.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from types import TracebackType
from typing import Final, Self
from urllib.parse import urljoin

import anyio
import httpx

from pipeline import __version__
from pipeline.core.errors import ItemError
from pipeline.storage.addresses import CheckedResolver, Lookup, check_host
from pipeline.storage.errand import ATTEMPTS, DEADLINE_S, FIRST_WAIT_S, Errand, PassingError, Reserve
from pipeline.storage.http import CONNECT_S, AiohttpTransport
from pipeline.storage.local import MAX_SOURCE_BYTES
from pipeline.storage.retry_after import retry_after
from pipeline.storage.robots import NAME, forbids
from pipeline.storage.urls import named, public_url, read_url
from pipeline.storage.web_errors import WHOLE, failure, refused

PER_HOST: Final = 8
LONGEST_WAIT_S: Final = 30.0
"""A server that asks for more by Retry-After is tried again after this."""
MAX_REDIRECTS: Final = 5
KEEP_ALIVE_S: Final = 2.0
"""Pictures lie on thousands of hosts: connections kept for long would use up the file descriptors."""

HEADERS: Final = {
    "user-agent": f"{NAME}/{__version__}",
    "accept": "*/*",  # whoever names formats is sent the newest that he names, not the picture that lies there
    "accept-encoding": "identity",
}
FIRST_RESERVE: Final = 2**20
"""Bytes asked for when an answer does not say its length."""

_REDIRECTS: Final = {301, 302, 303, 307, 308}


@dataclass(frozen=True, slots=True)
class Fetched:
    """A picture's bytes, decompressed; `url` is where they came from in the end, as `public_url` shows it."""

    data: bytes = field(repr=False)
    url: str
    content_type: str | None


@dataclass(frozen=True, slots=True)
class Probe:
    """What a HEAD request was told in the end, whatever the status; `content_length` in bytes."""

    status: int
    content_type: str | None
    content_length: int | None
    redirected: bool


@dataclass(frozen=True, slots=True)
class _Answer:
    url: httpx.URL
    status: int
    headers: httpx.Headers
    body: bytes = field(repr=False)

    @property
    def passing(self) -> bool:
        return self.status == 429 or self.status >= 500

    @property
    def location(self) -> str | None:
        return self.headers.get("location") if self.status in _REDIRECTS else None


class WebFetcher:
    """Fetches pictures, any number at once; an async context manager that closes its connections.

    `allow_private` permits private and loopback addresses, for a picture server of one's own; link-local addresses and
    those of clouds' metadata stay refused. `lookup` finds a name's addresses in place of the system.
    """

    def __init__(
        self,
        *,
        deadline_s: float = DEADLINE_S,
        max_bytes: int = MAX_SOURCE_BYTES,
        per_host: int = PER_HOST,
        allow_private: bool = False,
        lookup: Lookup | None = None,
        random_source: random.Random | None = None,
    ) -> None:
        self._deadline_s = deadline_s
        self._max_bytes = max_bytes
        self._allow_private = allow_private
        self._random = random_source or random.Random()  # noqa: S311 - spreads waits, guards nothing
        self._turns = _Turns(per_host)
        self._transport = AiohttpTransport(
            timeout_s=2 * deadline_s + CONNECT_S,  # never rings: the deadline is kept here, over all attempts
            resolver=CheckedResolver(allow_private=allow_private, lookup=lookup),
            keep_alive_s=KEEP_ALIVE_S,
        )

    async def fetch(self, url: str, reserve: Reserve | None = None) -> Fetched:
        """The bytes that the address gives, whatever they are. `reserve` waits until so many bytes may be held.

        Raises ItemError: not_found, forbidden, fetch_timeout, fetch_failed, too_large, blocked_address.
        """
        answer, redirected = await self._in_time("GET", url, reserve)
        if answer.status not in WHOLE:
            error = refused(answer.status, named(str(answer.url)))
            raise _redirected(url, error) if redirected else error
        return Fetched(answer.body, public_url(str(answer.url)), _media_type(answer.headers))

    async def probe(self, url: str) -> Probe:
        """What a HEAD request is told.

        Raises ItemError: blocked_address, forbidden by X-Robots-Tag, fetch_timeout, fetch_failed when no answer came.
        """
        answer, redirected = await self._in_time("HEAD", url)
        length = answer.headers.get("content-length", "")
        return Probe(
            answer.status, _media_type(answer.headers), int(length) if length.isdecimal() else None, redirected
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _in_time(self, method: str, url: str, reserve: Reserve | None = None) -> tuple[_Answer, bool]:
        with anyio.CancelScope(deadline=anyio.current_time() + self._deadline_s) as clock:
            return await self._followed(method, url, Errand(clock, reserve))
        raise ItemError(
            "fetch_timeout",
            f"no whole answer from {named(url)} within {self._deadline_s:g} s, repeats and redirects included",
        )

    async def _followed(self, method: str, url: str, errand: Errand) -> tuple[_Answer, bool]:
        at, redirected = read_url(url), False
        for _ in range(MAX_REDIRECTS + 1):
            try:
                answer = await self._answer(method, at, errand)
                if answer.location is None:
                    return answer, redirected
                redirected = True
                at = _next(at, answer.location)
            except ItemError as error:
                raise (_redirected(url, error) if redirected else error) from None
        raise ItemError(
            "fetch_failed", f"{named(url)} redirects more than {MAX_REDIRECTS} times; list the address it ends at"
        )

    async def _answer(self, method: str, url: httpx.URL, errand: Errand) -> _Answer:
        async with self._turns.turn(_host(url), errand.clock):
            for failed in itertools.count(1):
                outcome = await self._tried(method, url, errand)
                if isinstance(outcome, _Answer) and not outcome.passing:
                    return outcome
                wait_s = self._wait(failed, outcome)
                if failed == ATTEMPTS or anyio.current_time() + wait_s >= errand.clock.deadline:
                    break
                await anyio.sleep(wait_s)  # keeping the turn: a host that is busy gets fewer requests
        if isinstance(outcome, PassingError):
            raise outcome
        return outcome

    def _wait(self, failed: int, outcome: _Answer | PassingError) -> float:
        jittered = self._random.uniform(0, FIRST_WAIT_S * 2 ** (failed - 1))
        asked = retry_after(outcome.headers) if isinstance(outcome, _Answer) else None
        return max(jittered, min(asked or 0.0, LONGEST_WAIT_S))

    async def _tried(self, method: str, url: httpx.URL, errand: Errand) -> _Answer | PassingError:
        shown = named(str(url))
        try:
            check_host(_host(url), allow_private=self._allow_private)
            async with self._transport.opened(httpx.Request(method, url, headers=HEADERS)) as response:
                whole = response.status_code in WHOLE
                directive = forbids(response.headers.get_list("x-robots-tag"))
                if whole and directive is not None:
                    raise ItemError("forbidden", f"models are not to read it, its X-Robots-Tag says {directive}", 200)
                body = await self._read(response, errand) if whole and method == "GET" else b""
                return _Answer(url, response.status_code, response.headers, body)
        except ItemError as error:  # the host's, the body's
            raise ItemError(error.kind, f"cannot fetch {shown}: {error.message}", error.status) from None
        except httpx.TransportError as error:
            outcome = failure(error, shown)
            if isinstance(outcome, PassingError):
                return outcome
            raise outcome from None

    async def _read(self, response: httpx.Response, errand: Errand) -> bytes:
        too_large = ItemError("too_large", f"it has more than {self._max_bytes:,} bytes, the limit for a picture", 200)
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._max_bytes:
            raise too_large
        body = BytesIO()  # gives its bytes away without a second copy
        reserved = min(int(length) if length.isdecimal() else 0, self._max_bytes)
        await errand.hold(reserved)
        async for chunk in response.aiter_raw():
            size = body.tell() + len(chunk)
            if size > self._max_bytes:
                raise too_large
            if size > reserved:  # it did not say how long it is, or lied
                reserved = max(2 * reserved, size, FIRST_RESERVE)
                await errand.hold(reserved)
            body.write(chunk)
        return body.getvalue()


class _Turns:
    """At most so many at a time for each host; a host is remembered while somebody uses it or waits for it."""

    def __init__(self, per_host: int) -> None:
        self._per_host = per_host
        self._hosts: dict[str, tuple[anyio.CapacityLimiter, set[object]]] = {}

    @asynccontextmanager
    async def turn(self, host: str, clock: anyio.CancelScope) -> AsyncIterator[None]:
        """A turn at this host; the clock stands still until it is had."""
        limiter, users = self._hosts.setdefault(host, (anyio.CapacityLimiter(self._per_host), set()))
        user = object()
        users.add(user)
        try:
            left = clock.deadline - anyio.current_time()
            clock.deadline = math.inf
            async with limiter:
                clock.deadline = anyio.current_time() + left
                yield
        finally:
            users.discard(user)
            if not users:
                del self._hosts[host]


def _host(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii")


def _redirected(url: str, error: ItemError) -> ItemError:
    return ItemError(error.kind, f"{named(url)} redirects: {error.message}", error.status)


def _next(url: httpx.URL, location: str) -> httpx.URL:
    following = read_url(urljoin(str(url), location))
    if url.scheme == "https" and following.scheme == "http":
        raise ItemError(
            "blocked_address", f"{named(str(following))} is http after https; list it itself if it is to be trusted"
        )
    return following


def _media_type(headers: httpx.Headers) -> str | None:
    return headers.get("content-type", "").partition(";")[0].strip().lower() or None
