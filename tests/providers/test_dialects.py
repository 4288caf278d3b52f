"""Every dialect against a server that refuses what the real one refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from pipeline.core.errors import ItemError
from pipeline.core.pictures import LinkedImage
from pipeline.core.types import Completion, Prompt, Repair
from pipeline.providers.dialects import DIALECTS
from pipeline.storage.http import AiohttpTransport
from tests.providers.examples import fixed, image, provider
from tests.support.fake_server import FakeServer
from tests.support.strict_server import PERSONALITIES, strict

pytestmark = pytest.mark.anyio

SCHEMA = {
    "type": "object",
    "properties": {"caption": {"type": "string"}},
    "required": ["caption"],
    "additionalProperties": False,
}
LINK = LinkedImage("https://host/a.jpg?sig=1", "https://host/a.jpg")
FORMS = [("chat", name) for name in PERSONALITIES] + [("completions", "fireworks"), ("completions", "llamacpp")]
REPAIRS = [None, *(Repair(kind, "some text") for kind in ("cut", "empty", "repetition", "invalid_json"))]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    async with AiohttpTransport() as opened:
        yield opened


async def ask(
    transport: AiohttpTransport, api: Any, name: str, row: Prompt, repair: Repair | None = None
) -> Completion:
    async with FakeServer(strict(name)) as server:
        client = provider(name, base_url=server.base_url, transport=transport, api=api)
        reply = await client.send(client.render(row, repair), "a shard")
        assert reply.status == 200, reply.body
        return client.read(reply.body, client.notes(reply))


def test_every_dialect_of_a_server_has_a_strict_one() -> None:
    assert PERSONALITIES.keys() == DIALECTS.keys() - {"embedded"}


@pytest.mark.parametrize("repair", REPAIRS, ids=lambda repair: repair.kind if repair else "first")
@pytest.mark.parametrize("image_first", [False, True])
@pytest.mark.parametrize(("api", "name"), FORMS)
async def test_the_server_takes_all_that_we_say(
    transport: AiohttpTransport, api: str, name: str, image_first: bool, repair: Repair | None
) -> None:
    pictures = (image(b"one"), image(b"two"))
    row = Prompt(fixed(schema=SCHEMA, max_tokens=5000), "<context>{}</context>", pictures, "What is it?", image_first)
    answer = await ask(transport, api, name, row, repair)
    assert answer.text.startswith('{"caption":')
    assert (answer.finish_reason, answer.usage.prompt_tokens, answer.usage.completion_tokens) == ("stop", 900, 20)
    assert answer.usage.cached_tokens == (None if name == "ollama" else 640)
    assert answer.cost_usd == (0.00125 if name == "litellm" else None)
    assert answer.usage.cache_write_tokens == (260 if name == "openai" else None)


@pytest.mark.parametrize(("api", "name"), FORMS)
async def test_a_picture_by_its_address_goes_where_it_is_fetched(
    transport: AiohttpTransport, api: str, name: str
) -> None:
    row = Prompt(fixed(), None, (LINK,))
    if PERSONALITIES[name].links and not (api == "completions" and name == "llamacpp"):
        assert (await ask(transport, api, name, row)).text
    else:
        with pytest.raises(ItemError, match=r"takes no picture by its address: https://host/a\.jpg$"):
            await ask(transport, api, name, row)


@pytest.mark.parametrize(("api", "name"), [form for form in FORMS if form[1] != "generic"])
@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "tiff", "webp", "avif", "heic"])
async def test_a_format_that_is_not_taken_is_not_sent(
    transport: AiohttpTransport, api: str, name: str, kind: str
) -> None:
    row = Prompt(fixed(), None, (image(mime=f"image/{kind}"),))
    if f"image/{kind}" in DIALECTS[name].reads:
        assert (await ask(transport, api, name, row)).text
    else:
        with pytest.raises(ItemError, match=f"a picture of type image/{kind}; {name} takes image/") as caught:
            await ask(transport, api, name, row)
        assert caught.value.kind == "image_rejected"


def test_what_was_never_met_says_so() -> None:
    assert {name for name, dialect in DIALECTS.items() if dialect.met} == {"llamacpp", "generic", "embedded"}
    assert all(dialect.source for dialect in DIALECTS.values())


def test_every_field_that_a_dialect_always_sends_is_one_that_it_may() -> None:
    for dialect in DIALECTS.values():
        assert {dialect.max_tokens_field, *dialect.extra} <= dialect.fields
        assert dialect.penalty is None or dialect.penalty[0] in dialect.fields
        assert dialect.affinity.field is None or dialect.affinity.field in dialect.fields
        assert dialect.stream_above is None or "stream" in dialect.fields
