"""The request body: one beginning for every row, the picture untouched, nothing left to a server's defaults."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import ItemError
from pipeline.core.types import Prompt
from pipeline.providers.dialects import DIALECTS
from tests.providers.examples import again, fixed, image, prompt, provider

INSTRUCTIONS = b'"Describe it in one sentence."}'
MIMES = st.sampled_from(["image/jpeg", "image/png"])
IMAGES = st.lists(st.builds(image, st.binary(min_size=1, max_size=200), MIMES), min_size=1, max_size=3).map(tuple)
CONTEXTS = st.none() | st.text()
ANY_TEXT = st.text(st.characters())  # lone surrogates included


def body_of(rendered: bytes) -> dict[str, Any]:
    value = json.loads(rendered)
    assert isinstance(value, dict)
    return value


def test_a_whole_body() -> None:
    row = Prompt(fixed(schema={"type": "object"}), "title: A cup", (image(b"\x00\xff"), image(b"b", "image/png")))
    assert body_of(provider().render(row)) == {
        "model": "a/model",
        "messages": [
            {"role": "system", "content": "You describe pictures."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Describe it in one sentence."},
                    {"type": "text", "text": "title: A cup"},
                    {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AP8="}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,Yg=="}},
                ],
            },
        ],
        "temperature": 0.0,
        "max_tokens": 256,
        "seed": 7,
        "response_format": {"type": "json_schema", "json_schema": {"name": "caption", "schema": {"type": "object"}}},
    }


def test_what_there_is_not_is_not_sent() -> None:
    body = body_of(provider().render(prompt(system="", seed=None)))
    assert [message["role"] for message in body["messages"]] == ["user"]
    assert body.keys() == {"model", "messages", "temperature", "max_tokens"}


@given(CONTEXTS, IMAGES, CONTEXTS, IMAGES, st.integers(0, 3))
def test_two_rows_share_the_whole_fixed_part(
    context: str | None, images: Any, other_context: str | None, other_images: Any, repair: int
) -> None:
    one = provider().render(Prompt(fixed(), context, images))
    other = provider().render(Prompt(fixed(), other_context, other_images), again(repair))
    head = one[: one.index(INSTRUCTIONS) + len(INSTRUCTIONS)]
    assert head.startswith(b'{"model":"a/model","messages":[{"role":"system","content":"You describe pictures."}')
    assert other.startswith(head)


@given(CONTEXTS, IMAGES)
def test_pictures_arrive_as_they_are(context: str | None, images: Any) -> None:
    content = body_of(provider().render(Prompt(fixed(), context, images)))["messages"][1]["content"]
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    assert urls == [f"data:{sent.mime};base64,{base64.b64encode(sent.data).decode()}" for sent in images]


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_any_text_becomes_valid_json_and_only_lone_surrogates_change(context: str, system: str, model: str) -> None:
    body = body_of(provider().render(prompt(context, system=system, model=model)))
    kept = [context, system, model]
    seen = [
        body["messages"][-1]["content"][1]["text"],
        body["messages"][0]["content"] if system else "",
        body["model"],
    ]
    for before, after in zip(kept, seen, strict=True):
        after.encode()
        assert after == before or any("\ud800" <= letter <= "\udfff" for letter in before)


@given(CONTEXTS, IMAGES, st.integers(0, 3))
def test_the_same_question_is_the_same_bytes_in_another_process_too(
    context: str | None, images: Any, repair: int
) -> None:
    row = Prompt(fixed(), context, images)
    warm = provider()
    assert warm.render(row, again(repair)) == warm.render(row, again(repair)) == provider().render(row, again(repair))


@pytest.mark.parametrize("change", [{"model": "b"}, {"system": "S"}, {"instructions": "I"}, {"max_tokens": 1}])
def test_a_provider_keeps_its_tasks_apart(change: dict[str, Any]) -> None:
    shared = provider()
    shared.render(prompt())
    assert shared.render(prompt(**change)) == provider().render(prompt(**change)) != provider().render(prompt())


def test_a_repair_has_more_room_and_another_seed() -> None:
    bodies = [body_of(provider().render(prompt(), again(repair))) for repair in range(3)]
    assert [(body["max_tokens"], body["seed"]) for body in bodies] == [(256, 7), (512, 8), (1024, 9)]
    assert len({json.dumps(body["messages"]) for body in bodies}) == 1


def test_fireworks_gives_more_than_4096_tokens_only_as_a_stream() -> None:
    rendered = [body_of(provider("fireworks").render(prompt(max_tokens=3000), again(repair))) for repair in range(3)]
    assert [body["max_tokens"] for body in rendered] == [3000, 6000, 12000]
    assert [body.get("stream") for body in rendered] == [None, True, True]
    assert [body.get("perf_metrics_in_response") for body in rendered] == [None, True, True]
    at_the_limit = body_of(provider("fireworks").render(prompt(max_tokens=4096)))
    assert "stream" not in at_the_limit
    assert "stream" not in body_of(provider("vllm").render(prompt(max_tokens=30_000)))


def test_what_dialects_say_differently() -> None:
    row = prompt(schema={"type": "object"})
    bodies = {name: body_of(provider(name).render(row)) for name in DIALECTS}
    assert bodies["fireworks"]["context_length_exceeded_behavior"] == "error"
    assert bodies["openai"]["max_completion_tokens"] == 256
    assert "max_tokens" not in bodies["openai"]
    for name in ("vllm", "llamacpp", "generic", "embedded"):
        assert bodies[name] == bodies["vllm"]
    assert all(body["temperature"] == 0.0 for body in bodies.values())


def test_too_many_pictures_for_fireworks() -> None:
    row = prompt(None, *[image()] * 30)
    provider("fireworks").render(row)
    with pytest.raises(ItemError, match="31 pictures in one request; fireworks takes 30") as caught:
        provider("fireworks").render(prompt(None, *[image()] * 31))
    assert caught.value.kind == "image_rejected"


def test_fireworks_takes_less_than_ten_megabytes_of_base64_in_all() -> None:
    largest = image(bytes(9_999_996 // 4 * 3))
    provider("fireworks").render(prompt(None, largest))
    for images in ((image(bytes(7_500_000)),), (largest, image(b"x"))):
        with pytest.raises(
            ItemError, match="10,000,000 base64 characters of pictures; fireworks takes under"
        ) as caught:
            provider("fireworks").render(prompt(None, *images))
        assert caught.value.kind == "image_rejected"
    provider("generic").render(prompt(None, image(bytes(7_500_000))))
