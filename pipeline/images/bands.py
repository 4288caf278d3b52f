"""A decoded picture flattened and brought to its size, without a second copy of a large one.

A picture at the pixel cap takes 358 MB. It is worked on in bands across its longer side, each cut out, flattened and
scaled on its own, with enough of its neighbours around it that no seam shows.
"""

from __future__ import annotations

import math

from PIL import Image

from pipeline.images.flatten import flattening

_BAND = 2 << 20
"""Pixels of a band, its margins left out: 8 MB for each of the few copies of it."""

_FILTER = Image.Resampling.LANCZOS
_REACH = 3
"""How far the filter reaches, in pixels of the result."""

_GAP = 2.0
"""A far larger picture is first reduced by whole steps, to no less than this many times the result."""


def drawn(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """`picture`, loaded, in 8-bit RGB, L, CMYK or LAB at `size`, which is no larger on any side. Not turned."""
    flatten = flattening(picture)
    kept = picture.size == size
    if picture.width * picture.height <= _BAND or (kept and picture.mode in ("RGB", "L")):
        flat = flatten(picture)
        return flat if kept else flat.resize(size, _FILTER, reducing_gap=_GAP)
    axis = 0 if picture.width > picture.height else 1
    length, wanted = picture.size[axis], size[axis]
    ratio = length / wanted
    step = max(1, int(_BAND / picture.size[1 - axis] / ratio))
    margin = 0 if kept else math.ceil(_REACH * ratio)
    whole = Image.new(flatten(picture.crop((0, 0, 1, 1))).mode, size)
    for start in range(0, wanted, step):
        end = min(wanted, start + step)
        first = max(0, math.floor(start * ratio) - margin)
        last = min(length, math.ceil(end * ratio) + margin)
        near, far = start * ratio - first, min(end * ratio - first, last - first)
        if axis == 0:
            band = flatten(picture.crop((first, 0, last, picture.height)))
            part = band.resize((end - start, size[1]), _FILTER, (near, 0, far, band.height), _GAP)
        else:
            band = flatten(picture.crop((0, first, picture.width, last)))
            part = band.resize((size[0], end - start), _FILTER, (0, near, band.width, far), _GAP)
        whole.paste(part, (start, 0) if axis == 0 else (0, start))
    return whole
