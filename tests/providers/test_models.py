"""Lists of models, and names for the shapes of errors."""

from __future__ import annotations

from typing import get_args

import pytest

from pipeline.providers.models import ask_for_models, listed_models
from pipeline.providers.shapes import shape_of
from pipeline.storage.http import AiohttpTransport
from tests.support.exchange import Reply
from tests.support.fake_server import FakeServer
from tests.support.http1 import Connection
from tests.support.scripts import Shape, error_body

KEY = "sk-very-secret-1234"


class Echo(FakeServer):
    """Says what it was asked with."""

    def _arrived(self, connection: Connection, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        said = f"{method} {path} {headers.get('authorization', 'without a key')}"
        connection.send(Reply(403, said.encode()), lambda: None)


@pytest.mark.parametrize(("key", "shown"), [(KEY, "Bearer [key]"), (None, "without a key")])
@pytest.mark.anyio
async def test_the_key_is_sent_and_never_repeated(key: str | None, shown: str) -> None:
    transport = AiohttpTransport()
    async with Echo() as server:
        try:
            reply = await ask_for_models(transport, f"{server.base_url}/", key)
        finally:
            await transport.aclose()
    assert (reply.status, reply.body.decode()) == (403, f"GET /v1/models {shown}")


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b'{"object":"list","data":[{"id":"a"},{"id":"b","object":"model"}]}', ["a", "b"]),
        (b'[{"id":"a"}]', ["a"]),
        (b'{"data":[{"id":7},"b",{"id":"c"}]}', ["c"]),
        (b'{"data":[]}', []),
        (b'{"error":"no"}', None),
        (b"<html>", None),
    ],
)
def test_names_of_models(body: bytes, names: list[str] | None) -> None:
    assert listed_models(body) == names


def test_every_shape_has_a_name_of_its_own() -> None:
    names = {shape: shape_of(error_body(shape, 400, "no")) for shape in get_args(Shape)}
    assert names == {
        "openai": 'an object "error"',
        "object": 'an object "error"',
        "flat": 'a text "message"',
        "text": 'a text "error"',
        "numbered": 'a text "message"',
        "detail": 'a text "detail"',
        "detail_list": 'a list "detail"',
        "html": "a page",
        "empty": "nothing",
    }
    assert shape_of(b"data: {}") == "an event stream"
    assert shape_of(b"no") == "plain text"
    assert shape_of(b'"no"') == "plain text"
    assert shape_of(b'[{"error": 1}]') == "a list of errors"
    assert shape_of(b'{"x": 1}') == "an object of its own"
