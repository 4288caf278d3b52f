"""How large a picture is sent."""

from __future__ import annotations

from PIL import Image

from pipeline.core.pictures import ImageContract
from pipeline.images import tokens
from pipeline.images.orientation import orientation_of, swapped

_LARGE = 2048
"""Pixels on the longest side. What a model sees of a larger picture that costs it no more tokens is no more."""


def sent_size(width: int, height: int, contract: ImageContract) -> tuple[int, int]:
    """The size in which an upright picture of `width` x `height` goes out: within every bound, never enlarged."""
    if contract.max_side is not None:
        width, height = _within(width, height, contract.max_side)
    if contract.max_tokens is None or contract.family is None:
        return width, height
    fitted = tokens.fitted(contract.family, width, height, contract.max_tokens)
    if contract.max_side is None and max(fitted) > _LARGE:
        # Some servers shrink what they get so far that more pixels cost nothing and show nothing.
        smaller = _within(*fitted, _LARGE)
        if tokens.image_tokens(contract.family, *smaller) == tokens.image_tokens(contract.family, *fitted):
            return smaller
    return fitted


def _within(width: int, height: int, side: int) -> tuple[int, int]:
    """The same proportions with no side longer than this."""
    longest = max(width, height)
    if longest <= side:
        return width, height
    return max(1, round(width * side / longest)), max(1, round(height * side / longest))


def stored_target(picture: Image.Image, contract: ImageContract) -> tuple[int, int]:
    """The size to draw `picture` in, before it is turned upright."""
    orientation = orientation_of(picture)
    return swapped(sent_size(*swapped(picture.size, orientation), contract), orientation)
