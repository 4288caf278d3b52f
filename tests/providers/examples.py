"""Prompts and providers for the tests of this folder."""

from __future__ import annotations

from typing import Any

import httpx

from pipeline.core.pictures import PreparedImage
from pipeline.core.types import FixedPrompt, Prompt, Repair
from pipeline.providers.dialects import DIALECTS
from pipeline.providers.server import Server
from pipeline.providers.usage import Prices

KEY = "sk-secret-0123456789abcdef"


class NoTransport(httpx.AsyncBaseTransport):
    """For tests that send nothing."""


def provider(dialect: str = "generic", **changes: Any) -> Server:
    settings: dict[str, Any] = {
        "base_url": "http://127.0.0.1:1/v1",
        "api_key": KEY,
        "transport": NoTransport(),
        "timeout_s": 5.0,
        "prices": Prices.load(),
    }
    return Server(DIALECTS[dialect], **{**settings, **changes})


def fixed(**changes: Any) -> FixedPrompt:
    values: dict[str, Any] = {
        "task": "caption",
        "model": "a/model",
        "system": "You describe pictures.",
        "instructions": "Describe it in one sentence.",
        "schema": None,
        "max_tokens": 256,
        "temperature": 0.0,
        "seed": 7,
        "sha256": "0" * 64,
    }
    return FixedPrompt(**{**values, **changes})


def image(data: bytes = b"picture", mime: str = "image/jpeg") -> PreparedImage:
    return PreparedImage(data, mime, 4, 3, 4, 3)


def prompt(context: str | None = None, *images: PreparedImage, **changes: Any) -> Prompt:
    return Prompt(fixed(**changes), context, images or (image(),))


def again(number: int, kind: str = "cut", text: str = "A cup on a") -> Repair | None:
    """The repair that follows so many unusable answers."""
    return Repair(kind, text, number) if number else None
