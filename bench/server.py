"""A server lighter than any client: it counts body bytes and answers, and reads no more of a request than it must.

As a program (`python -m bench.server CORE [BYTES]`) it pins itself to a core, prints its port, and then answers every
line on stdin with its counts as JSON, which begin anew; it ends when stdin closes. With BYTES it is an object store in
which an object of that size lies under every name. `Server` is that program seen from outside.
Times are seconds of the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast

from bench.process import ROOT, pin

_ANSWER = json.dumps(
    {
        "id": "bench",
        "object": "chat.completion",
        "model": "bench",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {
                    "role": "assistant",
                    "content": "A row of coloured fields with fine grain under soft light, seen from above.",
                },
            }
        ],
        "usage": {"prompt_tokens": 420, "completion_tokens": 18, "total_tokens": 438},
    }
).encode()
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: "


def _chat() -> bytes:
    return _OK % len(_ANSWER) + b"application/json\r\n\r\n" + _ANSWER


def _object(size: int) -> bytes:
    """As S3 answers GetObject, which clients want with a time and an ETag."""
    head = b'image/jpeg\r\nETag: "bench"\r\nLast-Modified: Wed, 25 Nov 2026 12:00:00 GMT\r\n\r\n'
    return _OK % size + head + bytes(size)


@dataclass
class Counts:
    """What the server saw since it was last asked."""

    answers: int = 0
    connections: int = 0
    first_at: float = 0.0
    last_at: float = 0.0

    @property
    def per_second(self) -> float:
        """Answers a second from the first request to the last answer."""
        return self.answers / max(self.last_at - self.first_at, 1e-9)


class _Connection(asyncio.Protocol):
    """One connection; requests follow each other, as HTTP clients without pipelining send them."""

    def __init__(self, counts: Counts, response: bytes) -> None:
        self._counts = counts
        self._response = response
        self._head = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._counts.connections += 1

    def data_received(self, data: bytes) -> None:
        if self._left == 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._counts.first_at:
                self._counts.first_at = time.monotonic()
            head, received = self._head[:end].lower(), len(self._head) - end - 4
            self._left = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0) - received
            self._head = b""
        else:
            self._left -= len(data)
        if self._left == 0:
            self._counts.answers += 1
            self._counts.last_at = time.monotonic()
            self._transport.write(self._response)


async def _serve(response: bytes) -> None:
    loop, counts, ended = asyncio.get_running_loop(), Counts(), asyncio.Event()
    server = await loop.create_server(lambda: _Connection(counts, response), "127.0.0.1", 0, backlog=1024)

    def asked() -> None:
        if not sys.stdin.readline():
            ended.set()
            return
        print(json.dumps(vars(counts)), flush=True)
        vars(counts).update(vars(Counts()))

    loop.add_reader(sys.stdin.fileno(), asked)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()


class Server:
    """The server in a process of its own, on a core of its own; with `object_bytes` an object store."""

    def __init__(self, core: int, object_bytes: int | None = None) -> None:
        self._command = [sys.executable, "-m", "bench.server", str(core)]
        if object_bytes is not None:
            self._command.append(str(object_bytes))

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.endpoint = f"http://127.0.0.1:{self._line()}"
        self.base_url = f"{self.endpoint}/v1"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._process.communicate()

    def counts(self) -> Counts:
        """What came since the last call."""
        assert self._process.stdin is not None
        self._process.stdin.write("counts\n")
        return Counts(**json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


if __name__ == "__main__":
    pin({int(sys.argv[1])})
    asyncio.run(_serve(_object(int(sys.argv[2])) if len(sys.argv) > 2 else _chat()))
