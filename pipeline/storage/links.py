"""Pictures from the web for one server: fetched here, or left to the server where its rule and the picture allow it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from pipeline.core.errors import ItemError
from pipeline.core.pictures import Download, FetchRule, LinkedImage
from pipeline.storage.urls import public_url
from pipeline.storage.web import WebFetcher


class LinkingWeb:
    """The port `Web`. `rule` None: the server fetches nothing itself.

    `web` fetches for us; `outside` looks at an address as the server would reach it, so for a server in a cloud it
    refuses private addresses whatever is allowed here.
    """

    def __init__(self, web: WebFetcher, outside: WebFetcher, rule: FetchRule | None) -> None:
        self._web = web
        self._outside = outside
        self._rule = rule

    async def fetch(self, url: str, reserve: Callable[[int], Awaitable[None]]) -> Download:
        """The picture; its link is set when the rule allows what was found. Raises ItemError of stage fetch."""
        fetched = await self._web.fetch(url, reserve)
        shown = public_url(url)
        redirected = fetched.url != shown
        return Download(fetched.data, self._allowed(url, shown, fetched.content_type, len(fetched.data), redirected))

    async def link(self, url: str) -> LinkedImage | None:
        """The address, when a HEAD request finds that the server may fetch it, in time; else None."""
        if self._rule is None:
            return None
        with anyio.move_on_after(self._rule.seconds):
            try:
                probe = await self._outside.probe(url)
            except ItemError:
                return None  # fetching it here tells what is wrong
            if probe.status == 200:
                length = probe.content_length
                return self._allowed(url, public_url(url), probe.content_type, length, probe.redirected)
        return None

    def _allowed(
        self, url: str, shown: str, media_type: str | None, size: int | None, redirected: bool
    ) -> LinkedImage | None:
        rule = self._rule
        if rule is None or media_type not in rule.media_types or size is None or size >= rule.max_bytes:
            return None
        if _has_password(url):
            return None
        return LinkedImage(url, shown) if rule.redirects or not redirected else None


def _has_password(url: str) -> bool:
    """Whether a user name or password stands in it: neither is sent to anybody."""
    return "@" in url.partition("://")[2].partition("/")[0]
