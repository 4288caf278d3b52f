"""The completion in a body of status 2xx, whichever form and API it came by.

Forms: a chat completion, a completion (`text`), llama.cpp's own (`content` and `stop_type`; build 11549, 2026-11-25),
each whole or as a stream. Depends on nothing but the bytes and the notes, so that kept answers can be read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.core.errors import CallError
from pipeline.core.types import Completion
from pipeline.providers import errors
from pipeline.providers.complaint import complaint, described, fit, without_signatures
from pipeline.providers.stream import BROKEN_OFF, folded, is_stream
from pipeline.providers.usage import read_cost, read_usage
from pipeline.providers.wire import mended, parsed

_STOPS: Final = {"eos": "stop", "word": "stop", "limit": "length"}
"""Finish reasons by llama.cpp's stop_type."""


def read_answer(body: bytes, notes: Mapping[str, str], secret: str | None) -> Completion:
    """The completion. Raises CallError when there is none, of the kind that an error in the body names, with what came
    of one that was broken off: its tokens are counted all the same.

    Of several choices the first counts. Reasoning is left out: only that there was some, and its tokens, are told.
    """
    streamed = is_stream(body)
    try:
        value = folded(body) if streamed else parsed(body)
    except ValueError:
        if streamed:
            raise CallError("connection", "the stream broke off in the middle of an event", 200) from None
        raise _unusable(body, "the answer is no JSON", secret) from None
    if not isinstance(value, dict):
        raise _unusable(body, f"the answer is {described(value)}, not a completion", secret)
    if value.get("error") or value.get("object") == "error":
        raise errors.within_success(value, secret)
    choice = _native(value) if "stop_type" in value else _choice(value)
    if choice is None:
        raise _unusable(body, "the answer has no choices with a message", secret)
    message = choice["message"]
    finish_reason = _text(choice.get("finish_reason"))
    completion = Completion(
        text=_content(message.get("content")),
        finish_reason=finish_reason,
        refusal=_text(message.get("refusal")),
        served_model=_text(value.get("model")),
        usage=read_usage(value, notes),
        cost_usd=read_cost(notes),
        reasoned=any(_text(message.get(name)) for name in ("reasoning_content", "reasoning")),
    )
    if finish_reason in BROKEN_OFF:
        broken = f"the server broke the answer off: finish_reason {finish_reason}"
        raise CallError("http_5xx", broken, 200, part=completion)
    if streamed and finish_reason is None:
        raise CallError("connection", "the stream broke off before the answer was whole", 200, part=completion)
    return completion


def _choice(value: dict[str, Any]) -> dict[str, Any] | None:
    choices = value.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return None
    if isinstance(choice.get("message"), dict):
        return choice
    return {**choice, "message": {"content": choice["text"]}} if isinstance(choice.get("text"), str) else None


def _native(value: dict[str, Any]) -> dict[str, Any] | None:
    if not isinstance(value.get("content"), str):
        return None
    stopped = value["stop_type"]
    reason = "length" if value.get("truncated") is True else _STOPS.get(stopped if isinstance(stopped, str) else "")
    return {"message": {"content": value["content"]}, "finish_reason": reason}


def _unusable(body: bytes, what: str, secret: str | None) -> CallError:
    said = fit(complaint(without_signatures(body)).message, secret)
    return CallError("http_5xx", f"{what}: {said}" if said else what, 200)


def _text(value: object) -> str | None:
    return mended(value) if isinstance(value, str) else None


def _content(content: object) -> str:
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, dict))
        return mended("".join(text for text in texts if isinstance(text, str)))
    return _text(content) or ""
