"""The one HTTP transport: aiohttp behind httpx's transport interface, with exact errors and a total time-out.

Callers build an `httpx.Request` and call `handle_async_request`; no `AsyncClient` is needed. `opened` gives the head of
an answer before its body, for bodies that nobody vouches for. Why not httpx's own pool:
docs/decisions/001-http-transport.md.

    httpx.ConnectTimeout, ConnectError, UnsupportedProtocol   nothing was sent: cannot have been billed
    httpx.WriteError                                          sending had begun
    httpx.ReadTimeout, ReadError, RemoteProtocolError         sent, no whole answer: may have been billed

What it does not do: no queue (the number of connections is unlimited; the limiter of the caller is the queue), no
retries, no redirects, no cookies, no proxy and no .netrc from the environment, no header but the request's own.

A server may close an idle connection at the moment it is used again. If the close was seen before, a fresh connection
is taken; if not, the request is already on the wire, and the caller gets RemoteProtocolError or ReadError. aiohttp
repeats such a request only for idempotent methods; a POST is never repeated here, because it may have been worked on.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from yarl import URL

CONNECT_S: Final = 10.0
KEEP_ALIVE_S: Final = 30.0
MAX_BODY: Final = 64 * 1024 * 1024
CONNECT_SHARE: Final = 0.9
"""Of the total: aiohttp tells a connect time-out from the total one only if the connect clock rings first."""

DECODED: Final = frozenset({"gzip", "deflate", "br", "zstd"})
"""Content codings that aiohttp 3.14 undoes while reading (http_parser.py); other bodies come as they are."""

ERRORS: Final[tuple[tuple[type[Exception], type[httpx.TransportError]], ...]] = (
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ClientConnectorError, httpx.ConnectError),  # refused, DNS, TLS, certificate
    (aiohttp.ServerFingerprintMismatch, httpx.ConnectError),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol),
    (aiohttp.ClientConnectionResetError, httpx.WriteError),  # raised by writing only
    (aiohttp.UploadAbortedError, httpx.WriteError),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError),  # closed without an answer
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError),  # not HTTP
    (TimeoutError, httpx.ReadTimeout),  # the total; aiohttp's socket time-outs are TimeoutErrors too
    (aiohttp.ClientError, httpx.ReadError),  # reset, body cut short, whatever else went wrong after sending
)
"""First match counts. What is not known to come before the sending is taken as sent."""


def translated(error: aiohttp.ClientError | TimeoutError, request: httpx.Request) -> httpx.TransportError:
    """The httpx error for one of aiohttp's; its text names the cause, never a header."""
    kind = next(ours for theirs, ours in ERRORS if isinstance(error, theirs))
    text = str(error) or type(error).__name__
    return kind(
        f"no whole answer in time from {request.url.host}" if kind is httpx.ReadTimeout else text, request=request
    )


class _Body(httpx.AsyncByteStream):
    """The pieces of a body as they arrive, decompressed, none of them larger than the reader's buffer."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.content.iter_any():
            yield chunk


class AiohttpTransport(httpx.AsyncBaseTransport):
    """One session, created in the event loop of the first request and bound to it.

    `timeout_s` is the total time for a request in seconds, from connecting to the last byte of the body; a request's
    `extensions["timeout"]` overrides it: `read` is taken as the total, `connect` as the time to connect. `max_body` is
    in bytes after decompression; a longer answer is a RemoteProtocolError. An idle connection is kept for
    `keep_alive_s`.

    `resolver` is asked for the addresses of a name anew for every connection, and nothing else is connected to; what it
    raises, unless an OSError, comes through as it is. An address in place of a name is not shown to it.
    """

    def __init__(
        self,
        *,
        timeout_s: float = 600.0,
        max_body: int = MAX_BODY,
        resolver: AbstractResolver | None = None,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        self._timeout_s = timeout_s
        self._max_body = max_body
        self._resolver = resolver
        self._keep_alive_s = keep_alive_s
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and read the whole answer, of any status. Raises the httpx errors of the module's table."""
        content = await request.aread()
        try:
            async with self._sent(request, content) as response:
                body = await self._read(response, request)
                headers = _headers(response)
                return httpx.Response(response.status, headers=headers, content=body, request=request)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise translated(error, request) from error

    @asynccontextmanager
    async def opened(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        """Send the request and give the answer when its head is there; read its body with `aiter_raw` inside the block.

        `max_body` is not applied: the reader stops by leaving, which closes the connection of a body not read to its
        end. Leaving by an error of the connection raises the httpx errors of the module's table.
        """
        content = await request.aread()
        try:
            async with self._sent(request, content) as response:
                yield httpx.Response(
                    response.status, headers=_headers(response), stream=_Body(response), request=request
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise translated(error, request) from error

    async def aclose(self) -> None:
        """Close every connection. The transport cannot be used afterwards."""
        if self._session is not None:
            await self._session.close()

    def _sent(
        self, request: httpx.Request, content: bytes
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse, bool | None]:
        session = self._session or self._open()
        return session.request(
            request.method,
            URL(str(request.url), encoded=True),
            headers=request.headers.multi_items(),
            data=content or None,
            timeout=self._timeout(request),
            allow_redirects=False,
        )

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=self._keep_alive_s,
            resolver=self._resolver,
            # A resolver of the caller's own is a check as well: it is asked each time.
            use_dns_cache=self._resolver is None,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            trust_env=False,
        )
        return self._session

    def _timeout(self, request: httpx.Request) -> aiohttp.ClientTimeout:
        asked = request.extensions.get("timeout", {})
        total = asked.get("read") or self._timeout_s
        connect = min(asked.get("connect") or CONNECT_S, CONNECT_SHARE * total)
        # By default aiohttp rounds time-outs over 5 s up to whole seconds of the loop's clock.
        return aiohttp.ClientTimeout(total=total, connect=connect, ceil_threshold=math.inf)

    async def _read(self, response: aiohttp.ClientResponse, request: httpx.Request) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self._max_body:
                raise httpx.RemoteProtocolError(
                    f"the answer is longer than {self._max_body:,} bytes; reading stopped", request=request
                )
            chunks.append(chunk)
        return b"".join(chunks)


def _headers(response: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
    # httpx would decode again what still claims to be encoded, and the old length would be wrong.
    if response.headers.get("Content-Encoding", "").lower() not in DECODED:
        return list(response.raw_headers)
    gone = (b"content-encoding", b"content-length")
    return [(name, value) for name, value in response.raw_headers if name.lower() not in gone]
