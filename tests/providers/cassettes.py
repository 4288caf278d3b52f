"""Recordings for the tests of cassettes: a server that says what it is told to, and requests of a small run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx

from pipeline.core.types import Prompt, Reply
from pipeline.providers.recording import Recording
from pipeline.providers.replaying import Replaying
from pipeline.providers.server import Server
from tests.providers.examples import KEY, provider

VERSIONS = {"pillow": "11.3.0", "vlm-batch": "0.6.0"}


class Saying(httpx.AsyncBaseTransport):
    """Answers every request with what `say` makes of its body; counts them."""

    def __init__(self, say: Callable[[bytes], httpx.Response]) -> None:
        self.say, self.asked = say, 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        return self.say(request.content)


def answer(content: Any = "A cup on a table.", **more: Any) -> dict[str, Any]:
    """A completion as a server writes it, `more` members included."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "a/model", "choices": [choice], **more}


def response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> httpx.Response:
    return httpx.Response(
        status, content=body if isinstance(body, bytes) else json.dumps(body).encode(), headers=headers
    )


def server(say: Callable[[bytes], httpx.Response], **changes: Any) -> Server:
    return provider(**{"transport": Saying(say), **changes})


def record(folder: Path, body: bytes, said: httpx.Response, *, secret: str | None = KEY, **changes: Any) -> Reply:
    """One answer recorded; the reply as the run got it."""
    recording = Recording(server(lambda _: said, **changes), folder, VERSIONS, secret)
    reply = anyio.run(recording.send, body)
    assert recording.error is None
    return reply


def refusal(folder: Path, body: bytes, said: httpx.Response) -> str:
    """Why an answer was not recorded; the run got it all the same."""
    recording = Recording(server(lambda _: said), folder, VERSIONS, KEY)
    assert anyio.run(recording.send, body).status == said.status_code
    return str(recording.error)


def replay(folder: Path, body: bytes, versions: Mapping[str, str] = VERSIONS, **changes: Any) -> Reply:
    """One request answered by a replay that has neither key nor server."""
    return anyio.run(Replaying(provider(api_key=None, **changes), folder, versions).send, body)


def rendered(asked: Prompt, **changes: Any) -> bytes:
    return provider(**changes).render(asked)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*")}
