"""Pictures to encode, and the metadata that comes with them."""

from __future__ import annotations

import io
import random
import struct
from typing import Any

from PIL import Image, ImageDraw

SECRET = b"seen only by its owner"
"""Stands in all metadata that is a person's own: no server may get it."""

RED = (230, 20, 20)


def size_of(dice: random.Random, least: int = 40, most: int = 220) -> tuple[int, int]:
    """Wider than high, by enough to see."""
    width = dice.randint(least, most)
    return width, max(least // 2, width * dice.randint(50, 80) // 100)


def photo(dice: random.Random, size: tuple[int, int] | None = None, mode: str = "RGB") -> Image.Image:
    """Soft blue and green with grain, a red corner at the top left."""
    width, height = size or size_of(dice)
    clouds = [Image.frombytes("L", (6, 4), dice.randbytes(24)).resize((width, height)) for _ in range(2)]
    grain = Image.frombytes("L", (64, 64), dice.randbytes(4096)).point(lambda value: value // 8)
    red = Image.new("L", (width, height), 40)
    for x in range(0, min(width, 512), 64):
        for y in range(0, min(height, 512), 64):
            red.paste(grain, (x, y))
    picture = Image.merge("RGB", (red, *clouds))
    picture.paste(RED, (0, 0, max(1, width // 4), max(1, height // 4)))
    return picture if mode == "RGB" else picture.convert(mode)


def art(dice: random.Random, size: tuple[int, int] | None = None, mode: str = "RGB") -> Image.Image:
    """A few flat colours."""
    width, height = size or size_of(dice)
    picture = Image.new("RGB", (width, height), (240, 240, 240))
    draw = ImageDraw.Draw(picture)
    for _ in range(6):
        x, y = dice.randrange(width), dice.randrange(height)
        fill = tuple(dice.randrange(0, 256, 51) for _ in range(3))
        draw.rectangle((x, y, x + width // 4, y + height // 4), fill=fill)
    return picture if mode == "RGB" else picture.convert(mode)


def see_through(dice: random.Random, mode: str = "RGBA") -> Image.Image:
    """A photo that fades out to the right."""
    picture = photo(dice)
    picture.putalpha(Image.linear_gradient("L").rotate(90).resize(picture.size))
    return picture if mode == "RGBA" else picture.convert(mode)


def encoded(picture: Image.Image, name: str, **options: Any) -> bytes:
    """The picture in Pillow's format `name`."""
    out = io.BytesIO()
    picture.save(out, name, **options)
    return out.getvalue()


def exif(orientation: int | None = None) -> Image.Exif:
    """A camera's notes."""
    notes = Image.Exif()
    notes[0x010E] = SECRET.decode()
    notes[0x010F] = "Maker"
    if orientation is not None:
        notes[0x0112] = orientation
    return notes


def xmp() -> bytes:
    """An editor's notes."""
    return b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><owner>%s</owner></x:xmpmeta>' % SECRET


_PRIMARIES = {
    "srgb": ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)),
    "display-p3": ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)),
    "prophoto": ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249)),
}
"""Red, green and blue as XYZ under D50."""


def profile(kind: str) -> bytes:
    """A small ICC profile, version 2: one of `_PRIMARIES` with gamma 2.2, or "grey"."""
    curve = b"curv" + struct.pack(">IIHH", 0, 1, int(2.2 * 256), 0)
    text = f"{kind}".encode() + b"\0"
    desc = b"desc" + struct.pack(">II", 0, len(text)) + text + bytes(78)
    tags = {b"desc": desc, b"cprt": b"text" + bytes(4) + b"none\0", b"wtpt": _xyz((0.9642, 1.0, 0.8249))}
    if kind == "grey":
        tags[b"kTRC"] = curve
    else:
        for name, primary in zip(b"rgb", _PRIMARIES[kind], strict=True):
            tags[bytes([name]) + b"XYZ"], tags[bytes([name]) + b"TRC"] = _xyz(primary), curve
    at, table, body = 132 + 12 * len(tags), b"", b""
    for name, value in tags.items():
        padded = value + bytes(-len(value) % 4)
        table += name + struct.pack(">II", at + len(body), len(value))
        body += padded
    space = b"GRAY" if kind == "grey" else b"RGB "
    head = struct.pack(">I4sI4s4s4s", at + len(body), bytes(4), 0x02100000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz((0.9642, 1.0, 0.8249))[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)
