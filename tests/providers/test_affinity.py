"""Requests of one route say so to servers that can keep them together, and the question stays the same bytes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from pipeline.storage.http import AiohttpTransport
from tests.providers.examples import prompt, provider
from tests.support import scripts
from tests.support.fake_server import FakeServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    async with AiohttpTransport() as opened:
        yield opened


async def sent(transport: AiohttpTransport, dialect: str, route: str | None) -> tuple[bytes, bytes, dict[str, str]]:
    """The question, and the body and headers that arrived for it, the same after a failure."""
    async with FakeServer(scripts.sequence(scripts.error(503), scripts.caption())) as server:
        client = provider(dialect, base_url=server.base_url, transport=transport)
        question = client.render(prompt())
        await client.send(question, route)
        await client.send(question, route)
        first, again = server.requests
    assert (first.body, first.headers) == (again.body, again.headers)
    return question, first.body, dict(first.headers)


@pytest.mark.parametrize(
    ("dialect", "field", "header"),
    [
        ("fireworks", "prompt_cache_key", "x-session-affinity"),
        ("openai", "prompt_cache_key", None),
        ("litellm", None, "x-litellm-session-id"),
        ("vllm", None, None),
        ("generic", None, None),
    ],
)
async def test_routes(transport: AiohttpTransport, dialect: str, field: str | None, header: str | None) -> None:
    question, body, headers = await sent(transport, dialect, "caption-3")
    assert b"caption-3" not in question
    assert json.loads(body) == {**json.loads(question), **({field: "caption-3"} if field else {})}
    assert body.startswith(question[:-1])
    assert [name for name, value in headers.items() if value == "caption-3"] == ([header] if header else [])
    question, body, headers = await sent(transport, dialect, None)
    assert body == question
    assert not headers.keys() & {"x-session-affinity", "x-litellm-session-id"}


@pytest.mark.parametrize("route", ["a b", "x" * 65, "\u00fc", "a\r\nx-more: 1", "", "\ud800"])
async def test_what_is_no_plain_word_is_shown_by_its_hash(transport: AiohttpTransport, route: str) -> None:
    _, body, headers = await sent(transport, "fireworks", route)
    key = json.loads(body)["prompt_cache_key"]
    assert headers["x-session-affinity"] == key != route
    assert len(key) == 64
    assert key.isalnum()
