"""A streamed answer (server-sent events) put together to what it would have been in one piece.

The events are OpenAI's chunks: deltas of one message, the finish reason in one of the last, usage in a chunk of its own
or with it; an error may come in the middle (vLLM 0.33, OpenAI: `event: error`; 2026-11-22). What comes after `[DONE]`
does not count, nor does an error behind an answer that was whole. The format of the lines is that of the HTML standard,
section 9.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pipeline.providers.wire import parsed

BROKEN_OFF: Final = frozenset({"error", "abort"})
"""Finish reasons of an answer that the server gave up (vLLM 0.33, Fireworks; 2026-11-22)."""

_BEGINNINGS = (b"data:", b"event:", b"id:", b"retry:", b":")
_KEPT = ("model", "usage", "perf_metrics")
_TEXTS = ("content", "reasoning", "reasoning_content", "refusal")
_ANSWERS = ("content", "refusal")


def is_stream(body: bytes) -> bool:
    """Whether a body is made of events; none of their beginnings can begin JSON or a page."""
    return body[:64].lstrip(b"\xef\xbb\xbf \r\n").startswith(_BEGINNINGS)


def folded(body: bytes) -> dict[str, Any]:
    """The answer in the form that it has without streaming; `finish_reason` is None when the stream broke off.

    An error event takes the place of all that came before, unless that is a whole answer. Raises ValueError for an
    event that is no JSON object, as the last is when a connection is cut.
    """
    whole: dict[str, Any] = {}
    texts: dict[str, list[str]] = {}
    plain: list[str] = []
    finish_reason = None
    for name, data in _events(body):
        try:
            chunk = _object(data)
        except ValueError:
            if finish_reason:  # the answer is whole; only its usage is lost
                break
            raise
        if name == b"error" or chunk.get("error") or chunk.get("object") == "error" or chunk.get("type") == "error":
            answered = any(plain) or any(any(texts.get(key, ())) for key in _ANSWERS)
            if finish_reason and finish_reason not in BROKEN_OFF and answered:  # it was paid for
                break
            return chunk if chunk.get("error") else {"error": chunk}
        whole |= {key: chunk[key] for key in _KEPT if chunk.get(key) is not None}
        for choice in _first_choice(chunk.get("choices")):
            finish_reason = choice.get("finish_reason") or finish_reason
            if isinstance(text := choice.get("text"), str):
                plain.append(text)
            delta = choice.get("delta")
            for key, said in delta.items() if isinstance(delta, dict) else ():
                if key in _TEXTS and isinstance(said, str):
                    texts.setdefault(key, []).append(said)
    message: dict[str, Any] = {key: "".join(pieces) for key, pieces in texts.items()}
    answer = {"text": "".join(plain)} if plain else {"message": message}
    return {**whole, "choices": [{**answer, "finish_reason": finish_reason}]}


def _object(data: bytes) -> dict[str, Any]:
    value = parsed(data)
    if isinstance(value, dict):
        return value
    raise ValueError("an event is no JSON object")


def _first_choice(choices: object) -> Iterator[dict[str, Any]]:
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and choice.get("index", 0) == 0:
            yield choice


def _events(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and data of each event that has data, up to `[DONE]`."""
    lines = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for event in lines.split(b"\n\n"):
        name, data = b"", []
        for line in event.split(b"\n"):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value
        joined = b"\n".join(data).strip()
        if joined == b"[DONE]":
            return
        if joined:
            yield name, joined
