"""The published arithmetic of the families, written a second time and another way: whole numbers instead of roots.

Where a root falls exactly on a whole number, the servers' floating point decides, and either side of it is right:
those functions give a set of counts.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from fractions import Fraction
from itertools import product
from math import ceil, isqrt


def least(holds: Callable[[int], bool]) -> int:
    """The smallest natural number for which it holds, it holding for all that are larger."""
    above = 1
    while not holds(above):
        above *= 2
    below = above // 2
    while above - below > 1:
        middle = (above + below) // 2
        above, below = (middle, below) if holds(middle) else (above, middle)
    return above


def shrunk(side: int, other: int, most: int, factor: int) -> set[int]:
    """floor(side / sqrt(side * other / most) / factor), at least 1, by trying."""
    cells = least(lambda n: (n + 1) ** 2 * factor**2 * other > side * most)
    on_the_edge = cells**2 * factor**2 * other == side * most
    if cells == 1:
        return {1}
    return {cells, cells - 1} if on_the_edge else {cells}


def enlarged(side: int, other: int, fewest: int, factor: int) -> set[int]:
    """ceil(side * sqrt(fewest / (side * other)) / factor), by trying."""
    cells = least(lambda n: n**2 * factor**2 * other >= side * fewest)
    on_the_edge = cells**2 * factor**2 * other == side * fewest
    return {cells, cells + 1} if on_the_edge else {cells}


def smart_resize(
    width: int,
    height: int,
    factor: int,
    fewest: int,
    most: int,
    *,
    at_least_one: bool = False,
    whole_first: bool = False,
) -> set[int]:
    if whole_first and min(width, height) < factor:
        scale = max(factor / height, factor / width)
        width, height = int(width * scale), int(height * scale)
    columns, rows = round(Fraction(width, factor)), round(Fraction(height, factor))
    if at_least_one:
        columns, rows = max(columns, 1), max(rows, 1)
    area = columns * factor * rows * factor
    if area > most:
        pairs = product(shrunk(width, height, most, factor), shrunk(height, width, most, factor))
    elif area < fewest:
        pairs = product(enlarged(width, height, fewest, factor), enlarged(height, width, fewest, factor))
    else:
        pairs = product({columns}, {rows})
    return {across * down for across, down in pairs}


def kimi(width: int, height: int) -> set[int]:
    patches = max(1, width // 14) * max(1, height // 14)

    def cells(side: int) -> set[int]:
        pixels = min(side, isqrt(side * side * 16384 // patches))
        limit = Fraction(7168, max(width, height))
        pixels = min(pixels, int(side * limit)) if limit < 1 else pixels
        return {max(1, -(-pixels // 28)), max(1, -(-(pixels - 1) // 28))} if pixels < side else {-(-pixels // 28)}

    return {across * down for across in cells(width) for down in cells(height)}


def rows_with_breaks(width: int, height: int, patch: int, longest: int) -> set[int]:
    if max(width, height) > longest:
        ratio = max(width / longest, height / longest)
        width, height = max(1, int(width / ratio)), max(1, int(height / ratio))
    text = ["[IMG]" for _ in range(0, width, patch)] + ["[BREAK]"]
    page = [text for _ in range(0, height, patch)]
    return {sum(len(line) for line in page)}


def gemma4(width: int, height: int) -> set[int]:
    columns, rows = isqrt(280 * width // height), isqrt(280 * height // width)
    if not rows:
        return {min(280, width // height)}
    if not columns:
        return {min(280, height // width)}
    exact = {columns * rows}
    if columns**2 * height == 280 * width or rows**2 * width == 280 * height:
        exact |= {(columns - 1) * rows, columns * (rows - 1)}
    return exact


def internvl(width: int, height: int) -> set[int]:
    grids = sorted((i * j, i, j) for i in range(1, 13) for j in range(1, 13) if i * j <= 12)
    gaps = {grid: abs(Fraction(width, height) - Fraction(grid[1], grid[2])) for grid in grids}
    nearest = [grid for grid in grids if gaps[grid] == min(gaps.values())]
    # Two layouts of different proportions are equally near at times; rounding then decides for one of them.
    counts = set()
    for ratio in {Fraction(i, j) for _, i, j in nearest}:
        tiles = [tiles for tiles, i, j in nearest if Fraction(i, j) == ratio]
        larger = [more for more in tiles[1:] if 2 * width * height > 448 * 448 * more]
        chosen = larger[-1] if larger else tiles[0]
        counts.add(256 * (1 if chosen == 1 else chosen + 1) + 2)
    return counts


def llama4(width: int, height: int) -> set[int]:
    canvases = [(336 * i, 336 * j) for i in range(1, 17) for j in range(1, 17) if i * j <= 16]
    scales = {canvas: min(canvas[0] / width, canvas[1] / height) for canvas in canvases}
    growing = [scale for scale in scales.values() if scale >= 1]
    wanted = min(growing) if growing else max(scales.values())
    area = min(across * down for (across, down), scale in scales.items() if scale == wanted)
    tiles = area // 336**2
    return {144 * (tiles + (tiles > 1))}


def openai_tiles(width: int, height: int, base: int, each: int) -> set[int]:
    across, down = Fraction(width), Fraction(height)
    for side, limit in ((max, 2048), (min, 768)):
        if side(across, down) > limit:
            scale = limit / side(across, down)
            across, down = across * scale, down * scale
    tiles = len(range(0, ceil(across), 512)) * len(range(0, ceil(down), 512))
    return {base + each * tiles}


def openai_patches(width: int, height: int, hundredths: int, budget: int | None, longest: int | None) -> set[int]:
    """Step by step as the guide has it, with 60 digits."""
    with localcontext() as context:
        context.prec = 60
        w, h = Decimal(width), Decimal(height)
        if longest is not None and max(w, h) > longest:
            w, h = (
                w * longest / max(Decimal(width), Decimal(height)),
                h * longest / max(Decimal(width), Decimal(height)),
            )
        if budget is not None and _patches(w) * _patches(h) > budget:
            shrink = (Decimal(32) ** 2 * budget / (w * h)).sqrt()
            a, b = w * shrink / 32, h * shrink / 32
            shrink *= min(_down(a) / a, _down(b) / b)
            w, h = w * shrink, h * shrink
        count = _patches(w) * _patches(h)
    exact = -(-count * hundredths // 100)
    # A product that is whole may be found a little above itself in floating point.
    return {exact, exact + 1} if count * hundredths % 100 == 0 else {exact}


def _down(value: Decimal) -> Decimal:
    return (value + Decimal("1e-40")).to_integral_value(ROUND_FLOOR)


def _patches(side: Decimal) -> int:
    return int((side / 32 - Decimal("1e-40")).to_integral_value(ROUND_CEILING))


Counts = Callable[[int, int], set[int]]
PUBLISHED: dict[str, Counts] = {
    "qwen2.5-vl": lambda w, h: smart_resize(w, h, 28, 3136, 12_845_056),
    "qwen3-vl": lambda w, h: smart_resize(w, h, 32, 65_536, 16_777_216),
    "minimax-m3": lambda w, h: smart_resize(w, h, 28, 4 * 28 * 28, 672 * 672, at_least_one=True),
    # Both limits count every picture as two frames.
    "glm-4v": lambda w, h: smart_resize(w, h, 28, 112 * 112 // 2, 28 * 28 * 7500, whole_first=True),
    "kimi-k2.5": kimi,
    "pixtral": lambda w, h: rows_with_breaks(w, h, 16, 1024),
    "mistral-3": lambda w, h: rows_with_breaks(w, h, 28, 1540),
    "gemma-3": lambda w, h: {256},
    "gemma-4": gemma4,
    "internvl": internvl,
    "llama-4": llama4,
    "gpt-4o": lambda w, h: openai_tiles(w, h, 85, 170),
    "gpt-4o-mini": lambda w, h: openai_tiles(w, h, 2833, 5667),
    "gpt-5": lambda w, h: openai_tiles(w, h, 70, 140),
    "o1": lambda w, h: openai_tiles(w, h, 75, 150),
    "gpt-5-mini": lambda w, h: openai_patches(w, h, 162, 1536, 2048),
    "gpt-5-nano": lambda w, h: openai_patches(w, h, 246, 1536, 2048),
    "o4-mini": lambda w, h: openai_patches(w, h, 172, 1536, 2048),
    "gpt-5.2": lambda w, h: openai_patches(w, h, 120, 1536, 2048),
    "gpt-5.4": lambda w, h: openai_patches(w, h, 120, 2500, 2048),
    "gpt-5.5": lambda w, h: openai_patches(w, h, 120, 10_000, 6000),
    "gpt-5.6": lambda w, h: openai_patches(w, h, 120, None, None),
}
