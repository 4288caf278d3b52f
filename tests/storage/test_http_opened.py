"""The transport's answers whose body is read by the caller, and the caller's own resolver."""

from __future__ import annotations

import gzip
import socket

import httpx
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from pipeline.storage.http import AiohttpTransport
from tests.support.rude_server import Page, RudeServer, answer, endless, head, raw
from tests.support.virtual_time import run_virtual


class Loopback(AbstractResolver):
    """Every name is this machine; `told` is raised instead, if there is one."""

    def __init__(self, told: Exception | None = None) -> None:
        self.asked: list[str] = []
        self._told = told

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        if self._told is not None:
            raise self._told
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        pass


def opened(page: Page, *, at_most: int = 1 << 30, times: int = 1, resolver: Loopback | None = None) -> httpx.Response:
    """The last answer of `times` requests, with as much of its body as was read."""
    server = RudeServer({"/a": page})

    async def scenario() -> httpx.Response:
        async with server, AiohttpTransport(timeout_s=10, max_body=10, resolver=resolver or Loopback()) as transport:
            for _ in range(times):
                request = httpx.Request("GET", server.url("/a", host="name.example"))
                async with transport.opened(request) as response:
                    body = b""
                    async for chunk in response.aiter_raw():
                        body += chunk
                        if len(body) > at_most:
                            break
            return httpx.Response(response.status_code, headers=response.headers, content=body)

    return run_virtual(scenario)


def test_the_reader_decides_how_much_he_reads() -> None:
    assert opened(answer(200, b"x" * 100)).content == b"x" * 100
    assert 1000 < len(opened(endless(b"", b"x" * 100), at_most=1000).content) < 1_000_000


def test_a_body_is_decompressed_once_and_any_status_comes_back() -> None:
    response = opened(answer(503, gzip.compress(b"busy"), (("Content-Encoding", "gzip"),)))
    assert (response.status_code, response.content) == (503, b"busy")
    assert "content-encoding" not in response.headers


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        (answer(200, b"half", missing=4), httpx.ReadError),
        (raw(head(200, ("Content-Length", "100")) + b"half", reset=True), httpx.ReadError),
        (raw(b"220 mail.example\r\n\r\n"), httpx.RemoteProtocolError),
        (endless(b"", b"x", seconds=1), httpx.ReadTimeout),
    ],
)
def test_errors_are_those_of_the_table(page: Page, kind: type[httpx.TransportError]) -> None:
    with pytest.raises(kind):
        opened(page)


def test_a_resolver_is_asked_for_every_connection_and_heard() -> None:
    resolver = Loopback()
    opened(answer(200, b"x", (("Connection", "close"),)), times=3, resolver=resolver)
    assert resolver.asked == ["name.example"] * 3
    with pytest.raises(LookupError, match="not this one"):
        opened(answer(200), resolver=Loopback(LookupError("not this one")))
    with pytest.raises(httpx.ConnectError):
        opened(answer(200), resolver=Loopback(OSError("down")))
