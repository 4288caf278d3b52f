"""Every success that the protocol sheet names, one line a case: what it is to be read as."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.errors import ItemError
from pipeline.core.types import Completion, Reply, Usage
from pipeline.providers.dialects import DIALECTS
from pipeline.tasks.answers import checked
from tests.providers.bodies import delta, events, native, plain, raw, said
from tests.providers.examples import provider

U = Usage
NINE = U(9, None, None, 4)
PLAIN = {"prompt_tokens": 9, "completion_tokens": 4}


def counted(*, answer: Any = None, **prompt: Any) -> Any:
    return {**PLAIN, "prompt_tokens_details": prompt, "completion_tokens_details": answer}


FW_NOTES = {"fireworks-prompt-tokens": "9", "fireworks-cached-prompt-tokens": "6"}
PERF = {"perf_metrics": {"prompt-tokens": "9", "cached-prompt-tokens": "6"}}
PROXIED = {"llm_provider-fireworks-cached-prompt-tokens": "6"}
FW_LAST = {**delta(None, "stop"), "usage": PLAIN, **PERF}
OTHER = {"choices": [{"index": 1, "delta": {"content": "Another"}, "finish_reason": "length"}]}
LAST = {"choices": [], "usage": PLAIN}

LATE = {"error": {"message": "the connection to the worker was lost", "code": 500}}
LATE_EVENT = b'event: error\ndata: {"message": "the connection to the worker was lost"}\n\n'

THOUGHT = "empty: all that the model wrote is reasoning"

# dialect, body, headers, text or kind of an answer that cannot be used, usage, the server's own price
SUCCESSES: list[tuple[str, Any, dict[str, str], str, Usage, float | None]] = [
    ("fireworks", said(usage=PLAIN), FW_NOTES, "A cup.", U(9, 6, None, 4), None),
    ("fireworks", said(usage=counted(cached_tokens=5)), FW_NOTES, "A cup.", U(9, 5, None, 4), None),
    ("fireworks", said(usage=PLAIN), {}, "A cup.", NINE, None),
    ("fireworks", said(usage=None), {**FW_NOTES, "fireworks-cached-prompt-tokens": "0"}, "A cup.", U(9, 0), None),
    ("fireworks", said(usage=PLAIN), {"fireworks-cached-prompt-tokens": "many"}, "A cup.", NINE, None),
    ("fireworks", events(delta("A "), delta("cup."), FW_LAST), {}, "A cup.", U(9, 6, None, 4), None),
    ("fireworks", {**plain("A cup.", "stop"), "usage": PLAIN}, {}, "A cup.", NINE, None),
    ("fireworks", events(plain("A "), plain("cup.", "stop")), {}, "A cup.", U(), None),
    ("fireworks", said("", "length", reasoning_content="Hmm"), {}, THOUGHT, U(), None),
    ("fireworks", said("", "length"), {}, "empty: its token limit was used up", U(), None),
    (
        "openai",
        said(usage=counted(cached_tokens=1, cache_write_tokens=8)),
        {},
        "A cup.",
        U(9, 1, None, 4, None, 8),
        None,
    ),
    ("openai", said(usage=counted(answer={"reasoning_tokens": 3})), {}, "A cup.", U(9, None, None, 4, 3), None),
    ("openai", said(None, "content_filter"), {}, "content_filter: ", U(), None),
    ("openai", said(None, refusal="I will not."), {}, "refusal: I will not.", U(), None),
    (
        "openai",
        events(delta(None, refusal="I "), delta(None, "stop", refusal="will not."), LAST),
        {},
        "refusal: I will not.",
        NINE,
        None,
    ),
    ("openai", events(delta("A cup", "content_filter")), {}, "content_filter: ", U(), None),
    ("openai", events(delta("A cup.", "stop"), LAST, done=False), {}, "A cup.", NINE, None),
    ("openai", events(delta("A cup.", "stop"), done=False) + b'data: {"usa', {}, "A cup.", U(), None),
    ("openai", events(delta("A cup.", "stop"), LAST, LATE), {}, "A cup.", NINE, None),
    ("openai", events(delta("A cup."), delta(None, "stop"), LATE, delta("Again"), LAST), {}, "A cup.", U(), None),
    ("openai", events(delta("A cup.", "stop"), done=False) + LATE_EVENT, {}, "A cup.", U(), None),
    ("openai", events(delta("A cup on", "length"), LATE), {}, "cut: ", U(), None),
    ("openai", events(delta(None, "stop", refusal="I will not."), LATE), {}, "refusal: I will not.", U(), None),
    ("fireworks", events(plain("A cup.", "stop"), LATE), {}, "A cup.", U(), None),
    ("vllm", said(usage=counted(cached_tokens=2, multimodal_tokens={"image": 7})), {}, "A cup.", U(9, 2, 7, 4), None),
    ("vllm", said(None, "length", reasoning="Hmm"), {}, THOUGHT, U(), None),
    ("vllm", events(delta(None, reasoning="Hm"), delta(None, "length", reasoning="m"), LAST), {}, THOUGHT, NINE, None),
    ("vllm", said("A cup on", "length"), {}, "cut: ", U(), None),
    ("vllm", said("A cup on", None), {}, "cut: ", U(), None),
    ("vllm", b"\xef\xbb\xbf" + events(delta("A cup.", "stop")).replace(b"\n", b"\r\n"), {}, "A cup.", U(), None),
    ("sglang", said(usage={**PLAIN, "reasoning_tokens": 2}), {}, "A cup.", U(9, None, None, 4, 2), None),
    ("llamacpp", said(usage=counted(cached_tokens=8)), {}, "A cup.", U(9, 8, None, 4), None),
    ("llamacpp", native(), {}, "A cup.", U(30, 29, None, 8), None),
    ("llamacpp", native(stop_type="word"), {}, "A cup.", U(30, 29, None, 8), None),
    ("llamacpp", native(stop_type="limit"), {}, "cut: ", U(30, 29, None, 8), None),
    ("llamacpp", native(truncated=True), {}, "cut: ", U(30, 29, None, 8), None),
    ("llamacpp", native(stop_type="none"), {}, "cut: ", U(30, 29, None, 8), None),
    ("ollama", events(delta("A cup.", "stop")) + b'data: {"error": "too late"}\n\n', {}, "A cup.", U(), None),
    ("ollama", events(delta("A "), OTHER, delta("cup.", "stop")), {}, "A cup.", U(), None),
    ("ollama", said(usage={**PLAIN, "total_tokens": 13}), {}, "A cup.", NINE, None),
    ("litellm", said(usage=PLAIN), {"x-litellm-response-cost": "0.0025"}, "A cup.", NINE, 0.0025),
    ("litellm", said(usage=PLAIN), {"x-litellm-response-cost": "0.0"}, "A cup.", NINE, None),
    ("litellm", said(usage=PLAIN), {"x-litellm-response-cost": "nan"}, "A cup.", NINE, None),
    ("litellm", said(usage=PLAIN), {"x-litellm-response-cost": "None"}, "A cup.", NINE, None),
    ("litellm", said(usage=PLAIN), PROXIED, "A cup.", U(9, 6, None, 4), None),
    ("generic", said([{"type": "text", "text": "A cup."}]), {}, "A cup.", U(), None),
    ("generic", said(reason="tool_calls"), {}, "A cup.", U(), None),
]


@pytest.mark.parametrize(("dialect", "body", "headers", "means", "usage", "cost"), SUCCESSES)
def test_no_answer_is_misread(
    dialect: str, body: Any, headers: dict[str, str], means: str, usage: Usage, cost: float | None
) -> None:
    received = raw(body)
    client = provider(dialect)
    answer = client.read(received, client.notes(Reply(200, {**headers, "date": "today"}, received)))
    assert (answer.usage, answer.cost_usd) == (usage, cost)
    assert outcome(answer).startswith(means) if ": " in means else outcome(answer) == means


def outcome(answer: Completion) -> str:
    try:
        return checked(answer)
    except ItemError as error:
        detail = error.message.removeprefix("the answer is empty (").removeprefix("the model refused: ")
        return f"{error.kind}: {detail}"


def test_every_dialect_is_in_the_table() -> None:
    assert {case[0] for case in SUCCESSES} == DIALECTS.keys() - {"embedded"}
