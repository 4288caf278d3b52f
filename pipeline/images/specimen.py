"""A tiny picture of one colour with a word on it, for asking a server whether it sees."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image, ImageDraw, ImageFont

COLOURS: Final = ("red", "green", "blue", "yellow")
SEEN: Final = "green"
"""The colour of the specimen, one of `COLOURS`."""


def specimen() -> bytes:
    """A PNG of 64 x 64 pixels; the same bytes on one version of Pillow."""
    picture = Image.new("RGB", (64, 64), SEEN)
    ImageDraw.Draw(picture).text((32, 32), "GO", "white", ImageFont.load_default(28), anchor="mm")
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()
