"""Turns the image part of a request into pixels; never fetches anything."""

import base64
import binascii
import io
import struct
import zlib
from dataclasses import dataclass

from PIL import Image, ImageOps

MOST_PIXELS = 1024 * 1024 * 1024 // 4 // 3
"""Pillow's own limit (PIL.Image.MAX_IMAGE_PIXELS), checked here too because its warning can be filtered away."""

BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise on bytes that are not the picture they claim to be; it has no error of its own."""


class PictureError(Exception):
    """The picture in the request cannot be looked at; the message says why, for the one who sent it."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture (first frame), twice: as it was received and as a person would see it."""

    received: Image.Image
    """Pixels as stored, in the file's own mode."""
    upright: Image.Image
    """RGB, turned by its EXIF orientation, transparent parts over white."""


def open_picture(url: str) -> Picture:
    """Decodes a `data:` URI with base64 content.

    Raises PictureError for any other URL, bad base64, bytes Pillow cannot decode, and more pixels than Pillow's
    limit (`MOST_PIXELS`, about 89 million), whose warning counts as an error here.
    """
    try:
        received = Image.open(io.BytesIO(_data(url)))
        if received.width * received.height > MOST_PIXELS:
            raise PictureError(f"{received.width} x {received.height} pixels are over the limit of this server")
        received.load()
        return Picture(received, _upright(received))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise PictureError(f"the picture has more pixels than this server decodes: {error}") from error
    except BROKEN as error:
        raise PictureError(f"the picture cannot be decoded: {error}") from error


def _data(url: str) -> bytes:
    head, comma, body = url.partition(",")
    if not head.lower().startswith("data:"):
        scheme = head.partition(":")[0][:20]
        raise PictureError(f"this server fetches nothing: send the picture as a base64 data URI, not as {scheme!r}")
    if not comma or not head.lower().endswith(";base64"):
        raise PictureError("the data URI is not base64")
    try:
        return base64.b64decode(body.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise PictureError(f"the data URI is not valid base64: {error}") from error


def _upright(received: Image.Image) -> Image.Image:
    turned = ImageOps.exif_transpose(received)
    if not turned.has_transparency_data:
        return turned.convert("RGB")
    paper = Image.new("RGBA", turned.size, "white")
    paper.alpha_composite(turned.convert("RGBA"))
    return paper.convert("RGB")
