"""Any mode that Pillow decodes to 8-bit RGB or L, as a person would see the picture on a white page."""

from __future__ import annotations

import math

from PIL import Image

_WITH_ALPHA = frozenset({"RGBA", "LA", "PA"})


def flattened(picture: Image.Image) -> Image.Image:
    """`picture` in mode RGB or L. Transparency lies over white; deeper channels are scaled to 8 bits, never clipped."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return _to_eight_bits(picture)
    if picture.mode in _WITH_ALPHA or "transparency" in picture.info:
        return _over_white(picture)
    if picture.mode in ("RGB", "L"):
        return picture
    if picture.mode == "1":
        return picture.convert("L")
    return picture.convert("RGB")


def _over_white(picture: Image.Image) -> Image.Image:
    layered = picture.convert("RGBA")
    page = Image.new("RGBA", layered.size, "white")
    page.alpha_composite(layered)
    return page.convert("RGB")


def _to_eight_bits(picture: Image.Image) -> Image.Image:
    """16 bits by their full range; 32-bit integers and floats, whose range no header states, by what they use."""
    if picture.mode.startswith("I;16"):
        return _scaled(picture.convert("I"), 0, 65535)
    low, high = picture.getextrema()
    if not (isinstance(low, int | float) and isinstance(high, int | float)):
        raise TypeError(f"a band of mode {picture.mode} without a range")
    if picture.mode == "I" and low >= 0 and high <= 65535:
        return _scaled(picture, 0, 65535)  # 16-bit PGM and some TIFF come in 32-bit integers
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("pixel values that are not finite")
    return _scaled(picture, low, high)


def _scaled(picture: Image.Image, low: float, high: float) -> Image.Image:
    """`low` becomes 0 and `high` 255; a uniform picture becomes black."""
    scale = 255 / (high - low) if high > low else 0.0
    floats = picture.convert("F")
    return floats.point(lambda value: value * scale - low * scale).convert("L")
