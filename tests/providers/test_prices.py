"""Prices of one's own, and what writing to a cache costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import ConfigError
from pipeline.core.types import Usage
from pipeline.providers.usage import Prices

M = 1_000_000
HALF = Usage(M, 0, None, 0, None, M // 2)


def own(folder: Path, text: str) -> Prices:
    (folder / "prices.toml").write_text(text)
    return Prices.load(str(folder / "prices.toml"))


def test_ones_own_prices_go_before_ours_model_by_model(tmp_path: Path) -> None:
    prices = own(tmp_path, "[models]\nmine = { input = 1, output = 2.5 }\nkimi-k3 = { input = 1.0, output = 0.0 }")
    assert prices.cost("mine", Usage(M, None, None, M)) == 3.5
    assert prices.cost("kimi-k3", Usage(M, M, None, 0)) == 1.0
    assert prices.cost("accounts/fireworks/models/kimi-k3", Usage(M, None, None, 0)) == 1.0
    assert prices.cost("gpt-4o-mini", Usage(M, None, None, 0)) == Prices.load().cost(
        "gpt-4o-mini", Usage(M, None, None, 0)
    )


def test_writing_to_the_cache_costs_where_it_has_a_price(tmp_path: Path) -> None:
    assert Prices.load().cost("gpt-5.6", HALF) == pytest.approx(4.00 / 2 + 5.00 / 2)
    assert Prices.load().cost("gpt-4o-mini", HALF) == pytest.approx(0.15)
    everything = Usage(M, M // 4, None, 0, None, M)  # more than there can be
    assert Prices.load().cost("gpt-5.6", everything) == pytest.approx(0.40 / 4 + 5.00 * 3 / 4)
    mine = own(tmp_path, "[models]\nmine = { input = 1, cached = 0.5, cache_write = 3, output = 0 }")
    assert mine.cost("mine", HALF) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("models =", "cannot read"),
        ("", "has no table [models]"),
        ("models = 3", "has no table [models]"),
        ("[models]\na = 3", "a: expected { input = USD per million tokens"),
        ("[models]\na = { input = 1 }", "a: expected"),
        ("[models]\na = { input = 1, output = -1 }", "a: expected"),
        ("[models]\na = { input = 1, output = nan }", "a: expected"),
        (f"[models]\na = {{ input = 1, output = {'9' * 400} }}", "a: expected"),
        ("[models]\na = { input = 1, output = true }", "a: expected"),
        ("[models]\na = { input = 1, output = '1' }", "a: expected"),
        ("[models]\na = { input = 1, output = 1, chached = 1 }", "a: expected"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        own(tmp_path, text)
    [said] = caught.value.problems
    assert said.startswith("provider.prices: ")
    assert problem in said
    assert "prices.toml" in said


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Prices.load(str(tmp_path / "none.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot read"):
        Prices.load(str(tmp_path / "binary.toml"))
