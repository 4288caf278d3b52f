"""One attempt: what goes out, and how each way of getting no answer is called."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from pipeline.core.errors import CallError, ConfigError, ServerError
from pipeline.core.types import Reply
from pipeline.storage.http import AiohttpTransport
from tests.providers.examples import KEY, prompt, provider
from tests.support import scripts
from tests.support.exchange import Reply as Answer
from tests.support.fake_server import FakeServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    async with AiohttpTransport() as opened:
        yield opened


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_request_and_its_reply(transport: AiohttpTransport, slash: str) -> None:
    answer = scripts.error(200, headers={"X-Request-Id": "r-1", "X-Twice": "a"})
    async with FakeServer(answer) as server:
        client = provider(base_url=server.base_url + slash, transport=transport)
        body = client.render(prompt())
        reply = await client.send(body)
        seen = server.requests[0]
    assert (seen.path, seen.body) == ("/v1/chat/completions", body)
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["content-type"] == "application/json"
    assert reply.status == 200
    assert reply.headers["x-twice"] == "a"
    assert client.request_id(reply) == "r-1"


@pytest.mark.parametrize("key", [None, ""])
async def test_without_a_key_nothing_is_sent_in_its_place(transport: AiohttpTransport, key: str | None) -> None:
    async with FakeServer() as server:
        client = provider(base_url=server.base_url, transport=transport, api_key=key)
        await client.send(client.render(prompt()))
        assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("key", ["xyz\n", "x yz", "xüz", "xyz\r\nx-more: 1", "xyz\u2028"])
def test_a_key_that_cannot_be_a_header_is_a_mistake_in_the_configuration(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        provider(api_key=key)
    assert "xyz" not in str(caught.value)


def test_names_of_answers() -> None:
    client = provider()
    assert client.request_id(Reply(200, {}, b"")) is None
    assert client.request_id(Reply(200, {"cf-ray": "ray", "x-litellm-call-id": "call"}, b"")) == "call"
    assert client.request_id(Reply(200, {"x-request-id": "", "cf-ray": "ray"}, b"")) == "ray"


async def test_a_retry_sends_the_same_bytes(transport: AiohttpTransport) -> None:
    failing = scripts.sequence(scripts.rate_limited(), scripts.error(503), scripts.caption())
    async with FakeServer(failing) as server:
        client = provider(base_url=server.base_url, transport=transport)
        statuses = [(await client.send(client.render(prompt("title: A cup")))).status for _ in range(3)]
        assert statuses == [429, 503, 200]
        assert len({request.body for request in server.requests}) == 1


async def test_nobody_there(transport: AiohttpTransport) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        client = provider(base_url=f"http://127.0.0.1:{held.getsockname()[1]}/v1", transport=transport)
        with pytest.raises(CallError) as caught:
            await client.send(b"{}")
    assert (caught.value.kind, caught.value.reached, caught.value.status) == ("connection", False, None)


@pytest.mark.parametrize(
    "script",
    [
        scripts.drop("unanswered"),
        scripts.drop("unanswered", reset=True),
        scripts.drop("middle"),
        scripts.truncated(),
    ],
)
async def test_a_connection_lost_may_have_been_billed(transport: AiohttpTransport, script: scripts.Script) -> None:
    async with FakeServer(script) as server:
        client = provider(base_url=server.base_url, transport=transport)
        with pytest.raises(CallError) as caught:
            await client.send(client.render(prompt()))
    assert (caught.value.kind, caught.value.reached) == ("connection", True)


async def test_no_answer_in_time_may_have_been_billed(transport: AiohttpTransport) -> None:
    async with FakeServer(scripts.hang()) as server:
        client = provider(base_url=server.base_url, transport=transport, timeout_s=0.1)
        with pytest.raises(CallError) as caught:
            await client.send(client.render(prompt()))
    assert (caught.value.kind, caught.value.reached) == ("timeout", True)


def every_kind(kind: type[httpx.RequestError]) -> set[type[httpx.RequestError]]:
    return {kind}.union(*(every_kind(child) for child in kind.__subclasses__()))


@pytest.mark.parametrize("kind", sorted(every_kind(httpx.RequestError), key=lambda kind: kind.__name__))
async def test_every_request_error_of_httpx_becomes_a_call_error_without_the_key(
    kind: type[httpx.RequestError],
) -> None:
    class Failing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise kind(f"failed with {request.headers['authorization']}", request=request)

    with pytest.raises(CallError) as caught:
        await provider(transport=Failing()).send(b"{}")
    unreached = {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"}
    assert caught.value.kind == ("timeout" if issubclass(kind, httpx.TimeoutException) else "connection")
    assert caught.value.reached == (kind.__name__ not in unreached)
    assert KEY not in str(caught.value)


async def test_a_refusal_names_what_was_asked(transport: AiohttpTransport) -> None:
    async with FakeServer(scripts.error(404, "no such model")) as server:
        client = provider(base_url=server.base_url, transport=transport)
        reply = await client.send(client.render(prompt(model="a/model")))
        refusal = client.refusal(reply)
    assert isinstance(refusal, ServerError)
    assert f"{server.base_url}/chat/completions (model a/model) answered 404: no such model" in str(refusal)


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_an_error_does_not_repeat_what_signs_an_address(transport: AiohttpTransport, status: int) -> None:
    answer = scripts.error(status, "cannot load https://host/a.jpg?X-Amz-Signature=hidden&w=1")
    async with FakeServer(answer) as server:
        client = provider(base_url=server.base_url, transport=transport)
        reply = await client.send(client.render(prompt()))
    assert b"hidden" not in reply.body
    assert b"https://host/a.jpg?w=1" in reply.body


@pytest.mark.parametrize("status", [200, 301, 400])
async def test_the_key_is_in_nothing_that_comes_back(transport: AiohttpTransport, status: int) -> None:
    key = "sk/secret+0123"
    told = {"x-request-id": f"r-{key}", "location": f"http://h/?key={key}", "x-litellm-response-cost": key}
    body = b'{"error": "Bearer sk\\/secret\\u002b0123"}'
    async with FakeServer(scripts.constant(Answer(status, body, tuple(told.items())))) as server:
        client = provider(base_url=server.base_url, transport=transport, api_key=key)
        reply = await client.send(client.render(prompt()))
    assert (client.request_id(reply), reply.body) == ("r-[key]", b'{"error": "Bearer [key]"}')
    assert dict(client.notes(reply)) == {"x-litellm-response-cost": "[key]"}
    assert reply.headers["location"] == "http://h/?key=[key]"
    assert "secret" not in repr(reply)


@pytest.mark.parametrize("native", [False, True])
async def test_an_answer_stays_as_it_came(transport: AiohttpTransport, native: bool) -> None:
    text = "The sign reads https://host/a.jpg?token=on-the-sign"
    own = scripts.garbage(json.dumps({"content": text, "stop_type": "eos"}).encode())
    async with FakeServer(own if native else scripts.text(text)) as server:
        client = provider(base_url=server.base_url, transport=transport)
        assert client.read((await client.send(client.render(prompt()))).body).text == text
