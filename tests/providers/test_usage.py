"""Token counts in every shape, and what they cost."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.types import Usage
from pipeline.providers.usage import Prices, read_usage
from tests.providers.examples import provider

M = 1_000_000


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        (None, Usage()),
        ({}, Usage()),
        ([], Usage()),
        ("many", Usage()),
        ({"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}, Usage(5, None, None, 6, None)),
        ({"prompt_tokens": 0, "prompt_tokens_details": None}, Usage(prompt_tokens=0)),
        ({"prompt_tokens_details": {"cached_tokens": 0, "text_tokens": 3}}, Usage(cached_tokens=0)),
        ({"prompt_tokens_details": {"image_tokens": 640}}, Usage(image_tokens=640)),
        ({"prompt_tokens_details": {"multimodal_tokens": {"image": 576}}}, Usage(image_tokens=576)),
        ({"prompt_tokens_details": {"image_tokens": None, "multimodal_tokens": {"image": 5}}}, Usage(image_tokens=5)),
        ({"prompt_tokens_details": {"multimodal_tokens": None}}, Usage()),
        ({"completion_tokens_details": {"reasoning_tokens": 9}}, Usage(reasoning_tokens=9)),
        ({"reasoning_tokens": 8}, Usage(reasoning_tokens=8)),
        ({"reasoning_tokens": 8, "completion_tokens_details": {"reasoning_tokens": 9}}, Usage(reasoning_tokens=9)),
        ({"prompt_tokens": True, "completion_tokens": "12"}, Usage()),
        ({"prompt_tokens": -1, "completion_tokens": 12.0}, Usage()),
        ({"prompt_tokens": 2**63, "completion_tokens": 2**63 - 1}, Usage(completion_tokens=2**63 - 1)),
    ],
)
def test_usages(value: Any, usage: Usage) -> None:
    read = read_usage({"usage": value}, {})
    assert read == usage
    assert all(count is None or type(count) is int for count in (read.prompt_tokens, read.completion_tokens))


@pytest.mark.parametrize(
    ("model", "usage", "dollars"),
    [
        ("kimi-k3", Usage(M, None, None, 0), 3.0),
        ("accounts/fireworks/models/kimi-k3", Usage(M, M // 2, None, M), 1.5 + 0.15 + 15.0),
        ("accounts/fireworks/routers/kimi-k3-fast", Usage(0, 0, None, M), 22.5),
        ("gpt-4o-mini", Usage(M, M, None, 0), 0.075),
        ("gpt-5.4-mini", Usage(M, 0, None, M), 0.75 + 4.5),
        ("llama-v3p2-90b-vision-instruct", Usage(M, M, None, M), 1.8),  # cached tokens at the full price
        ("kimi-k3", Usage(100, 500, None, 0), 100 * 0.3 / M),  # more cached than sent: not below the cached price
        ("kimi-k3", Usage(0, None, None, 0), 0.0),
        ("embedded/caption", Usage(10, None, None, 10), 0.0),
        ("embedded/caption", Usage(), 0.0),
        ("kimi-k3", Usage(completion_tokens=5), None),
        ("kimi-k3", Usage(prompt_tokens=5), None),
        ("kimi", Usage(1, None, None, 1), None),
        ("other/kimi-k3", Usage(1, None, None, 1), None),
        ("Kimi-K3", Usage(1, None, None, 1), None),
    ],
)
def test_costs(model: str, usage: Usage, dollars: float | None) -> None:
    cost = Prices.load().cost(model, usage)
    assert cost == (None if dollars is None else pytest.approx(dollars, abs=1e-12))
    assert provider().cost(model, usage) == cost


def test_cached_tokens_never_cost_more_than_others() -> None:
    prices = Prices.load()
    for price in prices._models.values():
        assert 0 < price.cached <= price.input <= price.output
