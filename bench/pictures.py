"""Pictures like photographs, the same on every machine with the same Pillow: soft colours, texture and grain.

Copies that are sent as they are differ in a comment of the file, so that no two of them are the same question.
"""

from __future__ import annotations

import io
import random
import struct
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


def with_comment(jpeg: bytes, text: str, size: int | None = None) -> bytes:
    """The same JPEG with a comment segment (ISO/IEC 10918-1, marker COM); filled up to `size` bytes if given."""
    segments, more = b"", text.encode()
    if size is not None:
        more += bytes(max(0, size - len(jpeg) - len(more) - 4))
    for start in range(0, len(more), 65_000):
        piece = more[start : start + 65_000]
        segments += b"\xff\xfe" + struct.pack(">H", len(piece) + 2) + piece
    return jpeg[:2] + segments + jpeg[2:]


def write_copies(folder: Path, originals: list[bytes], n: int, size: int | None = None) -> None:
    """`n` files whose bytes all differ, made of a few JPEGs."""
    folder.mkdir(parents=True)
    for index in range(n):
        data = with_comment(originals[index % len(originals)], f"copy {index}", size)
        (folder / f"{index:06}.jpg").write_bytes(data)
