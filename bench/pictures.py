"""Pictures like photographs, the same on every machine with the same Pillow: soft colours, texture and grain.

Copies differ in what nobody sees, so that no two of them are the same question.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw

TWELVE_MEGAPIXELS = (4000, 3000)


def photograph(seed: int, width: int, height: int, quality: int = 88) -> bytes:
    """A JPEG with about as many bytes a pixel as a camera's: 12 megapixels are 2 to 4 MB."""
    out = io.BytesIO()
    pixels(seed, width, height).save(out, "JPEG", quality=quality)
    return out.getvalue()


def pixels(seed: int, width: int, height: int) -> Image.Image:
    """The photograph before it is encoded; its grain differs with the seed as that of cameras does."""
    source = random.Random(seed)
    light = Image.frombytes("RGB", (8, 6), source.randbytes(8 * 6 * 3))
    columns, rows = width // 12 + 1, height // 12 + 1
    texture = Image.frombytes("L", (columns, rows), source.randbytes(columns * rows)).convert("RGB")
    grain = Image.frombytes("L", (width, height), source.randbytes(width * height)).convert("RGB")
    soft = light.resize((width, height), Image.Resampling.BICUBIC)
    textured = Image.blend(soft, texture.resize((width, height), Image.Resampling.BICUBIC), 0.25)
    return Image.blend(textured, grain, source.uniform(0.05, 0.09))


def drawing(seed: int, width: int, height: int) -> bytes:
    """A PNG as a screen or a chart gives it: areas, lines and text."""
    source = random.Random(seed)
    page = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(page)
    for _ in range(60):
        left, top = source.randrange(width), source.randrange(height)
        colour = tuple(source.randrange(256) for _ in range(3))
        pen.rectangle((left, top, left + source.randrange(200), top + source.randrange(120)), fill=colour)
        pen.text((left, top), f"{source.random():.9f} and {source.random():.9f}", fill="black")
        pen.line((left, top, source.randrange(width), source.randrange(height)), fill=colour, width=3)
    out = io.BytesIO()
    page.save(out, "PNG")
    return out.getvalue()


def sized_photograph(seed: int, width: int, height: int, size: int) -> bytes:
    """A JPEG of about `size` bytes: at the quality that comes nearest."""
    return min((photograph(seed, width, height, quality) for quality in range(30, 100, 3)), key=_from(size))


def _from(size: int) -> Callable[[bytes], int]:
    return lambda jpeg: abs(len(jpeg) - size)


def numbered(jpeg: bytes, number: int) -> bytes:
    """The same JPEG with other steps for its three finest frequencies: another picture, though nobody sees it.

    Below 200 ** 3. Metadata would not do: it is cut out, and the pictures would be the same question.
    """
    end_of_table = jpeg.index(b"\xff\xdb") + 5 + 64  # marker, length, its number, 64 steps (ITU-T T.81, B.2.4.1)
    steps = bytes(1 + number // 200**place % 200 for place in range(3))
    return jpeg[: end_of_table - 3] + steps + jpeg[end_of_table:]


def write_copies(folder: Path, originals: list[bytes], n: int) -> None:
    """`n` pictures that all differ, made of a few JPEGs."""
    folder.mkdir(parents=True)
    for index in range(n):
        (folder / f"{index:06}.jpg").write_bytes(numbered(originals[index % len(originals)], index))
