"""A fake paid server: OpenAI-compatible, scripted, loopback, and lighter than any client.

In a test, in a thread of its own (`with FakeServer(script) as server`) or in the running loop (`async with`, for
virtual time); as a process of its own through `tests.support.fake_process`, or by hand:

    python -m tests.support.fake_server --latency 0.05 --log answers.jsonl

The log is the server's view of the money: a line of event `answered` is on its way to the disk, by one `write` to a
file opened for appending, before the first byte of that answer is sent. What a client has stored can be held
against it even when either was killed.
"""

import asyncio
import json
import os
import resource
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.exchange import Reply, Request, Script
from tests.support.http1 import Connection
from tests.support.scripts import caption, error


class FakeServer:
    """Answers `POST .../chat/completions` and `.../completions` by a script; knows `/v1/models`, `/health`, `/stats`.

    Counters: `total` requests for answers so far, `answered` (a status and body were sent, whole or not),
    `in_flight` and `max_in_flight` (complete requests without a complete reply), `connections` and
    `max_connections`. `requests` and `lines` (the log) are kept in memory unless `keep` is false; `hashes` false
    leaves the hashes out of the log, which for large pictures are most of its price. `pages` are further answers, by
    path. An exception in a script is answered with a 500 and raised when the server is left.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        log: Path | None = None,
        models: tuple[str, ...] = ("fake/vlm",),
        port: int = 0,
        keep: bool = True,
        hashes: bool = True,
        pages: Mapping[str, Callable[[], Reply]] | None = None,
    ) -> None:
        self.script = script or caption()
        self._pages = pages or {}
        self.requests: list[Request] = []
        self.lines: list[dict[str, Any]] = []
        self.total = self.answered = self.in_flight = self.max_in_flight = 0
        self.connections = self.max_connections = 0
        self._models, self._port, self._keep, self._hashes, self._log_path = models, port, keep, hashes, log
        self._log: int | None = None
        self._run = secrets.token_hex(4)
        self._open: set[Connection] = set()
        self._all_gone = asyncio.Event()
        self._errors: list[Exception] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._stop: asyncio.Event | None = None

    @property
    def base_url(self) -> str:
        """What a client takes as its base: `http://127.0.0.1:PORT/v1`."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    def answers(self) -> list[dict[str, Any]]:
        """The log's lines of answers that were sent whole with status 200: what a client should have stored."""
        return [line for line in self.lines if is_whole_answer(line)]

    def drop_connections(self) -> None:
        """Cut every open connection, idle or not. For a server in a thread only."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._abort_all)

    # ---- life ----

    async def start(self) -> None:
        """Listen in the running loop."""
        self._listen()
        await self._serve()

    async def stop(self) -> None:
        """Cut all connections, stop listening, close the log."""
        assert self._server is not None
        self._server.close()
        self._abort_all()
        self._all_gone.clear()
        if self._open:
            await self._all_gone.wait()
        await self._server.wait_closed()
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def _listen(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", self._port), backlog=1024)
        self._port = self._socket.getsockname()[1]
        if self._log_path is not None:
            self._log = os.open(self._log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        new = partial(Connection, self._arrived, self._opened, self._gone)
        self._server = await self._loop.create_server(new, sock=self._socket)

    async def _serve_until_stopped(self, ready: threading.Event) -> None:
        self._stop = asyncio.Event()
        await self._serve()
        ready.set()
        await self._stop.wait()
        await self.stop()

    def __enter__(self) -> Self:
        self._listen()
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve_until_stopped(ready)), name="fake server", daemon=True
        )
        self._thread.start()
        assert ready.wait(10), "the fake server did not start"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        assert self._loop is not None
        assert self._thread is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the fake server did not stop"
        self._raise_script_error(error)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.stop()
        self._raise_script_error(error)

    def _raise_script_error(self, other: BaseException | None) -> None:
        if self._errors and other is None:
            raise self._errors[0]

    def _abort_all(self) -> None:
        for connection in list(self._open):
            connection.transport.abort()

    # ---- one request ----

    def _opened(self, connection: Connection) -> None:
        self._open.add(connection)
        self.connections += 1
        self.max_connections = max(self.max_connections, self.connections)

    def _gone(self, connection: Connection) -> None:
        self._open.discard(connection)
        self.connections -= 1
        if not self._open:
            self._all_gone.set()

    def _arrived(self, connection: Connection, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        assert self._loop is not None
        if method != "POST" or not path.endswith(("/completions", "/completion")):
            connection.send(self._plain(path), _nothing)
            return
        self.total += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        request_id = f"fake-{self._run}-{self.total:07d}"
        request = Request(self.total, request_id, method, path, headers, body, self._loop.time())
        self._note("received", request)
        if self._keep:
            self.requests.append(request)
        try:
            reply = self.script(request)
        except Exception as broken:  # noqa: BLE001 - raised again when the server is left
            self._errors.append(broken)
            reply = error(500, f"the script raised {broken!r}")(request)
        flight = _Flight(self, request, reply)
        connection.on_gone = flight.lost
        if reply.hang:
            return
        if reply.delay > 0:
            connection.later(reply.delay, partial(self._answer, connection, flight))
        else:
            self._answer(connection, flight)

    def _answer(self, connection: Connection, flight: "_Flight") -> None:
        request, reply = flight.request, flight.reply
        if reply.cut == "unanswered":
            self._note("dropped", request)
        else:
            self.answered += 1
            self._note("answered", request, status=reply.status, complete=reply.complete, **reply.note)
        connection.send(reply, flight.landed, request.request_id)

    def _plain(self, path: str) -> Reply:
        if path in self._pages:
            return self._pages[path]()
        if path.endswith("/models"):
            listed = [{"id": name, "object": "model", "created": 0, "owned_by": "fake"} for name in self._models]
            return Reply(body=json.dumps({"object": "list", "data": listed}).encode())
        if path == "/health":
            return Reply(body=b'{"status":"ok"}')
        if path == "/stats":
            return Reply(body=json.dumps(self.stats()).encode())
        return Reply(404, b'{"error":{"message":"no such route","type":"invalid_request_error","code":404}}')

    def stats(self) -> dict[str, Any]:
        """The counters, and the CPU seconds that this process has used so far (all of it, not only the server)."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        counters = ("total", "answered", "in_flight", "max_in_flight", "connections", "max_connections")
        return {name: getattr(self, name) for name in counters} | {"cpu_s": used.ru_utime + used.ru_stime}

    def _note(self, event: str, request: Request, **more: Any) -> None:
        if not self._keep and self._log is None:
            return
        line = {
            "event": event,
            "number": request.number,
            "request_id": request.request_id,
            **(_hashes(request) if self._hashes else {}),
            "model": request.model,
            "time": time.time(),
            **more,
        }
        if self._keep:
            self.lines.append(line)
        if self._log is not None:
            os.write(self._log, json.dumps(line).encode() + b"\n")


class _Flight:
    """One request between its arrival and the last byte of its reply; ends once."""

    def __init__(self, server: FakeServer, request: Request, reply: Reply) -> None:
        self.server, self.request, self.reply = server, request, reply
        self._ended = False

    def landed(self) -> None:
        if not self._ended:
            self._ended = True
            self.server.in_flight -= 1

    def lost(self) -> None:
        if not self._ended:
            self.landed()
            self.server._note("gone", self.request)


def _hashes(request: Request) -> dict[str, str]:
    return {name: getattr(request, name) for name in ("image_base64_sha256", "image_sha256", "body_sha256")}


def is_whole_answer(line: dict[str, Any]) -> bool:
    """Whether a line of the log is an answer of status 200 that was sent whole: one that somebody paid for."""
    return line["event"] == "answered" and line["status"] == 200 and bool(line["complete"])


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log, in the order in which they were written; a torn last line is left out."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def _nothing() -> None:
    pass


if __name__ == "__main__":
    from tests.support.fake_process import main

    main()
