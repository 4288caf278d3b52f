"""The mark that stands for a picture in a prompt to llama.cpp's /completion.

A server of 2026 makes up one when it starts, unless LLAMA_MEDIA_MARKER is set, so that no text can hold it by chance;
/props tells it (seen in build 11549, 2026-11-25). Questions are written with the old fixed one, so that they are the
same bytes for every server, and get the server's as they are sent.
"""

from __future__ import annotations

from typing import Final

import anyio
import httpx

from pipeline.core.types import Reply
from pipeline.providers.attempt import attempt
from pipeline.providers.wire import parsed, quoted

WRITTEN: Final = b"<__media__>"
_STALE: Final = b"Failed to tokenize prompt"


class MediaMarker:
    """One server's marker, asked for once and again when the server seems to have been started anew."""

    def __init__(self, transport: httpx.AsyncBaseTransport, props: httpx.Request, secret: str | None) -> None:
        self._transport = transport
        self._props = props
        self._secret = secret
        self._marker: bytes | None = None
        self._asking = anyio.Lock()

    async def put(self, body: bytes) -> bytes:
        """The body with the server's marker in it. Raises CallError."""
        async with self._asking:
            return body.replace(WRITTEN, self._marker or await self._ask())

    async def is_stale(self, sent: bytes, reply: Reply) -> bool:
        """Whether a body was refused for a marker that is no longer the server's. Raises CallError."""
        if reply.status != 400 or _STALE not in reply.body:
            return False
        async with self._asking:
            return await self._ask() not in sent

    async def _ask(self) -> bytes:
        props = await attempt(self._transport, self._props, self._secret)
        marker = _told(props)
        # A server that is loading its model says nothing yet; it refuses the question as well.
        self._marker = marker if props.status < 500 else None
        return marker


def _told(props: Reply) -> bytes:
    """The marker in an answer of /props; the old one where it tells none."""
    try:
        value = parsed(props.body)
    except ValueError:
        return WRITTEN
    marker = value.get("media_marker") if isinstance(value, dict) else None
    return quoted(marker)[1:-1] if isinstance(marker, str) and marker else WRITTEN
