"""Any mode that Pillow decodes to 8 bits without transparency, as a person would see the picture on a white page."""

from __future__ import annotations

import math
from collections.abc import Callable

from PIL import Image, ImageFile, ImageMath

Flattening = Callable[[Image.Image], Image.Image]

_UNDONE = {"RGBa": "RGBA", "La": "LA"}
"""Modes whose colours are multiplied by their alpha, and what they are without."""

_KEPT = frozenset({"RGB", "L", "CMYK", "LAB"})
"""Modes that stay: what colour they mean is for the profile to say, after scaling."""


def flattening(picture: Image.Image) -> Flattening:
    """How this picture, or a piece cut from it, becomes RGB, L, CMYK or LAB.

    Transparency lies over white; deeper channels are scaled to 8 bits, never clipped. The range of the whole picture is
    looked at once, here, so that all its pieces get the same scale. Raises ValueError for values that are not finite.
    """
    if picture.mode.startswith("I;16"):
        return _of_sixteen_bits(picture.info.get("transparency"))
    if picture.mode in ("I", "F"):
        return _of_deep_channels(picture)
    return _of_eight_bits


def true_transparency(picture: ImageFile.ImageFile) -> None:
    """Let the transparent colour of a PNG, not yet decoded, be the one that its decoded pixels have.

    The file gives it at the depth of its samples (PNG third edition, 11.3.2.1); Pillow 13 hands it on as it is, but
    scales samples of 2 and 4 bits up and cuts colours of 16 bits down.
    """
    if picture.format != "PNG" or not picture.tile:
        return
    found, raw = picture.info.get("transparency"), picture.tile[0].args
    if raw == "RGB;16B" and isinstance(found, tuple):
        picture.info["transparency"] = tuple(value >> 8 for value in found)
    elif raw in ("L;2", "L;4") and isinstance(found, int):
        picture.info["transparency"] = found * (85 if raw == "L;2" else 17) & 255


def _of_eight_bits(picture: Image.Image) -> Image.Image:
    if picture.mode in _UNDONE:
        picture = picture.convert(_UNDONE[picture.mode])
    if picture.mode in ("1", "L") and "transparency" in picture.info:
        picture = picture.convert("LA")
    if picture.mode in ("RGBA", "PA") or "transparency" in picture.info:
        layered = picture.convert("RGBA")
        return _over_white(layered.convert("RGB"), layered.getchannel("A"))
    if picture.mode == "LA":
        return _over_white(picture.getchannel("L"), picture.getchannel("A"))
    if picture.mode in _KEPT:
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _over_white(colours: Image.Image, alpha: Image.Image) -> Image.Image:
    page = Image.new(colours.mode, colours.size, "white")
    page.paste(colours, (0, 0), alpha)
    return page


def _of_sixteen_bits(transparent: object) -> Flattening:
    """By their full range, whatever part of it they use."""

    def flatten(picture: Image.Image) -> Image.Image:
        whole = picture.convert("I")
        grey = _scaled(whole, 0, 65535)
        if not isinstance(transparent, int):
            return grey
        opaque = ImageMath.lambda_eval(lambda of: (of["p"] != transparent) * 255, p=whole)
        return _over_white(grey, opaque.convert("L"))

    return flatten


def _of_deep_channels(picture: Image.Image) -> Flattening:
    """32-bit integers and floats, whose range no header states, by the range they use."""
    low, high = picture.getextrema()
    if not (isinstance(low, int | float) and isinstance(high, int | float)):
        raise TypeError(f"a band of mode {picture.mode} without a range")
    if picture.mode == "I" and low >= 0 and high <= 65535:
        low, high = 0, 65535  # 16-bit PGM and some TIFF come in 32-bit integers
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("pixel values that are not finite")
    return lambda piece: _scaled(piece, low, high)


def _scaled(picture: Image.Image, low: float, high: float) -> Image.Image:
    """`low` becomes 0 and `high` 255, rounded; a uniform picture becomes black."""
    scale = 255 / (high - low) if high > low else 0.0
    # Pillow cuts fractions off on the way to L.
    return picture.convert("F").point(lambda value: value * scale + (0.5 - low * scale)).convert("L")
