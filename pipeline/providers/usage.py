"""Tokens as a server reports them, and what they cost."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final, NamedTuple

from pipeline.core.types import Usage

FIREWORKS_PREFIX: Final = "accounts/fireworks/models/"
EMBEDDED_PREFIX: Final = "embedded/"
INT64: Final = 2**63


def read_usage(value: object) -> Usage:
    """The token counts in a `usage` member, of any of the known shapes; None for what is missing or no count.

    Shapes read in vLLM 0.33, SGLang 0.5.23 (reasoning tokens at the top) and the OpenAI SDK 3.54 (2026-11-22).
    """
    usage = _object(value)
    prompt = _object(usage.get("prompt_tokens_details"))
    completion = _object(usage.get("completion_tokens_details"))
    return Usage(
        prompt_tokens=_count(usage.get("prompt_tokens")),
        cached_tokens=_count(prompt.get("cached_tokens")),
        image_tokens=_first(prompt.get("image_tokens"), _object(prompt.get("multimodal_tokens")).get("image")),
        completion_tokens=_count(usage.get("completion_tokens")),
        reasoning_tokens=_first(completion.get("reasoning_tokens"), usage.get("reasoning_tokens")),
    )


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    # bool is an int to Python; a larger number than a column holds would stop the run when it is written.
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < INT64 else None


def _first(*values: object) -> int | None:
    return next((count for count in map(_count, values) if count is not None), None)


class Price(NamedTuple):
    """USD per million tokens. Without a price of their own, cached tokens cost as much as others."""

    input: float
    cached: float
    output: float


class Prices:
    """The price of each known model."""

    def __init__(self, models: Mapping[str, Price]) -> None:
        self._models = models

    @classmethod
    def load(cls) -> Prices:
        """The table that comes with the package, prices.toml; it names its source and date."""
        table = tomllib.loads(files("pipeline.providers").joinpath("prices.toml").read_text("utf-8"))
        return cls(
            {
                model: Price(price["input"], price.get("cached", price["input"]), price["output"])
                for model, price in table["models"].items()
            }
        )

    def cost(self, model: str, usage: Usage) -> float | None:
        """USD for one answer; None when the price or the tokens are not known. The bundled models cost nothing.

        Surcharges for writing to a cache (OpenAI from GPT-5.6 on) are not in it.
        """
        if model.startswith(EMBEDDED_PREFIX):
            return 0.0
        price = self._models.get(model) or self._models.get(model.removeprefix(FIREWORKS_PREFIX))
        if price is None or usage.prompt_tokens is None or usage.completion_tokens is None:
            return None
        cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
        dollars = (usage.prompt_tokens - cached) * price.input + cached * price.cached
        return (dollars + usage.completion_tokens * price.output) / 1e6
