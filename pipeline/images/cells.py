"""Families that cut a picture into equal cells and count them: the cost grows with the area."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from pipeline.images.families import Family


class CellFamily(Family):
    """A picture costs about one token for each square of `grid` x `grid` pixels.

    A size that was scaled has both sides on the grid: nothing is sent that the server rounds away. Only a side shorter
    than one cell is left as it is, or shortened where the picture as a whole is smaller than a cell.
    """

    __slots__ = ()
    grid: int

    @abstractmethod
    def seen(self, width: int, height: int) -> tuple[int, int]:
        """What the server shrinks this size to, in pixels; the size itself if it does not. More is sent in vain."""

    def _scaled(self, width: int, height: int, max_tokens: int) -> tuple[int, int]:
        long, short = max(width, height), min(width, height)
        seen = self.seen(width, height)
        sizes = self._alike(long, short, max(seen), min(seen))
        if short < self.grid:
            sizes = chain(sizes, self._tiny(long, short))
        elif max_tokens < 2 * self.smallest:
            sizes = self._few(long, short, max_tokens)
        turned = (size if width >= height else size[::-1] for size in sizes)
        return next(size for size in turned if self.tokens(*size) <= max_tokens)

    def _alike(self, long: int, short: int, seen_long: int, seen_short: int) -> Iterator[tuple[int, int]]:
        """Sizes on the grid, falling, with the picture's proportions to within half a cell."""
        most = max(1, seen_short // self.grid)
        for i in range(seen_long // self.grid, 0, -1):
            j = max(1, (2 * i * short + long) // (2 * long))
            if j <= most:
                yield i * self.grid, min(j * self.grid, short)

    def _few(self, long: int, short: int, max_tokens: int) -> Iterator[tuple[int, int]]:
        """All sizes of few cells, for a budget so small that the server enlarges most of them beyond it.

        Those come first whose coarser side keeps most of the picture's resolution, whatever the proportions.
        """
        rows = range(1, min(short // self.grid, max_tokens) + 1)
        pairs = [(i, j) for j in rows for i in range(1, min(long // self.grid, max_tokens // j) + 1)]
        pairs.sort(key=lambda pair: min(pair[0] * short, pair[1] * long), reverse=True)
        return ((i * self.grid, j * self.grid) for i, j in pairs)

    def _tiny(self, long: int, short: int) -> Iterator[tuple[int, int]]:
        """Sizes below a cell, towards a square and then towards a single pixel: what the server enlarges least."""
        yield from ((side, short) for side in range(min(long, self.grid), short, -1))
        yield from ((side, side) for side in range(short, 0, -1))


@dataclass(frozen=True, slots=True)
class SmartResize(CellFamily):
    """Sides rounded to cells; more than `max_pixels` are shrunk, fewer than `min_pixels` enlarged.

    transformers 5.23.0, `smart_resize` of image_processing_qwen2_vl.py, image_processing_glm4v.py and
    image_processing_minimax_m3_vl.py, 2026-11-13. `frames` counts the picture that often against both limits. A
    side that rounds to no cell at all `vanishes`, so that the picture counts as too small, gets `one cell`, or has the
    whole picture enlarged until it is one cell (`enlarges`).
    """

    grid: int
    min_pixels: int
    max_pixels: int
    frames: int = 1
    thin_side: Literal["vanishes", "one cell", "enlarges"] = "vanishes"

    def tokens(self, width: int, height: int) -> int:
        """Cells after resizing."""
        across, down = self._cells(width, height)
        return across * down

    def seen(self, width: int, height: int) -> tuple[int, int]:
        """The size in whole cells, if it is smaller."""
        across, down = self._cells(width, height)
        return min(width, across * self.grid), min(height, down * self.grid)

    def _cells(self, width: int, height: int) -> tuple[int, int]:
        if self.thin_side == "enlarges" and min(width, height) < self.grid:
            scale = max(self.grid / height, self.grid / width)
            width, height = int(width * scale), int(height * scale)
        across, down = round(width / self.grid), round(height / self.grid)
        if self.thin_side == "one cell":
            across, down = max(1, across), max(1, down)
        # The order of the operations is the published one: it decides on which side of a whole number they fall.
        pixels = self.frames * across * down * self.grid**2
        if pixels > self.max_pixels:
            beta = math.sqrt(self.frames * height * width / self.max_pixels)
            across = max(1, math.floor(width / beta / self.grid))
            down = max(1, math.floor(height / beta / self.grid))
        elif pixels < self.min_pixels:
            beta = math.sqrt(self.min_pixels / (self.frames * height * width))
            across, down = math.ceil(width * beta / self.grid), math.ceil(height * beta / self.grid)
        return across, down


@dataclass(frozen=True, slots=True)
class NativeResolution(CellFamily):
    """Patches of half a cell, padded to whole cells, never enlarged: at most `max_patches`, and `max_side` pixels.

    `navit_resize_image` of media_utils.py in moonshotai/Kimi-K2.5, kept by vLLM for Kimi K3, read 2026-11-25.
    """

    grid: int
    max_patches: int
    max_side: int

    def tokens(self, width: int, height: int) -> int:
        """Cells after shrinking, begun ones too."""
        across, down = self.seen(width, height)
        return math.ceil(across / self.grid) * math.ceil(down / self.grid)

    def seen(self, width: int, height: int) -> tuple[int, int]:
        """The size before padding."""
        patch = self.grid // 2
        patches = max(1.0, width // patch) * max(1.0, height // patch)
        scale = min(1.0, math.sqrt(self.max_patches / patches), self.max_side / width, self.max_side / height)
        return max(1, int(width * scale)), max(1, int(height * scale))


@dataclass(frozen=True, slots=True)
class Rows(CellFamily):
    """Cells in rows, a token more at the end of each; the longest side is shrunk to `max_side` pixels.

    transformers 5.23.0, image_processing_pixtral.py and processing_pixtral.py, 2026-11-13.
    """

    grid: int
    max_side: int

    def tokens(self, width: int, height: int) -> int:
        """Cells and row ends after shrinking."""
        across, down = self.seen(width, height)
        return (math.ceil(across / self.grid) + 1) * math.ceil(down / self.grid)

    def seen(self, width: int, height: int) -> tuple[int, int]:
        """The size before it is filled up to whole cells."""
        ratio = max(1.0, width / self.max_side, height / self.max_side)
        return max(1, math.floor(width / ratio)), max(1, math.floor(height / ratio))


@dataclass(frozen=True, slots=True)
class Patches(CellFamily):
    """Patches of `grid` pixels, at most `max_patches` and `max_side` pixels (None: no limit), times `multiplier`.

    developers.openai.com, guide "Images and vision", 2026-11-22. A size over the limit is scaled by
    s = sqrt(max_patches / (a * b)), a x b being its size in patches, and then once more, so that the side that loses
    most by it is a whole number of patches.
    """

    multiplier: float
    max_patches: int | None = 1536
    max_side: int | None = 2048
    grid: int = 32

    def tokens(self, width: int, height: int) -> int:
        """Patches after shrinking times the multiplier, rounded up."""
        across, down = self._patches(width, height)
        return math.ceil(across * down * self.multiplier)

    def seen(self, width: int, height: int) -> tuple[int, int]:
        """The size in whole patches, if it is smaller."""
        across, down = self._patches(width, height)
        return min(width, across * self.grid), min(height, down * self.grid)

    def _patches(self, width: int, height: int) -> tuple[int, int]:
        long = max(width, height)
        side = long if self.max_side is None else min(long, self.max_side)
        across, down = _ceil(width * side, long * self.grid), _ceil(height * side, long * self.grid)
        if self.max_patches is None or across * down <= self.max_patches:
            return across, down
        # In whole numbers: sa = sqrt(max_patches * width / height), and sb the same turned round.
        across, down = math.isqrt(self.max_patches * width // height), math.isqrt(self.max_patches * height // width)
        if across * height <= down * width:
            return across, _ceil(across * height, width)
        return _ceil(down * width, height), down


def _ceil(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
