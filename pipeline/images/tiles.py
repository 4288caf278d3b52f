"""Families that lay a picture out on a few large tiles, and those whose cost does not depend on its size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from pipeline.images.families import Family

Layout = tuple[int, int]
"""Tiles across and down."""


@dataclass(frozen=True, slots=True)
class Tiles(Family):
    """Shrunk to 2048 x 2048, then to 768 on the shorter side: `base` tokens and `each` for every tile of 512 begun.

    developers.openai.com, guide "Images and vision", 2026-11-22, for detail "high", which "auto" stands for here. A
    size that was scaled ends on the edge of a tile in at least one direction and is not shrunk any more by the server.
    """

    base: int
    each: int

    def tokens(self, width: int, height: int) -> int:
        """The base and the tiles that are begun."""
        scale = self._scale(width, height)
        return self.base + self.each * math.ceil(width * scale / 512) * math.ceil(height * scale / 512)

    def _scaled(self, width: int, height: int, max_tokens: int) -> tuple[int, int]:
        return _filling(width, height, 512, _layouts((max_tokens - self.base) // self.each))

    @staticmethod
    def _scale(width: int, height: int) -> Fraction:
        # A server that cuts fractions of a pixel off counts a tile less than this at the very edge of one, never more.
        return min(Fraction(1), Fraction(2048, max(width, height)), Fraction(768, min(width, height)))


@dataclass(frozen=True, slots=True)
class Canvas(Family):
    """Padded to a canvas of at most `max_tiles` tiles: the one that enlarges it least, else shrinks it least.

    Every tile is `each` tokens, and so is the view of the whole that comes with more than one; the marks between tiles
    are left out. transformers 5.23.0, image_processing_llama4.py and processing_llama4.py, 2026-11-13. A size that was
    scaled ends on the edge of a tile in at least one direction.
    """

    tile: int
    max_tiles: int
    each: int

    def tokens(self, width: int, height: int) -> int:
        """The tiles of the canvas and the view of the whole."""
        scales = [(_inside(width, height, self.tile, layout), layout) for layout in _layouts(self.max_tiles)]
        enlarging = [scale for scale, _ in scales if scale >= 1]
        best = min(enlarging) if enlarging else max(scale for scale, _ in scales)
        return self.each * min(_views(layout) for scale, layout in scales if scale == best)

    def _scaled(self, width: int, height: int, max_tokens: int) -> tuple[int, int]:
        layouts = [layout for layout in _layouts(self.max_tiles) if self.each * _views(layout) <= max_tokens]
        return _filling(width, height, self.tile, layouts)


@dataclass(frozen=True, slots=True)
class Stretched(Family):
    """Stretched over the layout of at most 12 tiles of 448 that comes closest to its proportions.

    Every tile is 256 tokens, and so is the view of the whole that comes with more than one; 2 mark begin and end.
    transformers 5.23.0, image_processing_got_ocr2.py with the settings of InternVL, 2026-11-13, after
    `dynamic_preprocess` of OpenGVLab. The size hardly matters, the proportions do: a size that was scaled has those of
    the closest layout that fits, and shows the model what its server would with that many tiles as the limit.
    """

    def tokens(self, width: int, height: int) -> int:
        """The tiles, the view of the whole and the two marks."""
        return 256 * _views(_closest(width, height, 12)) + 2

    def _scaled(self, width: int, height: int, max_tokens: int) -> tuple[int, int]:
        most = max(tiles for tiles in range(1, 13) if 256 * _views((tiles, 1)) + 2 <= max_tokens)
        # A picture of a few pixels has few proportions: never is there less than a pixel for each tile.
        across, down = _closest(width, height, most)
        unit = min(448, width // across, height // down)
        return across * unit, down * unit


class _AnySize(Family):
    """No size saves anything."""

    __slots__ = ()

    def _scaled(self, width: int, height: int, max_tokens: int) -> tuple[int, int]:
        raise AssertionError(
            f"{width} x {height} costs more than {max_tokens} tokens, yet that is not below `smallest`"
        )


@dataclass(frozen=True, slots=True)
class Constant(_AnySize):
    """Any picture is brought to one size: `each` tokens.

    transformers 5.23.0, image_processing_gemma3.py and processing_gemma3.py, 2026-11-13, without pan and scan.
    """

    each: int

    def tokens(self, width: int, height: int) -> int:  # noqa: ARG002 - the size does not matter
        """The constant."""
        return self.each


@dataclass(frozen=True, slots=True)
class SoftBudget(_AnySize):
    """Any picture is brought to as many cells of 48 pixels as `budget` allows, rounded down in both directions.

    transformers 5.23.0, `get_aspect_ratio_preserving_size` of image_processing_gemma4.py, 2026-11-13. The cost depends
    on the proportions alone, and no size saves any of it: less than the budget cannot be asked for.
    """

    budget: int

    @property
    def smallest(self) -> int:
        """The budget: some proportions use all of it."""
        return self.budget

    def tokens(self, width: int, height: int) -> int:
        """Cells after resizing."""
        factor = math.sqrt(self.budget * 48**2 / (height * width))
        across, down = math.floor(factor * width / 48), math.floor(factor * height / 48)
        if down == 0:
            return min(width // height, self.budget)
        if across == 0:
            return min(height // width, self.budget)
        return across * down


@cache
def _layouts(most: int) -> tuple[Layout, ...]:
    """All layouts of at most `most` tiles, those of fewer tiles first."""
    layouts = [(across, down) for across in range(1, most + 1) for down in range(1, most // across + 1)]
    return tuple(sorted(layouts, key=math.prod))


def _inside(width: int, height: int, tile: int, layout: Layout) -> Fraction:
    """The scale at which a picture just fits into a layout."""
    return min(Fraction(tile * layout[0], width), Fraction(tile * layout[1], height))


def _filling(width: int, height: int, tile: int, layouts: Iterable[Layout]) -> tuple[int, int]:
    """The largest size inside one of the layouts, for a picture that is larger than all of them."""
    scale = max(_inside(width, height, tile, layout) for layout in layouts)
    return max(1, math.floor(width * scale)), max(1, math.floor(height * scale))


def _views(layout: Layout) -> int:
    """The tiles and, if there are several, the view of the whole."""
    tiles = math.prod(layout)
    return tiles + 1 if tiles > 1 else 1


def _closest(width: int, height: int, most: int) -> Layout:
    """The layout nearest in proportions; of equals the largest whose area is less than twice the picture's."""
    best, least = (1, 1), math.inf
    for layout in _layouts(most):
        difference = abs(width / height - layout[0] / layout[1])
        if difference < least or (difference == least and width * height > 0.5 * 448**2 * math.prod(layout)):
            best, least = layout, difference
    return best
