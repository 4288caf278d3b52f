"""What a picture is, read from its header alone: nothing is decoded before it has passed here."""

from __future__ import annotations

import io
import math
import struct
from dataclasses import dataclass

from PIL import Image, ImageFile, JpegImagePlugin, TiffImagePlugin, UnidentifiedImageError

from pipeline.core.errors import ItemError
from pipeline.core.pictures import ImageContract
from pipeline.images.orientation import turns_in_pillow
from pipeline.images.pillow import FORMATS, MAX_PIXELS, reading, too_many_pixels
from pipeline.images.sizing import stored_target
from pipeline.images.sniff import not_opened

MIN_SIDE = 2
"""Pixels. A picture one pixel wide or high is a tracking pixel, a spacer or a rule: there is nothing to ask about."""

MAX_ASPECT = 200
"""Longer to shorter side. Qwen's preprocessing, and what is built like it, refuses more (transformers 5.23,
`smart_resize`); at 1024 pixels the shorter side would be 5."""

MAX_PAGES = 200
"""Pages of one document that are ever sent in one request, whatever the server takes."""

_MOST_WEBP = 50_000_000
"""Pixels of a WebP. Pillow 13 holds four copies at once: two canvases of its decoder, their bytes, the picture."""

_CLASSIC = 42
"""What a TIFF has behind its byte order, where a BigTIFF has 43."""

_SMALL_MODES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "LA": 4}
_WORKED_ON = 2 << 20
"""Pixels that are flattened and scaled at a time (`bands.py`)."""


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


def weigh(source: bytes, contract: ImageContract) -> int:
    """Bytes that preparing `source` holds at its peak, `source` itself left out. From the header: nothing is decoded.

    An estimate from above, measured with Pillow 13. Raises ItemError as `inspect` does.
    """
    with opened(source) as picture, reading():
        target = stored_target(picture, contract)
        whole = picture.width * picture.height
        picture.draft(None, target)
        pixels, sent = picture.width * picture.height, target[0] * target[1]
        deep = _SMALL_MODES.get(picture.mode, 4)
        held = math.ceil(pixels * _copies(picture, deep, contract))
        if isinstance(picture, JpegImagePlugin.JpegImageFile) and "progressive" in picture.info:
            held += 2 * round(_samples(picture) * whole)  # libjpeg keeps every coefficient, of the full size
        worked_on = min(pixels, _WORKED_ON) * (4 if picture.mode in ("RGB", "L") else 12)
        return held + worked_on + (8 + _pages(source, picture, contract)) * sent


def _copies(picture: ImageFile.ImageFile, deep: int, contract: ImageContract) -> float:
    """Bytes that Pillow and its codec hold for a pixel of `deep` bytes."""
    if picture.format == "WEBP":
        return 16
    if picture.format == "AVIF":
        return 14  # planes of up to 6 bytes, their RGBA, the picture
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        turned = 2 if turns_in_pillow(picture) else 1  # by a copy
        if picture.info.get("compression") == "raw":
            return turned * deep
        rows = picture.tag_v2.get(TiffImagePlugin.ROWSPERSTRIP)
        # libtiff holds a strip, which may be the whole picture.
        strip = min(1.0, rows / picture.height) if isinstance(rows, int) else 1.0
        return (turned + strip) * deep
    if contract.pages == "all" and picture.format in ("GIF", "PNG") and getattr(picture, "is_animated", False):
        return 13  # the frame, the one before, and what lies under it
    return deep


def _samples(picture: JpegImagePlugin.JpegImageFile) -> float:
    """Samples for each pixel: 1.5 where colours have half the resolution both ways."""
    sampling = [down * across for _, down, across, _ in picture.layer]
    return sum(sampling) / max(sampling, default=1)


def _pages(source: bytes, picture: ImageFile.ImageFile, contract: ImageContract) -> int:
    """About how many pages will be sent, found without decoding."""
    if contract.pages == "first":
        return 1
    if picture.format == "GIF":
        return max(1, min(MAX_PAGES, source.count(b"\0,")))  # how a frame begins behind the end of a block
    if picture.format == "TIFF":
        return _directories(source)
    return min(MAX_PAGES, getattr(picture, "n_frames", 1))


def _directories(source: bytes) -> int:
    """Pages of a TIFF (TIFF 6.0, section 2): its chain of directories, up to `MAX_PAGES`; so many for a BigTIFF."""
    order = "<" if source[:2] == b"II" else ">"
    if struct.unpack_from(f"{order}H", source, 2)[0] != _CLASSIC:
        return MAX_PAGES
    pages, link = 0, 4
    while pages < MAX_PAGES and link + 4 <= len(source):
        (place,) = struct.unpack_from(f"{order}I", source, link)
        if place == 0 or place + 2 > len(source):
            break
        link = place + 2 + 12 * struct.unpack_from(f"{order}H", source, place)[0]
        pages += 1
    return max(1, pages)


def opened(source: bytes) -> ImageFile.ImageFile:
    """The picture, not yet decoded, its size already found acceptable. Raises ItemError as `inspect` does."""
    with reading():
        picture = _identified(source)
    check_size(*picture.size, most=_MOST_WEBP if picture.format == "WEBP" else MAX_PIXELS)
    return picture


def check_size(width: int, height: int, most: int = MAX_PIXELS) -> None:
    """Raises ItemError for what is too large to decode or too odd to ask about; width x height in pixels."""
    if width * height > most:
        raise too_many_pixels(width * height, most)
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
