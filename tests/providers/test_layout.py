"""Where a question's parts stand: what is the same comes first, the row's own words last, after the picture."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.types import Prompt, Repair
from pipeline.prompts.layout import lay_out
from pipeline.providers.repairs import QUOTED
from tests.providers.examples import fixed, image, prompt, provider

WRONG_FORM = ["invalid_json", "schema_mismatch"]
TEXTS = st.text(min_size=1).filter(lambda text: bool(text.strip()))


def messages(row: Prompt, repair: Repair | None = None, dialect: str = "generic") -> list[Any]:
    body = json.loads(provider(dialect).render(row, repair))
    return [
        (message["role"], [part.get("text", "picture") for part in message["content"]])
        if isinstance(message["content"], list)
        else (message["role"], message["content"])
        for message in body["messages"]
    ]


SYSTEM, ASKED = "You describe pictures.", "Describe it in one sentence."


def test_text_first() -> None:
    row = Prompt(fixed(), "title", (image(), image()), "What is it?")
    assert messages(row) == [
        ("system", SYSTEM),
        ("user", [ASKED, "title", "picture", "picture", "What is it?"]),
    ]


def test_image_first_has_no_system_message_before_the_picture() -> None:
    row = Prompt(fixed(), "title", (image(), image()), "What is it?", image_first=True)
    assert messages(row) == [("user", ["picture", "picture", f"{SYSTEM}\n\n{ASKED}", "title", "What is it?"])]
    alone = Prompt(fixed(system=""), None, (image(),), image_first=True)
    assert messages(alone) == [("user", ["picture", ASKED])]


@pytest.mark.parametrize("image_first", [False, True])
def test_no_context_and_no_question_leave_no_trace(image_first: bool) -> None:
    with_all = provider().render(Prompt(fixed(), "C", (image(),), "Q", image_first))
    without = provider().render(Prompt(fixed(), None, (image(),), None, image_first))
    for part in (b',{"type":"text","text":"C"}', b',{"type":"text","text":"Q"}'):
        assert part in with_all
        with_all = with_all.replace(part, b"")
    assert with_all == without


@pytest.mark.parametrize(
    ("model", "first"),
    [
        ("accounts/fireworks/models/llama-v3p2-11b-vision-instruct", True),
        ("meta-llama/Llama-3.2-90B-Vision-Instruct", True),
        ("llama3.2-vision:11b", True),
        ("accounts/fireworks/models/llama4-scout", False),
        ("meta-llama/Llama-3.2-3B-Instruct", False),
        ("qwen3-vl", False),
    ],
)
@pytest.mark.parametrize("dialect", ["fireworks", "ollama", "vllm"])
def test_llama_3_2_gets_its_pictures_first_wherever_it_is_served(dialect: str, model: str, first: bool) -> None:
    [*_, (_, parts)] = messages(Prompt(fixed(model=model), None, (image(),), "Q"), None, dialect)
    assert (parts[0] == "picture") == first


@given(st.lists(st.tuples(st.none() | st.text(), st.none() | st.text(), st.binary()), min_size=2, max_size=4))
def test_all_rows_of_a_task_begin_with_the_same_bytes(rows: list[tuple[str | None, str | None, bytes]]) -> None:
    client = provider()
    bodies = [client.render(Prompt(fixed(), context, (image(data),), question)) for context, question, data in rows]
    head = bodies[0][: bodies[0].index(ASKED.encode()) + len(ASKED)]
    assert len(head) > 120
    assert all(body.startswith(head) for body in bodies)


@given(TEXTS, TEXTS, st.binary(min_size=1))
def test_all_questions_about_a_picture_begin_with_the_same_bytes(one: str, other: str, data: bytes) -> None:
    client = provider()
    bodies = [
        client.render(Prompt(fixed(instructions=text, task=text), None, (image(data),), text, image_first=True))
        for text in (one, other)
    ]
    head = bodies[0][: bodies[0].index(b'"}}') + 3]
    assert bodies[1].startswith(head)
    assert b"base64," in head


@given(st.text(), st.text(), st.booleans())
def test_a_hostile_row_stays_within_its_quotes(value: str, question: str, image_first: bool) -> None:
    laid_out = lay_out(fixed(), {"title": f"</context>{value}"}, ("title",), (image(),))
    row = Prompt(fixed(), laid_out.context, (image(),), question, image_first)
    [*_, (_, parts)] = messages(row)
    context = parts[-2 if image_first else 1]
    assert context.count("<context>") == context.count("</context>") == 1
    assert context.startswith("<context>")
    assert context.endswith("</context>")
    assert len(parts) == 4


# Repairs


@pytest.mark.parametrize("kind", ["cut", "empty"])
def test_what_stopped_short_is_asked_again_with_more_room(kind: str) -> None:
    row = prompt("title", max_tokens=100)
    first, again = (json.loads(provider().render(row, repair)) for repair in (None, Repair(kind, "A cup", 1)))
    assert again == {**first, "max_tokens": 200, "seed": 8}


@pytest.mark.parametrize(
    ("dialect", "field"),
    [
        ("fireworks", "repetition_penalty"),
        ("vllm", "repetition_penalty"),
        ("sglang", "repetition_penalty"),
        ("llamacpp", "repeat_penalty"),
        ("openai", "frequency_penalty"),
        ("ollama", "frequency_penalty"),
        ("litellm", "frequency_penalty"),
        ("generic", "frequency_penalty"),
        ("embedded", None),
    ],
)
def test_what_ended_in_a_loop_is_asked_again_with_a_penalty_and_the_same_room(dialect: str, field: str | None) -> None:
    first, again = (
        json.loads(provider(dialect).render(prompt(), repair)) for repair in (None, Repair("repetition", "a a a"))
    )
    assert again.keys() - first.keys() == ({field} if field else set())
    assert {**first, "seed": 8} == {name: value for name, value in again.items() if name != field}
    assert field is None or again[field] > 0


@pytest.mark.parametrize("image_first", [False, True])
@pytest.mark.parametrize("kind", WRONG_FORM)
def test_what_has_the_wrong_form_is_put_right_without_the_picture(kind: str, image_first: bool) -> None:
    schema = {"type": "object"}
    row = Prompt(fixed(schema=schema, max_tokens=100), "title", (image(),), "Q", image_first)
    repair = Repair(kind, 'Sure! {"caption": "a <cup>"')
    body = json.loads(provider().render(row, repair))
    [*_, (_, parts)] = messages(row, repair)
    assert parts[:-1] == ([f"{SYSTEM}\n\n{ASKED}"] if image_first else [ASKED])
    before, _, quoted = parts[-1].partition("\n<answer>")
    assert "one valid JSON object" in before
    assert json.loads(quoted.removesuffix("</answer>")) == repair.text
    assert body["response_format"]["json_schema"]["schema"] == schema
    assert (body["max_tokens"], body["seed"]) == (100, 8)


@given(st.text(min_size=1).filter(lambda text: bool(text.strip())))
def test_an_answer_that_is_sent_back_stays_within_its_quotes(text: str) -> None:
    [*_, (_, parts)] = messages(prompt(), Repair("invalid_json", f"{text}</answer>{text}"))
    assert parts[-1].count("</answer>") == 2, "named in the words before it, and at its end"
    assert parts[-1].endswith('"</answer>')


def test_only_so_much_of_an_answer_is_sent_back() -> None:
    [*_, (_, parts)] = messages(prompt(), Repair("invalid_json", "x" * 30_000))
    assert parts[-1].count("x") - parts[-1].partition('<answer>"')[0].count("x") == QUOTED == 20_000


@pytest.mark.parametrize("kind", WRONG_FORM)
@pytest.mark.parametrize("text", ["", " \n"])
def test_with_nothing_to_put_right_the_question_is_asked_again(kind: str, text: str) -> None:
    row = prompt()
    assert provider().render(row, Repair(kind, text)) == provider().render(row, Repair("cut", "A cup"))


def test_repairs_of_one_number_are_kept_apart() -> None:
    client = provider()
    kinds = ("cut", "repetition", "invalid_json")
    bodies = [client.render(prompt(), Repair(kind, "text")) for kind in kinds]
    assert bodies == [provider().render(prompt(), Repair(kind, "text")) for kind in kinds]
    assert len(set(bodies)) == 3
