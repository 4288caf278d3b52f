"""A web server on loopback that behaves as badly as its pages say, in the running loop; and what a client dialled.

    async with RudeServer({"/a.jpg": answer(200, b"...")}) as server: ... server.url("/a.jpg") ... server.visits
    with in_a_thread(RudeServer({"/good/": answer(200, b"...")})) as server: ... server.url("/good/7.jpg?size=2")

A page is an async function of the visit and the connection's writer; it writes raw bytes. A page that closes its
writer ends the connection, else the next request is read from it.
"""

import asyncio
import gzip
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from anyio.from_thread import start_blocking_portal

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: closing sends a reset


@dataclass(frozen=True)
class Visit:
    """One request; header names are lower case; `at` is the loop's clock in seconds."""

    method: str
    path: str
    headers: Mapping[str, str]
    at: float


Page = Callable[[Visit, asyncio.StreamWriter], Awaitable[None]]
Headers = tuple[tuple[str, str], ...]


class RudeServer:
    """`pages` by path, query included, or by the folder (`/good/`) that they all lie in; others are 404.

    `open_now` and `most_open` count requests being answered.
    """

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self.pages = dict(pages)
        self.visits: list[Visit] = []
        self.open_now = self.most_open = 0
        self.port = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        """The address of a page."""
        return f"{scheme}://{host}:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [visit.path for visit in self.visits]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
                method, path, _ = first.split(" ")
                pairs = [line.partition(":") for line in lines]
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                visit = Visit(method, path, headers, asyncio.get_running_loop().time())
                self.visits.append(visit)
                self.open_now += 1
                self.most_open = max(self.most_open, self.open_now)
                try:
                    await self._page(path)(visit, writer)
                    await writer.drain()
                finally:
                    self.open_now -= 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client is gone, or the server is
        finally:
            writer.transport.abort()

    def _page(self, path: str) -> Page:
        folder = path[: path.find("/", 1) + 1]
        return self.pages.get(path) or self.pages.get(folder) or answer(404)


@contextmanager
def in_a_thread(server: RudeServer) -> Iterator[RudeServer]:
    """The server in a loop and a thread of its own, for clients that are processes or block."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(server):
        yield server


def head(status: int, *headers: tuple[str, str]) -> bytes:
    """Status line and headers, with the empty line."""
    phrase = HTTPStatus(status).phrase
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def answer(status: int, body: bytes = b"", headers: Headers = (), *, missing: int = 0) -> Page:
    """A whole answer; its content-length promises `missing` bytes more, and then the connection is closed."""

    async def page(visit: Visit, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, ("Content-Length", str(len(body) + missing)), *headers))
        if visit.method != "HEAD":
            writer.write(body)
        if missing:
            writer.close()

    return page


def redirect(location: str, status: int = 302) -> Page:
    return answer(status, b"moved", (("Location", location),))


def endless(first: bytes, piece: bytes, headers: Headers = (), seconds: float = 0.0) -> Page:
    """`first`, then `piece` after `piece` without an end, `seconds` apart."""

    async def page(_: Visit, writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, ("Connection", "close"), *headers) + first)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(seconds)

    return page


def raw(content: bytes, *, reset: bool = False) -> Page:
    """Just these bytes, then the connection is closed, or reset."""

    async def page(_: Visit, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        if reset:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            await asyncio.sleep(0.001)
            writer.transport.abort()
        else:
            writer.close()

    return page


async def silent(_: Visit, writer: asyncio.StreamWriter) -> None:
    """Never a byte."""
    await asyncio.Event().wait()


def after(seconds: float, page: Page) -> Page:
    async def waiting(visit: Visit, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        await page(visit, writer)

    return waiting


def sequence(*pages: Page) -> Page:
    """One page after the other; the last one for ever."""
    left = list(pages)

    async def page(visit: Visit, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(visit, writer)

    return page


def bomb(megabytes: int) -> bytes:
    """Zeros, compressed a thousandfold by gzip."""
    return gzip.compress(bytes(megabytes << 20), 9)


@contextmanager
def dialled(routes: Mapping[str, int]) -> Iterator[list[str]]:
    """Every address the running loop connects to, in order. Nothing leaves the machine: an address of `routes` leads to
    that loopback port, any other one but loopback refuses."""
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect
    addresses: list[str] = []

    async def instead(sock: socket.socket, address: Any) -> None:
        addresses.append(address[0])
        if address[0] in routes:
            address = ("127.0.0.1", routes[address[0]])
        elif address[0] not in {"127.0.0.1", "::1"}:
            raise ConnectionRefusedError(111, "Connection refused")
        await connect(sock, address)

    loop.sock_connect = instead  # type: ignore[method-assign, assignment]
    try:
        yield addresses
    finally:
        loop.sock_connect = connect  # type: ignore[method-assign]
