"""One fetch from a rude server of its own, in virtual time."""

from __future__ import annotations

from typing import Any

from pipeline.core.errors import ItemError
from pipeline.storage.web import WebFetcher
from tests.support.rude_server import Page, RudeServer
from tests.support.virtual_time import run_virtual

PICTURE = bytes(range(256)) * 300


def fetching(pages: dict[str, Page], path: str = "/a", method: str = "fetch", **options: Any) -> tuple[Any, RudeServer]:
    """What the fetcher gives for this page (a failure too), and the server that saw it."""
    server = RudeServer(pages)

    async def scenario() -> Any:
        async with server, WebFetcher(allow_private=True, **options) as fetcher:
            try:
                return await getattr(fetcher, method)(server.url(path))
            except ItemError as error:
                return error

    return run_virtual(scenario), server


def failing(pages: dict[str, Page], kind: str, path: str = "/a", **options: Any) -> tuple[ItemError, RudeServer]:
    error, server = fetching(pages, path, **options)
    assert isinstance(error, ItemError), error
    assert error.kind == kind, error.message
    assert error.meaning.stage == "fetch"
    return error, server
