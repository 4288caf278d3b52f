"""Bodies as the servers of the protocol sheet write them, for the two tables of what they mean."""

from __future__ import annotations

import json
from typing import Any

HTML = b"<html><head><title>502 Bad Gateway</title></head></html>"
GRPC = {"code": 5, "message": "model not found, inaccessible, or not deployed", "details": []}


def err(message: str, code: Any = None, kind: str = "invalid_request_error") -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def fw(message: str, code: str = "invalid_request_error") -> Any:
    return {"error": {"object": "error", "type": code, "code": code, "message": message}}


def sg(message: str, code: int = 400, kind: str = "BadRequest") -> Any:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def lc(code: int, kind: str, message: str) -> Any:
    return {"error": {"code": code, "message": message, "type": kind}}


def lite(name: str, status: str, message: str = "upstream said no") -> Any:
    return err(f"litellm.{name}: {message}", status, "None")


def events(*values: Any, done: bool = True) -> bytes:
    return b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values) + b"data: [DONE]\n\n" * done


def delta(text: str | None = None, reason: str | None = None, **more: Any) -> Any:
    return {"choices": [{"index": 0, "delta": {"content": text, **more}, "finish_reason": reason}]}


def said(text: Any = "A cup.", reason: str | None = "stop", usage: Any = None, **message: Any) -> Any:
    return {"choices": [{"message": {"content": text, **message}, "finish_reason": reason}], "usage": usage}


def plain(text: str, reason: str | None = None) -> Any:
    return {"choices": [{"text": text, "finish_reason": reason}]}


def native(**changes: Any) -> Any:
    counts = {"tokens_evaluated": 30, "tokens_predicted": 8, "tokens_cached": 37, "timings": {"cache_n": 29}}
    return {"content": "A cup.", "stop_type": "eos", "truncated": False, **counts, **changes}


def raw(body: Any) -> bytes:
    """As it comes over the wire."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()
