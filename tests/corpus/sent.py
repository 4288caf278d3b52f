"""What must be true of every picture that goes to a server, whatever it was made of."""

from __future__ import annotations

import io
import warnings

from PIL import Image

from tests.corpus.drawing import SECRET

_PRIVATE = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif", "comment", "photoshop", "mp"}


def flaws(data: bytes, max_side: int, *, upright: bool = False) -> list[str]:
    """What is wrong with a picture as sent; nothing where all is well.

    `upright`: what it was made of is wider than high and red at its top left alone.
    """
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as picture:
            picture.load()
            frames = getattr(picture, "n_frames", 1)
    except (OSError, ValueError, SyntaxError) as error:
        return [f"it does not decode: {error}"]
    texts = set(getattr(picture, "text", {}))
    found = {
        f"a {picture.format}": picture.format not in {"JPEG", "PNG"},
        f"mode {picture.mode}": picture.mode not in {"RGB", "L"},
        f"{picture.size}, over {max_side}": max(picture.size) > max_side,
        f"{frames} frames": frames != 1,
        "transparency": "transparency" in picture.info,
        "an owner's words": SECRET in data,
        f"metadata: {sorted((_PRIVATE & set(picture.info)) | texts)}": bool(_PRIVATE & set(picture.info) or texts),
        "not upright": upright and not _is_upright(picture.convert("RGB")),
    }
    return [flaw for flaw, holds in found.items() if holds]


def _is_upright(picture: Image.Image) -> bool:
    width, height = picture.size
    reds = {}
    for right in (0, 1):
        for low in (0, 1):
            pixel = picture.getpixel((width // 8 + right * width * 3 // 4, height // 8 + low * height * 3 // 4))
            assert isinstance(pixel, tuple)
            reds[right, low] = pixel[0] - pixel[1] > 100 and pixel[0] > 150
    return width > height and reds == {(0, 0): True, (1, 0): False, (0, 1): False, (1, 1): False}
