"""What a picture is, read from its header alone: nothing is decoded before it has passed here."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image, ImageFile, UnidentifiedImageError

from pipeline.core.errors import ItemError
from pipeline.images.pillow import FORMATS, MAX_PIXELS, reading, too_many_pixels
from pipeline.images.sniff import not_opened

MIN_SIDE = 2
"""Pixels. A picture one pixel wide or high is a tracking pixel, a spacer or a rule: there is nothing to ask about."""

MAX_ASPECT = 200
"""Longer to shorter side. Qwen's preprocessing, and what is built like it, refuses more (transformers 5.23,
`smart_resize`); at 1024 pixels the shorter side would be 5."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says. `format` and `mode` are Pillow's names, width x height are before any EXIF rotation."""

    format: str
    mode: str
    width: int
    height: int


def inspect(source: bytes) -> Header:
    """Read the header of `source`. Quick: nothing is decoded.

    Raises ItemError: not_an_image, unsupported_format, unreadable, truncated, too_many_pixels, too_small, bad_aspect.
    """
    with opened(source) as picture:
        return Header(picture.format or "", picture.mode, picture.width, picture.height)


def opened(source: bytes) -> ImageFile.ImageFile:
    """The picture, not yet decoded, its size already found acceptable. Raises ItemError as `inspect` does."""
    with reading():
        picture = _identified(source)
    check_size(*picture.size)
    return picture


def check_size(width: int, height: int) -> None:
    """Raises ItemError for what is too large to decode or too odd to ask about; width x height in pixels."""
    if width * height > MAX_PIXELS:
        raise too_many_pixels(width * height)
    if min(width, height) < MIN_SIDE:
        raise ItemError("too_small", f"this is {width} x {height} pixels; each side needs {MIN_SIDE} at least")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ItemError(
            "bad_aspect",
            f"this is {width} x {height} pixels; models refuse more than {MAX_ASPECT}:1: cut it into pieces",
        )


def _identified(source: bytes) -> ImageFile.ImageFile:
    try:
        return Image.open(io.BytesIO(source), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise not_opened(source) from error  # Pillow's own text names a memory address and no reason
