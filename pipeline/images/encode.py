"""The bytes that are sent: JPEG for photographs, PNG for what was drawn or printed, deterministic, within a limit."""

from __future__ import annotations

import io

from PIL import Image, ImageChops

from pipeline.core.errors import ItemError

_LOSSY = frozenset({"JPEG", "MPO", "WEBP", "AVIF"})
"""Source formats whose edges are blurred already; PNG would only make them larger."""

_FEW_COLOURS = 256
_SMALL = 256 * 256
"""Pixels up to which PNG costs next to nothing."""

_FLAT_SHARE = 0.6
"""Share of pixels that equal their neighbour, from which a picture was drawn or printed. Of the samples, screenshots,
charts and pages of smooth text have 0.7 to 0.99, photographs 0.1 to 0.45."""

_DEARER = 2.5
"""How many times the bytes of the JPEG sharp edges may cost. A photograph with much black sky around it is flat too,
but costs five times as much."""

_QUALITIES = (90, 80, 70, 55)
_SHRINK = 0.8
_SMALLEST = 64
"""Pixels on the longest side: below that a byte limit leaves nothing worth asking about."""


def encoded(picture: Image.Image, source: str | None, max_bytes: int | None) -> tuple[bytes, str, tuple[int, int]]:
    """`picture`, of mode RGB or L, as bytes, mime and width x height; smaller only where `max_bytes` asks for it.

    `source` is the format it came in, None where it was drawn from something else. Raises ItemError image_rejected when
    nothing fits.
    """
    picture.info = {}  # encoders copy comments and profiles from here
    size = picture.size
    jpeg = _jpeg(picture, _QUALITIES[0])
    if (worth := _png_worth(picture, source, len(jpeg))) > 0:
        png = _png(picture)
        if len(png) <= worth and _fits(png, max_bytes):
            return png, "image/png", size
    for quality in _QUALITIES[1:]:
        if _fits(jpeg, max_bytes):
            return jpeg, "image/jpeg", size
        jpeg = _jpeg(picture, quality)
    while not _fits(jpeg, max_bytes):
        if max(size) * _SHRINK < _SMALLEST:
            raise ItemError("image_rejected", f"no encoding of this picture fits {max_bytes} bytes")
        size = (max(1, int(size[0] * _SHRINK)), max(1, int(size[1] * _SHRINK)))
        jpeg = _jpeg(picture.resize(size, Image.Resampling.LANCZOS), _QUALITIES[-1])
    return jpeg, "image/jpeg", size


def _png_worth(picture: Image.Image, source: str | None, jpeg_bytes: int) -> float:
    """How many bytes a PNG of it may have to be preferred."""
    if source in _LOSSY:
        return 0
    if picture.width * picture.height <= _SMALL:
        return float("inf")
    if _flat_share(picture) >= _FLAT_SHARE:
        return jpeg_bytes * _DEARER
    return jpeg_bytes if picture.getcolors(_FEW_COLOURS) is not None else 0


def _flat_share(picture: Image.Image) -> float:
    """Share of pixels as bright as the one to their right."""
    grey = picture.convert("L")
    width, height = grey.size
    if width == 1:
        return 0.0
    steps = ImageChops.difference(grey.crop((0, 0, width - 1, height)), grey.crop((1, 0, width, height)))
    return steps.histogram()[0] / (steps.width * height)


def _fits(data: bytes, max_bytes: int | None) -> bool:
    return max_bytes is None or len(data) <= max_bytes


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    """Baseline JPEG, 4:2:0."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=3)  # on scanned text 6 costs half as much again for 7 % fewer bytes
    return out.getvalue()
