"""Completions as servers write them, and answers under status 200 that are none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import CallError
from pipeline.core.types import Completion, Usage
from tests.providers.examples import KEY, provider

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def body(content: Any = "A cup.", usage: Any = None, message: dict[str, Any] | None = None, **choice: Any) -> bytes:
    said = {"role": "assistant", "content": content, **(message or {})}
    first = {"index": 0, "message": said, "finish_reason": "stop", **choice}
    return json.dumps({"id": "c-1", "model": "served", "choices": [first], "usage": usage}).encode()


def read(answer: bytes) -> Completion:
    return provider().read(answer)


def test_a_usual_answer() -> None:
    usage = {"prompt_tokens": 686, "completion_tokens": 16, "prompt_tokens_details": {"cached_tokens": 639}}
    assert read(body(usage=usage)) == Completion("A cup.", "stop", None, "served", Usage(686, 639, None, 16, None))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("", ""),
        ([{"type": "text", "text": "A "}, {"type": "text", "text": "cup."}, {"type": "other"}], "A cup."),
        ([], ""),
        (7, ""),
        ("\ud83d\ude00 \ud800", "\U0001f600 \ufffd"),
    ],
)
def test_contents(content: Any, text: str) -> None:
    assert read(body(content)).text == text


def test_a_refusal_and_the_thinking_of_a_reasoning_model() -> None:
    answer = read(
        body(
            None,
            {"completion_tokens_details": {"reasoning_tokens": 90}},
            message={"refusal": "No.", "reasoning_content": "Hmm", "reasoning": "Hmm"},
        )
    )
    assert (answer.text, answer.refusal, answer.usage.reasoning_tokens) == ("", "No.", 90)


@pytest.mark.parametrize("reason", ["length", "content_filter", "tool_calls", None])
def test_a_finish_reason_is_handed_on(reason: str | None) -> None:
    assert read(body(finish_reason=reason)).finish_reason == reason


def test_of_several_choices_the_first_counts() -> None:
    value = json.loads(body("first"))
    value["choices"].append({"message": {"content": "second"}})
    assert read(json.dumps(value).encode()).text == "first"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"choices":[{"message":{"content":"a\x01b"}}]}',  # a raw control character
        b'{"choices":[{"message":{"content":"a\\ud800b"}}]}',  # half a surrogate pair
        b'{"choices":[{"message":{"content":"a\xffb"}}]}',  # broken UTF-8
        b'{"choices":[{"message":{"content":"ab"},"logprobs":NaN}]}',
    ],
)
def test_a_paid_answer_survives_an_odd_byte(raw: bytes) -> None:
    text = read(raw).text
    assert text.startswith("a")
    assert text.endswith("b")
    text.encode()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "the answer is no JSON"),
        (b"\x00\xff<not json", "the answer is no JSON"),
        (b"<html><title>Sign in</title></html>", "the answer is no JSON: Sign in"),
        (b'data: {"error":{"message":"overloaded"}}\n\ndata: [DONE]\n\n', "an error under status 200: overloaded"),
        (b"[" * 100_000, "the answer is no JSON"),
        (b"[]", "the answer is a list, not a completion"),
        (b'"hello"', "the answer is a text, not a completion: hello"),
        (b"null", "the answer is null, not a completion"),
        (b"{}", "the answer has no choices with a message"),
        (b'{"choices":[]}', "the answer has no choices with a message"),
        (b'{"choices":null}', "the answer has no choices with a message"),
        (b'{"choices":[{"text":["not a text"]}]}', "the answer has no choices with a message"),
        (b'{"stop_type":"eos","content":7}', "the answer has no choices with a message"),
        (b'{"object":"error","message":"Upstream failed"}', "an error under status 200: Upstream failed"),
        (b'{"choices":["text"]}', "the answer has no choices with a message"),
        (b'{"error":{"message":"Upstream failed","code":502}}', "an error under status 200: Upstream failed"),
        (b'{"error":"busy","choices":[]}', "an error under status 200: busy"),
        (body(finish_reason="error"), "broke the answer off: finish_reason error"),
        (body(finish_reason="abort"), "broke the answer off: finish_reason abort"),
    ],
)
def test_a_success_that_is_none_is_asked_again(raw: bytes, message: str) -> None:
    with pytest.raises(CallError) as caught:
        read(raw)
    assert message in str(caught.value)
    assert (caught.value.kind, caught.value.status, caught.value.reached) == ("http_5xx", 200, True)


def test_the_key_is_not_in_the_error_either() -> None:
    with pytest.raises(CallError) as caught:
        read(json.dumps({"error": f"bad key {KEY}"}).encode())
    assert KEY not in str(caught.value)


@given(JSON)
def test_any_json_is_read_or_refused_as_one_of_our_errors(value: Any) -> None:
    for raw in (value, {"choices": value}, {"choices": [value]}, {"choices": [{"message": value}], "usage": value}):
        outcome = read_or_refused(json.dumps(raw).encode())
        text = outcome.text if isinstance(outcome, Completion) else outcome.message
        assert text.encode().decode() == text, "text that can be written"
        assert isinstance(outcome, Completion) or outcome.meaning.stage == "call"


def read_or_refused(body: bytes) -> Completion | CallError:
    try:
        return read(body)
    except CallError as error:
        return error


@given(st.binary(max_size=100))
def test_any_bytes_likewise(raw: bytes) -> None:
    with pytest.raises(CallError):
        read(raw)


@given(JSON)
def test_reading_depends_on_the_bytes_alone(value: Any) -> None:
    raw = body(usage=value)
    assert read(raw) == read(bytes(bytearray(raw)))
