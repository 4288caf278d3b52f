"""Tokens as a server reports them, and what they cost."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.errors import ConfigError
from pipeline.core.types import Usage

FIREWORKS_PREFIX: Final = "accounts/fireworks/models/"
EMBEDDED_PREFIX: Final = "embedded/"
INT64: Final = 2**63

_PROXIED: Final = "llm_provider-"
_PROMPT_HEADERS: Final = ("fireworks-prompt-tokens", _PROXIED + "fireworks-prompt-tokens")
_CACHED_HEADERS: Final = ("fireworks-cached-prompt-tokens", _PROXIED + "fireworks-cached-prompt-tokens")
_COST_HEADER: Final = "x-litellm-response-cost"
NOTED: Final = (*_PROMPT_HEADERS, *_CACHED_HEADERS, _COST_HEADER)
"""Headers that say what a body may not. A proxy (LiteLLM 1.109) passes its server's on with a word in front."""


def read_usage(answer: Mapping[str, Any], notes: Mapping[str, str]) -> Usage:
    """The token counts of an answer, of any of the known shapes; None for what is missing or no count.

    `usage` as in vLLM 0.33, SGLang 0.5.23 (reasoning tokens at the top) and the OpenAI SDK 3.54; then the headers and
    `perf_metrics` of Fireworks (SDK 1.2.30); the counts of llama.cpp's /completion (build 11549). 2026-11-25.
    """
    usage, metrics, timings = (_object(answer.get(name)) for name in ("usage", "perf_metrics", "timings"))
    prompt = _object(usage.get("prompt_tokens_details"))
    completion = _object(usage.get("completion_tokens_details"))
    native = answer if "stop_type" in answer else {}
    return Usage(
        prompt_tokens=_first(
            usage.get("prompt_tokens"),
            *(_told(notes.get(name)) for name in _PROMPT_HEADERS),
            _told(metrics.get("prompt-tokens")),
            native.get("tokens_evaluated"),
        ),
        cached_tokens=_first(
            prompt.get("cached_tokens"),
            *(_told(notes.get(name)) for name in _CACHED_HEADERS),
            _told(metrics.get("cached-prompt-tokens")),
            timings.get("cache_n") if native else None,
        ),
        image_tokens=_first(prompt.get("image_tokens"), _object(prompt.get("multimodal_tokens")).get("image")),
        completion_tokens=_first(usage.get("completion_tokens"), native.get("tokens_predicted")),
        reasoning_tokens=_first(completion.get("reasoning_tokens"), usage.get("reasoning_tokens")),
        cache_write_tokens=_first(prompt.get("cache_write_tokens")),
    )


def read_cost(notes: Mapping[str, str]) -> float | None:
    """USD that a proxy says an answer costs. Nothing is what it says too of a model that it has no price for."""
    try:
        dollars = float(notes.get(_COST_HEADER, ""))
    except ValueError:
        return None
    return dollars if 0 < dollars < math.inf else None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    # bool is an int to Python; a larger number than a column holds would stop the run when it is written.
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < INT64 else None


def _told(value: object) -> object:
    """A number that is written as a text, as in headers."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20 else value


def _first(*values: object) -> int | None:
    return next((count for count in map(_count, values) if count is not None), None)


class Price(NamedTuple):
    """USD per million tokens. Without a price of their own, cached tokens and those put into a cache cost as much as
    others.
    """

    input: float
    cached: float
    output: float
    cache_write: float


class Prices:
    """The price of each known model."""

    def __init__(self, models: Mapping[str, Price]) -> None:
        self._models = models

    @classmethod
    def load(cls, own: str | None = None) -> Prices:
        """The table that comes with the package, prices.toml, which names its source and date; a person's own in the
        same form, a file or its text, goes before it, model by model. Raises ConfigError for one that cannot be used.
        """
        ours = tomllib.loads(files("pipeline.providers").joinpath("prices.toml").read_text("utf-8"))["models"]
        return cls({model: _price(price) for model, price in {**ours, **(_table(own) if own else {})}.items()})

    def cost(self, model: str, usage: Usage) -> float | None:
        """USD for one answer; None when the price or the tokens are not known. The bundled models cost nothing.

        Tokens put into a cache are part of the prompt; where the server does not count them none are charged for.
        """
        if model.startswith(EMBEDDED_PREFIX):
            return 0.0
        price = self._models.get(model) or self._models.get(model.removeprefix(FIREWORKS_PREFIX))
        if price is None or usage.prompt_tokens is None or usage.completion_tokens is None:
            return None
        cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
        written = min(usage.cache_write_tokens or 0, usage.prompt_tokens - cached)
        plain = usage.prompt_tokens - cached - written
        dollars = plain * price.input + cached * price.cached + written * price.cache_write
        return (dollars + usage.completion_tokens * price.output) / 1e6


def _price(price: Mapping[str, float]) -> Price:
    full = price["input"]
    return Price(full, price.get("cached", full), price["output"], price.get("cache_write", full))


def price_text(own: str) -> str:
    """A person's own table as text: that of a file, or what has a line end and is one already. Raises ConfigError."""
    if "\n" in own:
        return own
    try:
        return Path(own).read_text("utf-8") + "\n"
    except (OSError, ValueError) as error:
        reason = (error.strerror or type(error).__name__) if isinstance(error, OSError) else error
        raise ConfigError([f"provider.prices: cannot read {own}: {reason}"]) from None


def _table(own: str) -> Mapping[str, Mapping[str, float]]:
    """The models of a person's own table, each found to have the members that it needs and no others."""
    text = price_text(own)
    shown = "the table" if text == own else own
    try:
        table = tomllib.loads(text)
    except ValueError as error:
        raise ConfigError([f"provider.prices: cannot read {shown}: {error}"]) from None
    models = table.get("models")
    if not isinstance(models, dict) or not models:
        raise ConfigError([f"provider.prices: {shown} has no table [models]"])
    if problems := [f"provider.prices: {shown}: {name}: {PRICE}" for name in models if not _is_price(models[name])]:
        raise ConfigError(problems)
    return models


MOST_USD: Final = 1e6
"""For a million tokens: what is dearer is a slip."""
PRICE: Final = "expected { input = USD per million tokens, output = ... }, with cached and cache_write if they differ"


def _is_price(value: object) -> bool:
    if not isinstance(value, dict) or not {"input", "output"} <= value.keys() <= set(Price._fields):
        return False
    return all(
        isinstance(amount, int | float) and not isinstance(amount, bool) and 0 <= amount <= MOST_USD
        for amount in value.values()
    )
