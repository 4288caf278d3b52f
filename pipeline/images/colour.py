"""Colours as their profile means them, in sRGB.

Done by littlecms with the relative colorimetric intent: a colour stays what was measured, and the paper's white is
white. Worked out on the picture in the size in which it is sent. A profile that cannot be read, or that is one for
another kind of pixels, counts as none: broken metadata is not a broken picture.
"""

from __future__ import annotations

import functools
import io
import itertools
import threading

from PIL import Image, ImageChops, ImageCms

from pipeline.images.pillow import DEFECTS

_LARGEST = 4 << 20
"""Bytes. Real profiles, those of printing presses included, stay under 3 MB."""

_UNSEEN = 2
"""Levels of 255: profiles of sRGB from different hands differ by one."""

_LEVELS = (0, 16, 32, 64, 96, 128, 160, 208, 255)


def in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """`picture`, of mode RGB, L, CMYK or LAB, as sRGB in mode RGB, or in L if it was grey."""
    transform = _transform(profile, picture.mode)
    if transform is None:
        return picture if picture.mode in ("RGB", "L") else picture.convert("RGB")
    converted = transform.apply(picture)
    return converted.convert("L") if picture.mode == "L" else converted


def is_srgb(profile: bytes | None, mode: str) -> bool:
    """Whether pixels of `mode`, RGB or L, with this profile are sRGB as they stand."""
    return _transform(profile, mode) is None


def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    if mode == "LAB":
        return _PER_THREAD.transform(b"", mode)  # says itself what its colours are
    if not isinstance(profile, bytes) or len(profile) > _LARGEST:
        return None
    return _PER_THREAD.transform(profile, mode)


def _built(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from `profile` to sRGB; None where there is none, or where it changes nothing that can be seen."""
    try:
        source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB") if mode == "LAB" else io.BytesIO(profile))
        # From inks and from Lab, littlecms would make a table first: longer than a picture takes, and 5 levels off.
        flags = ImageCms.Flags.NONE if mode in ("RGB", "L") else ImageCms.Flags.NOOPTIMIZE
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC, flags
        )
    except (ImageCms.PyCMSError, *DEFECTS):
        return None
    if mode in ("RGB", "L") and _unseen(transform, mode):
        return None
    return transform


def _unseen(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """A profile's name may lie; what it does to colours does not."""
    if mode == "L":
        sample = Image.frombytes("L", (16, 16), bytes(range(256)))
    else:
        cube = itertools.product(_LEVELS, repeat=3)
        sample = Image.frombytes("RGB", (27, 27), bytes(itertools.chain.from_iterable(cube)))
    changes = ImageChops.difference(sample.convert("RGB"), transform.apply(sample))
    return max(changes.convert("RGB").tobytes()) <= _UNSEEN


class _PerThread(threading.local):
    """Built transforms, of which Pillow does not say whether threads may share one."""

    def __init__(self) -> None:
        self.transform = functools.lru_cache(maxsize=8)(_built)


_PER_THREAD = _PerThread()
