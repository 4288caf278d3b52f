"""The transport against a loopback server: what is sent, what comes back, and what each failure means for money."""

from __future__ import annotations

import asyncio
import gc
import gzip
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import anyio
import httpx
import pytest

from pipeline.storage.http import AiohttpTransport
from tests.support import scripts
from tests.support.exchange import Reply
from tests.support.fake_server import FakeServer

pytestmark = pytest.mark.anyio

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    async with AiohttpTransport(timeout_s=10) as opened:
        yield opened


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port that nobody listens on and nobody else gets."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def post(server: FakeServer, content: bytes = b"{}", **timeout: float) -> httpx.Request:
    extensions = {"timeout": timeout} if timeout else {}
    return httpx.Request("POST", f"{server.base_url}/chat/completions", content=content, extensions=extensions)


async def test_what_goes_out_is_the_request_and_nothing_else(transport: AiohttpTransport) -> None:
    async with FakeServer(scripts.text("fine")) as server:
        request = post(server, b'{"a":1}')
        request.headers["authorization"] = "Bearer key"
        response = await transport.handle_async_request(request)
        assert response.status_code == 200
        assert response.json()["choices"][0]["message"]["content"] == "fine"
        seen = server.requests[0]
        assert seen.body == b'{"a":1}'
        assert seen.headers == {
            "host": f"127.0.0.1:{server.port}",
            "content-length": "7",
            "authorization": "Bearer key",
        }


async def test_any_status_comes_back_as_a_response(transport: AiohttpTransport) -> None:
    async with FakeServer(scripts.error(503, "busy", headers={"Retry-After": "7"})) as server:
        response = await transport.handle_async_request(post(server))
    assert (response.status_code, response.headers["retry-after"]) == (503, "7")
    assert b"busy" in response.content


@pytest.mark.parametrize("coding", ["gzip", "GZIP"])
async def test_a_compressed_body_is_decoded_once(transport: AiohttpTransport, coding: str) -> None:
    body = gzip.compress(b'{"a":1}')
    async with FakeServer(scripts.constant(Reply(200, body, (("Content-Encoding", coding),)))) as server:
        response = await transport.handle_async_request(post(server))
    assert response.content == b'{"a":1}'
    assert "content-encoding" not in response.headers
    assert response.headers["content-length"] == "7"


async def test_an_unknown_coding_stays_as_it_is(transport: AiohttpTransport) -> None:
    async with FakeServer(scripts.constant(Reply(200, b"abc", (("Content-Encoding", "rot13"),)))) as server:
        response = await transport.handle_async_request(post(server))
    assert (response.content, response.headers["content-encoding"]) == (b"abc", "rot13")


async def test_a_body_that_is_not_compressed_as_it_says_is_an_error_after_sending(transport: AiohttpTransport) -> None:
    async with FakeServer(scripts.constant(Reply(200, b"plain", (("Content-Encoding", "gzip"),)))) as server:
        with pytest.raises(httpx.ReadError):
            await transport.handle_async_request(post(server))


async def test_a_longer_body_than_allowed_is_an_error_also_when_compressed() -> None:
    async with AiohttpTransport(timeout_s=10, max_body=1000) as transport:
        async with FakeServer(scripts.constant(Reply(200, b"x" * 1000))) as server:
            assert len((await transport.handle_async_request(post(server))).content) == 1000
        for reply in (
            Reply(200, b"x" * 1001),
            Reply(200, gzip.compress(b"x" * 5_000_000), (("Content-Encoding", "gzip"),)),
        ):
            async with FakeServer(scripts.constant(reply)) as server:
                with pytest.raises(httpx.RemoteProtocolError, match="1,000 bytes"):
                    await transport.handle_async_request(post(server))


async def test_a_refused_port_was_not_reached(transport: AiohttpTransport) -> None:
    with refusing_port() as port, pytest.raises(httpx.ConnectError):
        await transport.handle_async_request(httpx.Request("POST", f"http://127.0.0.1:{port}/", content=b"x"))


async def test_a_name_that_does_not_resolve_was_not_reached(transport: AiohttpTransport) -> None:
    with pytest.raises(httpx.ConnectError):
        await transport.handle_async_request(httpx.Request("POST", "http://no-such-host.invalid/", content=b"x"))


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http:///path"])
async def test_an_address_that_is_no_http_address_was_not_reached(transport: AiohttpTransport, url: str) -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        await transport.handle_async_request(httpx.Request("POST", url, content=b"x"))


async def test_tls_that_fails_was_not_reached(transport: AiohttpTransport) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(httpx.ConnectError):
            await transport.handle_async_request(httpx.Request("POST", f"https://127.0.0.1:{port}/", content=b"x"))


async def test_a_connect_time_out_is_told_from_the_total_even_when_the_total_is_short(
    transport: AiohttpTransport,
) -> None:
    # With a full backlog, Linux lets further connections wait for ever.
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filling in (first, second):
            filling.setblocking(False)
            filling.connect_ex(full.getsockname())
        request = httpx.Request(
            "POST",
            f"http://127.0.0.1:{full.getsockname()[1]}/",
            content=b"x",
            extensions={"timeout": {"read": 0.2}},
        )
        with pytest.raises(httpx.ConnectTimeout):
            await transport.handle_async_request(request)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (scripts.drop("unanswered"), httpx.RemoteProtocolError),
        (scripts.drop("unanswered", reset=True), httpx.ReadError),
        (scripts.drop("middle"), httpx.ReadError),
        (scripts.drop("middle", reset=True), httpx.ReadError),
        (scripts.truncated(), httpx.ReadError),
    ],
)
async def test_a_connection_lost_after_sending_is_told_from_one_that_never_was(
    transport: AiohttpTransport, script: scripts.Script, kind: type[httpx.TransportError]
) -> None:
    async with FakeServer(script) as server:
        with pytest.raises(kind) as caught:
            await transport.handle_async_request(post(server))
        assert not isinstance(caught.value, NOT_SENT)
        assert server.total == 1


async def test_a_server_that_does_not_speak_http(transport: AiohttpTransport) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(httpx.RemoteProtocolError):
            await transport.handle_async_request(httpx.Request("POST", f"http://127.0.0.1:{port}/", content=b"x"))


@pytest.mark.parametrize("script", [scripts.hang(), scripts.drip(scripts.caption(), size=1, seconds=0.02)])
async def test_the_time_out_is_for_the_whole_answer_not_for_its_next_byte(
    transport: AiohttpTransport, script: scripts.Script
) -> None:
    async with FakeServer(script) as server:
        started = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            await transport.handle_async_request(post(server, read=0.2))
        assert time.monotonic() - started < 2


async def test_the_transport_has_a_time_out_of_its_own() -> None:
    async with AiohttpTransport(timeout_s=0.1) as transport, FakeServer(scripts.hang()) as server:
        with pytest.raises(httpx.ReadTimeout):
            await transport.handle_async_request(post(server))


async def test_redirects_are_handed_back_and_cookies_forgotten(transport: AiohttpTransport) -> None:
    headers = {"location": "http://127.0.0.1:1/elsewhere", "set-cookie": "id=1; Path=/"}
    async with FakeServer(scripts.error(307, headers=headers)) as server:
        for _ in range(2):
            response = await transport.handle_async_request(post(server))
            assert response.status_code == 307
        assert server.total == 2
        assert "cookie" not in server.requests[1].headers


async def test_proxies_of_the_environment_are_not_used(
    transport: AiohttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with FakeServer() as server:
        assert (await transport.handle_async_request(post(server))).status_code == 200


async def test_a_connection_is_kept_and_used_again(transport: AiohttpTransport) -> None:
    async with FakeServer() as server:
        for _ in range(5):
            await transport.handle_async_request(post(server))
        assert server.max_connections == 1


async def test_a_post_is_never_repeated_on_a_connection_that_the_server_closed(transport: AiohttpTransport) -> None:
    async with FakeServer(scripts.sequence(scripts.caption(), scripts.drop("unanswered"), scripts.caption())) as server:
        await transport.handle_async_request(post(server))
        with pytest.raises(httpx.RemoteProtocolError):
            await transport.handle_async_request(post(server))
        assert server.total == 2
        assert (await transport.handle_async_request(post(server))).status_code == 200


async def test_nothing_queues_inside(transport: AiohttpTransport) -> None:
    """150 at once, more than aiohttp's own limit of 100: none is answered before all have arrived."""
    async with FakeServer(scripts.hang()) as server, anyio.create_task_group() as group:
        for _ in range(150):
            group.start_soon(transport.handle_async_request, post(server))
        with anyio.fail_after(20):
            while server.in_flight < 150:
                await anyio.lowlevel.checkpoint()
        assert (server.in_flight, server.total) == (150, 150)
        group.cancel_scope.cancel()


async def test_a_cancelled_request_leaves_a_transport_that_works(transport: AiohttpTransport) -> None:
    async with FakeServer(scripts.sequence(scripts.hang(), scripts.caption())) as server:
        with anyio.move_on_after(0.05) as scope:
            await transport.handle_async_request(post(server))
        assert scope.cancelled_caught
        assert (await transport.handle_async_request(post(server))).status_code == 200


async def test_closing_closes_everything() -> None:
    transport = AiohttpTransport()
    async with FakeServer() as server:
        await transport.handle_async_request(post(server))
        assert server.connections == 1
        await transport.aclose()
        with anyio.fail_after(5):
            while server.connections:
                await anyio.lowlevel.checkpoint()
        with pytest.raises(RuntimeError, match="closed"):
            await transport.handle_async_request(post(server))
    del transport
    gc.collect()  # an unclosed session would warn, and warnings are errors


async def test_closing_before_the_first_request_is_nothing() -> None:
    transport = AiohttpTransport()
    await transport.aclose()
    await transport.aclose()
    async with FakeServer(scripts.text("fine")) as server:
        assert (await transport.handle_async_request(post(server))).status_code == 200, "opened when it is needed"
    await transport.aclose()


async def test_it_serves_an_httpx_client_too() -> None:
    async with FakeServer(scripts.text("fine")) as server, httpx.AsyncClient(transport=AiohttpTransport()) as client:
        response = await client.post(f"{server.base_url}/chat/completions", json={"a": 1})
        assert response.json()["choices"][0]["message"]["content"] == "fine"
