"""The one door to Pillow: which formats it may read, and how its complaints become our kinds of failure.

Pillow reports some defects, a decompression bomb among them, through the module `warnings`. Its filters belong to the
whole process and are not safe to change while other threads run, so the outcome of a picture would depend on who
else set them. Inside `reading()` Pillow's warnings therefore go to `_Warnings` instead: a bomb is an error, a broken
tag in the metadata is nobody's concern. Elsewhere in the process Pillow warns as ever.
"""

from __future__ import annotations

import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from pipeline.core.errors import ItemError

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF")
"""What is opened: formats that Pillow decodes itself. Never EPS (runs Ghostscript) or WMF (runs the system's code)."""

MAX_PIXELS = 89_478_485
"""Largest picture that is decoded: where Pillow 13 begins to warn of a bomb (`Image.MAX_IMAGE_PIXELS`, left at its
default). Decoded, that many take 358 MB at Pillow's 4 bytes a pixel; larger ones are scans of maps and mosaics."""

DEFECTS = (
    OSError,  # broken or short streams, and UnidentifiedImageError
    SyntaxError,  # Pillow's word for a bad header
    ValueError,  # bad sizes and modes, text chunks over their limit; UnicodeDecodeError
    struct.error,  # headers that end early
    EOFError,  # no (first) frame
    LookupError,  # unknown modes, tables cut short: IndexError and KeyError
    TypeError,  # tags of the wrong type
    AttributeError,  # tags that are missing
    ArithmeticError,  # ZeroDivisionError and OverflowError from absurd fields
    AssertionError,  # Pillow's own checks of what it has read
    RuntimeError,  # AVIF and WebP codecs, and recursion in nested tags
    MemoryError,  # a size field that asks for too much
    zlib.error,  # broken compressed chunks
)
"""What decoders of hostile bytes raise (Pillow 13). None of them is a bug of ours while only Pillow runs."""


_SHORT_CHUNK = re.compile(r"Truncated \w+ chunk")
"""Said of a piece of a PNG's metadata that is shorter than it should be, wherever the file ends."""


class _Reading(threading.local):
    """Whether this thread is inside `reading()`."""

    active = False


_READING = _Reading()


class _Warnings:
    """What Pillow finds under the name `warnings`."""

    def warn(self, message: str, category: type[Warning] = UserWarning, stacklevel: int = 1) -> None:
        if not _READING.active:
            warnings.warn(message, category, stacklevel + 1)
        elif issubclass(category, Image.DecompressionBombWarning):
            raise Image.DecompressionBombError(message)

    def __getattr__(self, name: str) -> Any:
        return getattr(warnings, name)


for _module in (
    Image,
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
):
    if hasattr(_module, "warnings"):
        vars(_module)["warnings"] = _Warnings()


@contextmanager
def reading() -> Iterator[None]:
    """Everything that Pillow does with foreign bytes stands inside.

    Raises ItemError: too_many_pixels, truncated, unreadable.
    """
    before, _READING.active = _READING.active, True
    try:
        yield
    except Image.DecompressionBombError as error:
        raise too_many_pixels(re.sub(r"\D*(\d+).*", r"\1", str(error))) from error
    except DEFECTS as error:
        raise _broken(error) from error
    finally:
        _READING.active = before


def too_many_pixels(pixels: int | str, most: int = MAX_PIXELS) -> ItemError:
    """The failure for a picture of more than `most` pixels."""
    return ItemError("too_many_pixels", f"this has {pixels} pixels; at most {most} are decoded: scale it down first")


def _broken(error: BaseException) -> ItemError:
    """The failure for an error out of Pillow; no object and no memory address stays in its text."""
    text = re.sub(r"<\S+ object at 0x[0-9a-fA-F]+>", "the file", " ".join(str(error).split()))
    text = text[:200] or type(error).__name__
    if isinstance(error, EOFError) or ("truncated" in text.lower() and not _SHORT_CHUNK.search(text)):
        return ItemError("truncated", f"the file ends before the picture does ({text}): fetch it again")
    return ItemError("unreadable", f"the picture cannot be decoded ({text}): it is damaged or malformed")
