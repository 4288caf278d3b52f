"""The port `Web` over everything that has an address: the web, and object stores."""

from __future__ import annotations

from pipeline.core.pictures import Download, LinkedImage
from pipeline.storage.errand import Reserve
from pipeline.storage.links import LinkingWeb
from pipeline.storage.objects import ObjectFetcher
from pipeline.storage.urls import is_object_url


class Routes:
    """Each address goes to the one that knows its scheme. What lies in a store is never left to the server."""

    def __init__(self, web: LinkingWeb, objects: ObjectFetcher) -> None:
        self._web = web
        self._objects = objects

    async def fetch(self, url: str, reserve: Reserve) -> Download:
        """The picture. Raises ItemError of stage fetch."""
        if is_object_url(url):
            return Download(await self._objects.fetch(url, reserve))
        return await self._web.fetch(url, reserve)

    async def link(self, url: str) -> LinkedImage | None:
        """The address, when the server that is asked may fetch it itself, else None."""
        return None if is_object_url(url) else await self._web.link(url)
