"""What a server says when it does not answer, read from any of the known shapes and made fit for a log.

Shapes (sources of vLLM 0.33, SGLang 0.5.23, LiteLLM 1.109, llama.cpp, Ollama, Fireworks' SDK 1.2.30; 2026-11-22):

    {"error": {"message", "type", "param", "code"}}     code: text, number, number as text or null
    {"error": {"object": "error", ...}}                 Fireworks
    {"object": "error", "message", "type", "code"}      SGLang, older vLLM
    {"error": "text"}, with or without "message"        vLLM's 401, Ollama, Fireworks' gateway
    {"code": 5, "message", "details": []}               Fireworks' control plane
    {"detail": "text"} or {"detail": [{"msg", ...}]}    FastAPI
    [{"error": ...}]                                    some gateways
    data: {"error": ...}                                a stream that nobody asked for
    HTML, plain text, nothing                           gateways
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pipeline.providers.wire import mended, parsed
from pipeline.storage.urls import public_url

LONGEST: Final = 300
"""Characters of a server's message that are kept."""

SHORTEST_SECRET: Final = 6
"""Shorter keys ("none", "EMPTY") are placeholders; replacing them would garble words."""

_ENCODED = re.compile(r"[A-Za-z0-9+/=_-]{80,}")
_ADDRESS = re.compile(r"(?: at)? 0x[0-9a-fA-F]{6,}")
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


class Complaint(NamedTuple):
    """`codes` are the values of code, type and status in lower case; `message` may be empty and is not yet `fit`."""

    codes: frozenset[str]
    message: str


def complaint(body: bytes) -> Complaint:
    """Read an error body. Never fails."""
    try:
        value = parsed(body.removeprefix(b"data:").split(b"\n\n")[0] if body.startswith(b"data:") else body)
    except ValueError:
        return Complaint(frozenset(), _page(body))
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return Complaint(frozenset(), value if isinstance(value, str) else "")
    inner = value.get("error")
    members = inner if isinstance(inner, dict) else value
    codes = frozenset(str(members[name]).lower() for name in ("code", "type", "status") if members.get(name))
    texts = (members.get("message"), inner, _detail(value.get("detail")))
    return Complaint(codes, next((mended(text) for text in texts if isinstance(text, str) and text), ""))


def _detail(detail: object) -> object:
    if isinstance(detail, list):
        return "; ".join(str(item.get("msg", "")) for item in detail if isinstance(item, dict))
    return detail


def _page(body: bytes) -> str:
    text = body[:65536].decode("utf-8", "replace")
    if "<" not in text:
        return text
    title = _TITLE.search(text)
    return title[1] if title else _TAG.sub(" ", text)


@lru_cache
def _mentions(secret: str) -> re.Pattern[bytes]:
    """The key as it may stand in JSON, or in JSON that is quoted in JSON: "/" as "\\/", "+" as "\\u002b"."""

    def written(character: str) -> str:
        if character.isalnum() or character in "-._":  # escaped by nobody
            return re.escape(character)
        plain = rf"\\*{re.escape(character)}" if character in '/"\\' else re.escape(character)
        return rf"(?:{plain}|\\+u00(?i:{ord(character):02x}))"

    return re.compile("".join(map(written, secret)).encode())


def without_key(data: bytes, secret: str | None) -> bytes:
    """The bytes with every mention of the key (ASCII) replaced; a key too short to be one is left."""
    if secret is None or len(secret) < SHORTEST_SECRET:
        return data
    return _mentions(secret).sub(b"[key]", data)


def keyless(text: str, secret: str | None) -> str:
    """The same of a text."""
    return without_key(text.encode("utf-8", "surrogatepass"), secret).decode("utf-8", "surrogatepass")


_WEB_ADDRESS = re.compile(rb"https?:(?:\\?/){2}(?:\\/|\\u0026|[^\s\"'<>\\])+", re.IGNORECASE)
"""As it stands in JSON, where a slash and an ampersand may be escaped."""


def without_signatures(data: bytes) -> bytes:
    """The bytes with every http address in them shown without what signs it: servers repeat what they cannot fetch."""

    def shown(found: re.Match[bytes]) -> bytes:
        address = found[0].decode("utf-8", "replace").replace("\\/", "/").replace("\\u0026", "&")
        return public_url(address).encode("utf-8", "replace")

    return _WEB_ADDRESS.sub(shown, data)


def fit(text: str, secret: str | None) -> str:
    """The text for a log or a column: one line, no key, no base64, no memory address, at most 300 characters."""
    text = _ADDRESS.sub("", _ENCODED.sub("[...]", " ".join(keyless(text, secret).split())))
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def described(value: Any) -> str:
    """The kind of a JSON value, for a message about a body that is not what it should be."""
    names = {dict: "an object", list: "a list", str: "a text", type(None): "null"}
    return names.get(type(value), "a number")
