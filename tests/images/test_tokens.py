"""Image tokens: the published counts, and sizes that keep to a budget without wasting it."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.images.tokens import FAMILIES, fitted, image_tokens, smallest
from tests.images.published import PUBLISHED

COLUMNS = (
    "qwen2.5-vl",
    "qwen3-vl",
    "kimi-k2.5",
    "minimax-m3",
    "glm-4v",
    "internvl",
    "gemma-4",
    "pixtral",
    "llama-4",
    "gpt-5-mini",
    "gpt-4o",
)
TABLE = {
    (512, 512): (324, 256, 361, 324, 324, 258, 256, 1056, 720, 415, 255),
    (768, 768): (729, 576, 784, 576, 729, 1282, 256, 2352, 1440, 934, 765),
    (1024, 768): (999, 768, 1036, 540, 999, 3330, 266, 3120, 1872, 1245, 765),
    (1024, 1024): (1369, 1024, 1369, 576, 1369, 2562, 256, 4160, 2448, 1659, 765),
    (1280, 960): (1564, 1200, 1610, 540, 1564, 3330, 266, 3120, 1872, 1945, 765),
    (1600, 1200): (2451, 1900, 2494, 540, 2451, 3330, 266, 3120, 1872, 2353, 765),
    (2048, 1536): (4015, 3072, 4070, 540, 4015, 3330, 266, 3120, 1872, 2353, 765),
    (4032, 3024): (15552, 11844, 4144, 540, 7500, 3330, 266, 3120, 1872, 2353, 765),
}
GRIDS = {
    **dict.fromkeys(("qwen2.5-vl", "minimax-m3", "glm-4v", "kimi-k2.5", "mistral-3"), 28),
    **dict.fromkeys(
        ("qwen3-vl", "gpt-5-mini", "gpt-5-nano", "o4-mini", "gpt-5.2", "gpt-5.4", "gpt-5.5", "gpt-5.6"), 32
    ),
    "pixtral": 16,
}
"""Families that cut pictures into small cells: the cell's side in pixels."""


@pytest.mark.parametrize("size", TABLE)
def test_common_sizes_cost_what_is_published(size: tuple[int, int]) -> None:
    assert tuple(image_tokens(family, *size) for family in COLUMNS) == TABLE[size]


@pytest.mark.parametrize(
    ("family", "low", "high"),
    [
        ("gpt-4o", 255, 765),
        ("gpt-4o-mini", 8_500, 25_501),
        ("gpt-5", 210, 630),
        ("o1", 225, 675),
        ("gemma-3", 256, 256),
        ("gpt-5-nano", 630, 3_572),  # 256 and 1,452 patches
        ("o4-mini", 441, 2_498),
        ("gpt-5.2", 308, 1_743),
        ("gpt-5.4", 308, 2_942),  # 57 x 43 patches: 2,451 of 2,500
        ("gpt-5.5", 308, 11_868),  # 115 x 86 patches: 9,890 of 10,000
        ("gpt-5.6", 308, 14_364),  # 126 x 95
    ],
)
def test_models_that_the_table_leaves_out(family: str, low: int, high: int) -> None:
    assert image_tokens(family, 512, 512) == low
    assert image_tokens(family, 4032, 3024) == high


def test_the_worked_example_of_the_guide() -> None:
    assert image_tokens("gpt-5-mini", 1800, 2400) == math.ceil(33 * 44 * 1.62)


def sizes(number: int) -> list[tuple[int, int]]:
    """Of every magnitude, also long and thin, and those where rounding turns over."""
    random_ = random.Random(7)
    found = []
    for _ in range(number):
        width = round(math.exp(random_.uniform(0, math.log(12_000))))
        height = round(math.exp(random_.uniform(0, math.log(12_000))))
        if random_.random() < 0.5:
            height = max(1, min(12_000, round(width * math.exp(random_.uniform(-1, 1)))))
        if random_.random() < 0.3:
            cell = random_.choice((14, 16, 28, 32, 48, 336, 448, 512))
            width, height = (max(1, round(side / cell) * cell + random_.choice((-1, 0, 1))) for side in (width, height))
        found.append((width, height))
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_any_size_costs_what_a_second_reading_of_the_sources_says(family: str) -> None:
    wrong = {size: image_tokens(family, *size) for size in sizes(2_000)}
    assert not {size: count for size, count in wrong.items() if count not in PUBLISHED[family](*size)}


side = st.one_of(st.integers(1, 12_000), st.integers(1, 300))
long_and_thin = st.tuples(st.integers(1, 60), st.integers(1, 200)).map(lambda pair: (pair[0] * pair[1], pair[0]))
pictures = st.one_of(
    st.tuples(side, side), long_and_thin, long_and_thin.map(lambda size: size[::-1]), st.sampled_from([(12_000, 60)])
)


def check(family: str, width: int, height: int, budget: int) -> None:
    across, down = fitted(family, width, height, budget)
    cost = image_tokens(family, across, down)
    assert cost <= budget
    assert 1 <= across <= width
    assert 1 <= down <= height
    if image_tokens(family, width, height) <= budget:
        assert (across, down) == (width, height)
        return
    if family in GRIDS:
        grid = GRIDS[family]
        # A picture thinner than a cell may have to become smaller than one for a budget near the least of all (64).
        tiny = min(width, height) < grid and budget < 100
        for sent, had in ((across, width), (down, height)):
            assert sent % grid == 0 or had < grid or tiny, "a side that has room for a cell is sent in whole cells"
        if max(width, height) <= 200 * min(width, height):
            assert (across // grid) * (down // grid) <= 1.02 * cost, "what is sent is seen by the model"
    if family in GRIDS and min(width, height) >= 8 * GRIDS[family] and max(width, height) <= 3 * min(width, height):
        # Half a cell of the shorter side, and the server's least size, are all that may bend the proportions.
        bend = (across * height) / (down * width)
        short = min(across, down) / GRIDS[family]
        if budget >= 2 * smallest(family):
            assert max(bend, 1 / bend) <= 1 + 0.51 / (short - 0.5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_budget_is_kept_without_enlarging_and_on_the_grid(family: str) -> None:
    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(size=pictures, budget=st.integers(100, 4000))
    @example(size=(12_000, 12_000), budget=100)
    @example(size=(12_000, 60), budget=100)
    @example(size=(60, 12_000), budget=800)
    @example(size=(12_000, 1), budget=800)
    @example(size=(1, 1), budget=100)
    def holds(size: tuple[int, int], budget: int) -> None:
        check(family, *size, max(budget, smallest(family)))

    holds()


@pytest.mark.parametrize("family", ["qwen2.5-vl", "qwen3-vl", "gpt-4o", "gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-5.2"])
def test_eight_hundred_tokens(family: str) -> None:
    for size in sizes(1_000):
        check(family, *size, 800)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_smallest_budget_can_be_met_by_a_picture_of_any_shape(family: str) -> None:
    least = smallest(family)
    for size in [*sizes(300), *((w, h) for w in range(1, 40) for h in range(1, 40))]:
        assert image_tokens(family, *fitted(family, *size, least)) <= least
    with pytest.raises(ValueError, match=f"at least {least:,} tokens"):
        fitted(family, 1024, 768, least - 1)


def test_what_the_smallest_budgets_are() -> None:
    assert {family: smallest(family) for family in ("gpt-4o", "gpt-4o-mini", "gemma-3", "gemma-4", "internvl")} == {
        "gpt-4o": 255,
        "gpt-4o-mini": 8_500,
        "gemma-3": 256,
        "gemma-4": 280,
        "internvl": 258,
    }
    assert (smallest("qwen3-vl"), smallest("qwen2.5-vl"), smallest("llama-4")) == (64, 4, 144)


@pytest.mark.parametrize("family", GRIDS)
@pytest.mark.parametrize("budget", [300, 800, 1500])
def test_most_of_a_budget_is_used(family: str, budget: int) -> None:
    for across, down in [(1, 1), (4, 3), (3, 4), (3, 2), (16, 9), (9, 16), (2, 1), (3, 1), (210, 297)]:
        size = (6000 * across // max(across, down), 6000 * down // max(across, down))
        if image_tokens(family, *size) > budget:
            used = image_tokens(family, *fitted(family, *size, budget)) / budget
            assert used > 0.8, size


@pytest.mark.parametrize("family", FAMILIES)
def test_a_budget_just_missed(family: str) -> None:
    """Also of pictures that the server shrinks: there, sizes far above its limit cost a little less by chance."""
    for width, height in sizes(400):
        budget = max(smallest(family), image_tokens(family, width, height) * 99 // 100 - 1)
        check(family, width, height, budget)


def test_what_the_server_would_shrink_anyway_is_not_sent() -> None:
    assert fitted("gpt-5.2", 7110, 12_000, 1_761) == (928, 1568)
    assert fitted("pixtral", 5097, 12_000, 1_818) == (432, 1024)
    assert fitted("kimi-k2.5", 6183, 4097, 4_148) == (2184, 1456)
    assert fitted("minimax-m3", 11_269, 4248, 532) == (1064, 392)
    assert fitted("gpt-4o", 8000, 3000, 1_100) == (1365, 512)


def test_where_the_server_enlarges_as_much_as_can_be_is_kept() -> None:
    assert fitted("qwen3-vl", 4000, 3000, 64) == (256, 256)
    assert fitted("qwen3-vl", 3000, 250, 64) == (1024, 64)
    assert fitted("qwen3-vl", 90, 3000, 64) == (32, 2048)


def test_tiles_are_filled_to_their_edges() -> None:
    assert fitted("gpt-4o", 2000, 1000, 800) == (1024, 512)  # 3 x 2 tiles after the server's shrink, then 2 x 1
    assert fitted("gpt-4o", 2000, 700, 800) == (1462, 512)  # 3 x 1
    assert fitted("gpt-4o-mini", 1024, 768, 12_000) == (512, 384)
    assert fitted("llama-4", 4032, 3024, 800) == (672, 504)


def test_a_model_that_stretches_gets_the_layout_it_would_choose_itself() -> None:
    assert fitted("internvl", 4000, 3000, 800) == (448, 448)
    assert fitted("internvl", 4000, 2200, 800) == (896, 448)
    assert fitted("internvl", 600, 380, 800) == (600, 300)
    assert image_tokens("internvl", 600, 300) == 770
