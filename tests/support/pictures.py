"""Small, cheap, seeded pictures of every awkward kind.

The same arguments always give the same bytes (on one Pillow version); different seeds give different bytes, so that a
picture's hash is as good as a key.
"""

import io
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

_EXIF_ORIENTATION = 0x0112
_SUFFIX = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif"}

_UNDONE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def stored(upright: Image.Image, orientation: int) -> Image.Image:
    """An upright picture as a camera stores it under this EXIF orientation."""
    return upright.transpose(_UNDONE[orientation]) if orientation in _UNDONE else upright


def picture(
    seed: int,
    width: int = 48,
    height: int = 32,
    format: str = "JPEG",  # noqa: A002 - Pillow's word
    mode: str = "RGB",
    **save: Any,
) -> bytes:
    """An encoded picture of `width x height` pixels: coloured blocks that differ with the seed.

    `mode` is Pillow's, after conversion (RGB, L, P, RGBA, LA, CMYK, 1, I;16); `save` goes to Pillow's `save`, for
    example `quality=90`, `progressive=True`, `exif=...`, `dpi=(72, 72)`.
    """
    return encoded(image(seed, width, height, mode), format, **save)


def image(seed: int, width: int = 48, height: int = 32, mode: str = "RGB") -> Image.Image:
    """The same picture before it is encoded."""
    blocks = Image.frombytes("RGB", (6, 4), random.Random(seed).randbytes(6 * 4 * 3))
    large = blocks.resize((width, height), Image.Resampling.NEAREST)
    if mode == "I;16":
        grey = large.convert("L").tobytes()
        return Image.frombytes("I;16", large.size, bytes(byte for value in grey for byte in (value, value)))
    if mode in {"RGBA", "LA"}:
        alpha = Image.linear_gradient("L").resize(large.size)
        large.putalpha(alpha)
    return large.convert(mode)


def encoded(picture: Image.Image, format: str, **save: Any) -> bytes:  # noqa: A002 - Pillow's word
    """A Pillow image as the bytes of a file."""
    out = io.BytesIO()
    picture.save(out, format, **save)
    return out.getvalue()


def write_pictures(
    folder: Path,
    n: int,
    *,
    width: int = 48,
    height: int = 32,
    format: str = "JPEG",  # noqa: A002 - Pillow's word
    first_seed: int = 0,
) -> list[Path]:
    """Write `n` distinct pictures as `00000.jpg`, ... into a folder (made if needed); the paths, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:05d}{_SUFFIX[format]}" for index in range(n)]
    for index, path in enumerate(paths):
        path.write_bytes(picture(first_seed + index, width, height, format))
    return paths


def oriented(seed: int, orientation: int, width: int = 48, height: int = 32) -> bytes:
    """A JPEG whose EXIF orientation is 1-8; `width x height` are the stored pixels, before it is turned."""
    exif = Image.Exif()
    exif[_EXIF_ORIENTATION] = orientation
    return picture(seed, width, height, exif=exif)


def upright_marks(orientation: int, width: int = 48, height: int = 32) -> bytes:
    """A JPEG that shows, once turned as its EXIF says, a red top left quarter on white, `width x height` upright."""
    upright = Image.new("RGB", (width, height), "white")
    upright.paste("red", (0, 0, width // 2, height // 2))
    turned = stored(upright, orientation)
    exif = Image.Exif()
    exif[_EXIF_ORIENTATION] = orientation
    return encoded(turned, "JPEG", exif=exif, quality=95, subsampling=0)


def cmyk(seed: int, width: int = 48, height: int = 32) -> bytes:
    """A CMYK JPEG, as printers deliver them."""
    return picture(seed, width, height, mode="CMYK")


def sixteen_bit(seed: int, width: int = 48, height: int = 32) -> bytes:
    """A PNG with 16 bits of grey a pixel."""
    return picture(seed, width, height, "PNG", "I;16")


def palette_with_alpha(seed: int, width: int = 48, height: int = 32) -> bytes:
    """A palette PNG in which one colour is fully transparent."""
    return encoded(image(seed, width, height).quantize(16), "PNG", transparency=0)


def animation(seed: int, frames: int = 3, width: int = 48, height: int = 32) -> bytes:
    """A GIF of several frames, 100 ms each."""
    first, *rest = [image(seed * 1000 + index, width, height, "P") for index in range(frames)]
    return encoded(first, "GIF", save_all=True, append_images=rest, duration=100, loop=0)


def pages(seed: int, n: int = 3, width: int = 48, height: int = 32) -> bytes:
    """A TIFF of several pages."""
    first, *rest = [image(seed * 1000 + index, width, height) for index in range(n)]
    return encoded(first, "TIFF", save_all=True, append_images=rest)


def truncated(seed: int, keep: float = 0.6, width: int = 256, height: int = 192, format: str = "JPEG") -> bytes:  # noqa: A002
    """The first `keep` share of a picture's bytes: the header is whole, the pixels are not."""
    whole = picture(seed, width, height, format)
    return whole[: int(len(whole) * keep)]


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of under 100 bytes that claims `width x height` pixels; its checksums are right, its pixels missing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"\0")) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def not_a_picture() -> bytes:
    """A web page where a picture was promised."""
    return b"<!DOCTYPE html><html><body>404 Not Found</body></html>"


def text_picture(text: str, size: int = 24, format: str = "PNG", margin: int = 10) -> bytes:  # noqa: A002
    """Black text on white in Pillow's own font, `size` pixels high; lines are split at newlines."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text, font=font)
    canvas = Image.new("RGB", (int(right - left) + 2 * margin, int(bottom - top) + 2 * margin), "white")
    ImageDraw.Draw(canvas).multiline_text((margin - left, margin - top), text, fill="black", font=font)
    return encoded(canvas, format)


AWKWARD: dict[str, Callable[[], bytes]] = {
    "oriented": lambda: oriented(1, 6),
    "cmyk": lambda: cmyk(2),
    "sixteen_bit": lambda: sixteen_bit(3),
    "palette_with_alpha": lambda: palette_with_alpha(4),
    "grey": lambda: picture(5, mode="L"),
    "one_bit": lambda: picture(6, format="PNG", mode="1"),
    "rgba": lambda: picture(7, format="PNG", mode="RGBA"),
    "progressive": lambda: picture(8, progressive=True),
    "webp": lambda: picture(9, format="WEBP"),
    "bmp": lambda: picture(10, format="BMP"),
    "animation": lambda: animation(11),
    "pages": lambda: pages(12),
}
"""Readable pictures that need care before they are sent, by name."""

BROKEN: dict[str, Callable[[], bytes]] = {
    "truncated_jpeg": lambda: truncated(20),
    "truncated_png": lambda: truncated(21, format="PNG"),
    "bomb": bomb,
    "not_a_picture": not_a_picture,
    "empty": lambda: b"",
}
"""Pictures that cannot be sent, by name."""
