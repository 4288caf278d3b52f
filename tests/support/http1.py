"""The least HTTP/1.1 that a fake server needs: requests in, scripted bytes out, one connection each.

Bodies come with a content-length or chunked; connections are kept alive; a next request that is already there is
taken when the reply before it has gone out. No task is made per request: a reply that is due now is written from
within `data_received`.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from http import HTTPStatus

from tests.support.exchange import Reply

_BODY_LIMIT = 512 << 20  # bytes; a guard against a broken client, not a feature
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: closing sends a reset

Arrived = Callable[["Connection", str, str, dict[str, str], bytes], None]


class Connection(asyncio.Protocol):
    """One client connection; `arrived` is called for every complete request and answers through `send`.

    `opened` and `gone` tell the owner about the connection's life, and `on_gone`, set by whoever has a reply under
    way, about its end alone. `busy` is true from a complete request until its
    reply is out or the connection is gone.
    """

    def __init__(
        self, arrived: Arrived, opened: Callable[["Connection"], None], gone: Callable[["Connection"], None]
    ) -> None:
        self._arrived, self._opened, self._gone = arrived, opened, gone
        self._buffer = bytearray()
        self._head: tuple[str, str, dict[str, str]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.busy = False
        self.closed = False
        self.on_gone: Callable[[], None] | None = None
        self.transport: asyncio.Transport
        self._loop: asyncio.AbstractEventLoop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._loop = asyncio.get_running_loop()
        self._opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self.on_gone is not None:
            self.on_gone()
        self._gone(self)
        self.busy = False

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self.busy:
            self._take()

    def _take(self) -> None:
        if self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._head = _read_head(bytes(self._buffer[:end]))
            del self._buffer[: end + 4]
            if self._head[2].get("expect", "").lower() == "100-continue":
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        method, path, headers = self._head
        body = self._take_chunks() if headers.get("transfer-encoding") == "chunked" else self._take_length(headers)
        if body is None:
            return
        self._head = None
        self.busy = True
        self._arrived(self, method, path, headers, body)

    def _take_length(self, headers: dict[str, str]) -> bytes | None:
        length = int(headers.get("content-length", 0))
        if length > _BODY_LIMIT:
            self.transport.abort()
            return None
        if len(self._buffer) < length:
            return None
        if len(self._buffer) == length:  # the usual case: no byte is copied twice
            body, self._buffer = bytes(self._buffer), bytearray()
            return body
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _take_chunks(self) -> bytes | None:
        # Looked at from the start whenever data comes: fine for the bodies of tests.
        at = 0
        pieces: list[bytes] = []
        while True:
            line_end = self._buffer.find(b"\r\n", at)
            if line_end < 0:
                return None
            size = int(self._buffer[at:line_end].split(b";")[0], 16)
            if len(self._buffer) < line_end + 4 + size:
                return None
            if size == 0:  # trailers are not supported
                del self._buffer[: line_end + 4]
                return b"".join(pieces)
            pieces.append(bytes(self._buffer[line_end + 2 : line_end + 2 + size]))
            at = line_end + 4 + size

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call after so many seconds of the loop's clock, unless the connection is gone by then."""
        self._timer = self._loop.call_later(seconds, call)

    def send(self, reply: Reply, then: Callable[[], None], request_id: str = "") -> None:
        """Write a reply as it says; `then` is called just before its last bytes go out.

        (Just before, so that a client which has the whole reply finds the server's counters settled.)
        """
        if reply.cut == "unanswered":
            then()
            self._end(reply.reset)
            return
        head = _write_head(reply, request_id)
        if reply.drip is not None:
            self.transport.write(head)
            self._drip(reply, 0, then)
            return
        cut = len(reply.body) // 2 if reply.cut == "middle" else len(reply.body)
        then()
        self.transport.write(head + reply.body[:cut])
        self._sent(reply)

    def _drip(self, reply: Reply, at: int, then: Callable[[], None]) -> None:
        assert reply.drip is not None
        size, seconds = reply.drip
        end = len(reply.body) // 2 if reply.cut == "middle" else len(reply.body)
        piece = reply.body[at : min(at + size, end)]
        if at + size >= end:
            then()
            self.transport.write(piece)
            self._sent(reply)
        else:
            self.transport.write(piece)
            self.later(seconds, lambda: self._drip(reply, at + size, then))

    def _sent(self, reply: Reply) -> None:
        self.busy = False
        if reply.missing or reply.cut != "whole":
            self._end(reply.reset)
        elif self._buffer:
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        if not self.busy and not self.closed:
            self._take()

    def _end(self, reset: bool) -> None:
        if reset:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
        else:
            self.transport.close()  # what was written goes out first


def _read_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return method, path, headers


def _write_head(reply: Reply, request_id: str) -> bytes:
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {reply.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    given = {name.lower() for name, _ in reply.headers}
    if "content-type" not in given:
        lines.append("content-type: application/json")
    if request_id and "x-request-id" not in given:
        lines.append(f"x-request-id: {request_id}")
    lines.append(f"content-length: {len(reply.body) + reply.missing}\r\n\r\n")
    return "\r\n".join(lines).encode("latin-1")
