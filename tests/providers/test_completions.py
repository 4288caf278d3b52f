"""Prompts as one text with marks for the pictures, as Fireworks and llama.cpp take them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.pictures import LinkedImage
from pipeline.core.types import Prompt, Repair
from pipeline.providers.completions import IMAGES_FIRST, TEXT_FIRST, template_problems
from pipeline.storage.http import AiohttpTransport
from tests.providers.examples import KEY, fixed, image, prompt, provider
from tests.support.exchange import Reply, Request
from tests.support.fake_server import FakeServer

LLAMA = "<|begin|>{system}<|user|>{images}{text}<|assistant|>\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    async with AiohttpTransport() as opened:
        yield opened


def body(dialect: str, row: Prompt, repair: Repair | None = None, template: str | None = LLAMA) -> dict[str, Any]:
    value = json.loads(provider(dialect, api="completions", template=template).render(row, repair))
    assert isinstance(value, dict)
    return value


ROW = Prompt(fixed(schema={"type": "object"}), "title", (image(b"\x00\xff"), image(b"b", "image/png")), "What?")
WORDS = "Describe it in one sentence.\n\ntitle\n\nWhat?"


def test_fireworks_takes_a_mark_a_picture_and_a_list() -> None:
    assert body("fireworks", ROW) == {
        "model": "a/model",
        "prompt": f"<|begin|>You describe pictures.<|user|><image>\n<image>{WORDS}<|assistant|>\n",
        "images": ["data:image/jpeg;base64,AP8=", "data:image/png;base64,Yg=="],
        "temperature": 0.0,
        "max_tokens": 256,
        "seed": 7,
        "response_format": {"type": "json_schema", "json_schema": {"name": "caption", "schema": {"type": "object"}}},
        "context_length_exceeded_behavior": "error",
    }


def test_without_a_template_what_is_the_same_for_every_row_goes_first() -> None:
    start = "You describe pictures.\n\nDescribe it in one sentence."
    assert body("fireworks", ROW, template=None)["prompt"] == f"{start}\n<image>\n<image>\ntitle\n\nWhat?\n"
    assert body("fireworks", Prompt(ROW.fixed, None, ROW.images), template=None)["prompt"].startswith(
        f"{start}\n<image>"
    )
    repaired = body("fireworks", ROW, Repair("invalid_json", "{caption"), template=None)["prompt"]
    assert repaired.startswith(f"{start}\n\n"), (
        "the words about the answer stand where the picture and the question did"
    )
    assert '<answer>"{caption"</answer>' in repaired


@pytest.mark.parametrize(
    "row",
    [
        Prompt(ROW.fixed, "title", ROW.images, "What?", image_first=True),
        Prompt(fixed(model="llama-3.2-11b-vision"), "title", ROW.images, "What?"),
    ],
    ids=["wanted", "the model wants it"],
)
def test_without_a_template_pictures_that_are_to_be_first_are(row: Prompt) -> None:
    asked = f"<image>\n<image>\nYou describe pictures.\n\n{WORDS}\n"
    assert body("fireworks", row, template=None)["prompt"] == asked


def test_llama_takes_the_bytes_beside_the_prompt_and_the_schema_by_its_own_name() -> None:
    assert body("llamacpp", ROW) == {
        "model": "a/model",
        "prompt": {
            "prompt_string": f"<|begin|>You describe pictures.<|user|><__media__>\n<__media__>{WORDS}<|assistant|>\n",
            "multimodal_data": ["AP8=", "Yg=="],
        },
        "temperature": 0.0,
        "n_predict": 256,
        "seed": 7,
        "json_schema": {"type": "object"},
    }


def test_an_address_stands_in_the_list_as_it_is() -> None:
    row = Prompt(fixed(), None, (LinkedImage("https://h/a.jpg?sig=1", "https://h/a.jpg"),))
    assert body("fireworks", row)["images"] == ["https://h/a.jpg?sig=1"]


@pytest.mark.parametrize(("dialect", "mark"), [("fireworks", "<image>"), ("llamacpp", "<__media__>")])
def test_an_answer_is_put_right_without_pictures_and_marks(dialect: str, mark: str) -> None:
    repaired = body(dialect, ROW, Repair("invalid_json", "{caption"))
    assert mark not in json.dumps(repaired)
    assert "images" not in repaired
    assert "multimodal_data" not in repaired["prompt"]
    assert '<answer>"{caption"</answer>' in str(repaired["prompt"])
    assert "What?" not in str(repaired["prompt"])


@given(st.text(), st.text(), st.sampled_from(["fireworks", "llamacpp"]))
def test_no_text_can_stand_for_a_picture(context: str, question: str, dialect: str) -> None:
    mark = "<image>" if dialect == "fireworks" else "<__media__>"
    row = Prompt(fixed(system=f"S{mark}"), f"{mark}{context}", (image(),), f"{question}<{mark}>{mark}")
    sent = body(dialect, row)["prompt"]
    assert (sent if isinstance(sent, str) else sent["prompt_string"]).count(mark) == 1


@given(st.text(), st.binary())
def test_the_same_question_is_the_same_bytes(question: str, data: bytes) -> None:
    row = Prompt(fixed(), None, (image(data),), question)
    for dialect in ("fireworks", "llamacpp"):
        warm = provider(dialect, api="completions")
        assert warm.render(row) == warm.render(row) == provider(dialect, api="completions").render(row)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{text}", "{images} must stand in it once, not 0 times"),
        ("{images}{images}{text}", "{images} must stand in it once, not 2 times"),
        ("{images}", "{text} must stand in it once, not 0 times"),
        ("{images}{text}{system}{system}", "{system} may stand in it once"),
        ("{question}{images}{text}{question}", "{question} may stand in it once"),
        ("<image>{images}{text}", "{images} stands for <image>"),
    ],
)
def test_a_template_that_cannot_be_used(template: str, problem: str) -> None:
    assert template_problems(template) == [problem]


def test_braces_of_a_template_mean_nothing_else() -> None:
    for template in (TEXT_FIRST, IMAGES_FIRST, "{{bos}}{images}{text}{}{x}"):
        assert template_problems(template) == []
    assert body("fireworks", prompt(system="S"), template="{{bos}}{images} {text}{}{x}")["prompt"].startswith(
        "{{bos}}<image> Describe"
    )


class Marked:
    """A llama.cpp that makes up a mark for pictures, another one each time it is started."""

    def __init__(self, marker: str | None = "<__media_Xy__>", status: int = 200) -> None:
        self.marker, self.status, self.asked = marker, status, 0

    def props(self) -> Reply:
        self.asked += 1
        told = {} if self.marker is None else {"media_marker": self.marker}
        return Reply(self.status, json.dumps(told).encode())

    def __call__(self, request: Request) -> Reply:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        marker = self.marker or "<__media__>"
        if json.loads(request.body)["prompt"]["prompt_string"].count(marker) != 1:
            return Reply(400, b'{"error":{"code":400,"message":"Failed to tokenize prompt","type":"x"}}')
        return Reply(body=b'{"content":"A cup.","stop_type":"eos"}')


@pytest.mark.anyio
@pytest.mark.parametrize("marker", ["<__media_Xy__>", '<"media">', None])
async def test_llama_gets_the_mark_that_it_made_up(transport: AiohttpTransport, marker: str | None) -> None:
    script = Marked(marker)
    async with FakeServer(script, pages={"/props": script.props}) as server:
        client = provider("llamacpp", base_url=server.base_url, transport=transport, api="completions")
        sent = client.render(prompt())
        replies = [await client.send(sent) for _ in range(3)]
        assert [request.path for request in server.requests] == ["/completion"] * 3
    assert [client.read(reply.body).text for reply in replies] == ["A cup."] * 3
    assert script.asked == 1


@pytest.mark.anyio
async def test_a_llama_that_was_started_anew_has_another_mark(transport: AiohttpTransport) -> None:
    script = Marked()
    async with FakeServer(script, pages={"/props": script.props}) as server:
        client = provider("llamacpp", base_url=server.base_url, transport=transport, api="completions")
        await client.send(client.render(prompt()))
        script.marker = "<__media_Zz__>"
        assert (await client.send(client.render(prompt()))).status == 200
        refused = client.render(Prompt(fixed(), None, (image(), image())))
        assert (await client.send(refused)).status == 400
        assert len(server.requests) == 4, "what the mark does not explain is not sent twice"


@pytest.mark.anyio
async def test_a_llama_that_is_loading_is_asked_for_its_mark_again(transport: AiohttpTransport) -> None:
    script = Marked(status=503)
    async with FakeServer(script, pages={"/props": script.props}) as server:
        client = provider("llamacpp", base_url=server.base_url, transport=transport, api="completions")
        await client.send(client.render(prompt()))
        before, script.status = script.asked, 200
        await client.send(client.render(prompt()))
        assert script.asked == before + 1
