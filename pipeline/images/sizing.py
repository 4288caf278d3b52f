"""How large a picture is sent."""

from __future__ import annotations

from PIL import Image

from pipeline.core.pictures import ImageContract
from pipeline.images import tokens
from pipeline.images.orientation import orientation_of, swapped


def sent_size(width: int, height: int, contract: ImageContract) -> tuple[int, int]:
    """The size in which an upright picture of `width` x `height` goes out: within every bound, never enlarged."""
    longest = max(width, height)
    if contract.max_side is not None and longest > contract.max_side:
        width = max(1, round(width * contract.max_side / longest))
        height = max(1, round(height * contract.max_side / longest))
    if contract.max_tokens is not None and contract.family is not None:
        return tokens.fitted(contract.family, width, height, contract.max_tokens)
    return width, height


def stored_target(picture: Image.Image, contract: ImageContract) -> tuple[int, int]:
    """The size to draw `picture` in, before it is turned upright."""
    orientation = orientation_of(picture)
    return swapped(sent_size(*swapped(picture.size, orientation), contract), orientation)
