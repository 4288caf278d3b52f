"""Files of a few kilobytes that ask for gigabytes, and sizes at the edge of what is taken."""

from __future__ import annotations

import random
import re
import struct
import zlib
from functools import partial

from PIL import Image

from tests.corpus.drawing import encoded, photo
from tests.corpus.films import by_hand as gif_by_hand
from tests.corpus.pngs import END, START, chunk, header, zeros
from tests.corpus.rasters import bmp
from tests.corpus.recipe import EITHER, ROW, TOO_MANY, TORN, Shelf
from tests.corpus.tiffs import by_hand as tiff_by_hand

BOMBS, SHAPES = Shelf("bomb"), Shelf("shape")
_LONG = 4
UNDER, OVER = (9459, 9459), (9460, 9459)
"""89,472,681 and 89,482,140 pixels: the cap of 89,478,485 lies between."""
NARROW = frozenset({"bad_aspect"})
TINY = frozenset({"too_small"})


def _side(dice: random.Random) -> int:
    return dice.choice((20_000, 32_767, 65_535, dice.randint(12_000, 65_535)))


def solid_png(size: tuple[int, int], depth: int, colour: int, bits: int) -> bytes:
    """A whole PNG of one colour, packed row by row."""
    packer = zlib.compressobj(1)
    row = bytes(1 + -(-size[0] * bits // 8))
    block = row * 64
    pixels = [packer.compress(block) for _ in range(size[1] // 64)]
    pixels += [packer.compress(row * (size[1] % 64)), packer.flush()]
    palette = chunk(b"PLTE", b"\x10\x20\x30" * 2) if colour == 3 else b""
    return START + header(size, depth, colour) + palette + chunk(b"IDAT", b"".join(pixels)) + END


def _png_claim(dice: random.Random) -> bytes:
    pixels = chunk(b"IDAT", zlib.compress(bytes(100_000)))
    return START + header((_side(dice), _side(dice)), 8, dice.choice((0, 2, 6))) + pixels + END


def _jpeg_claim(dice: random.Random, **options: bool) -> bytes:
    data = bytearray(encoded(photo(dice), "JPEG", **options))
    frame = re.search(rb"\xff[\xc0\xc2]\0\x11\x08", data)
    assert frame
    struct.pack_into(">HH", data, frame.end(), _side(dice), _side(dice))
    return bytes(data)


def _webp_claim(dice: random.Random) -> bytes:
    """A lossy frame whose header claims 16,383 x 16,383 (RFC 6386, section 9.1)."""
    data = bytearray(encoded(photo(dice), "WEBP", method=0))
    struct.pack_into("<HH", data, data.index(b"\x9d\x01\x2a") + 3, 16_383, dice.randint(12_000, 16_383))
    return bytes(data)


def _webp_lossless_claim(dice: random.Random) -> bytes:
    data = bytearray(encoded(photo(dice), "WEBP", lossless=True, method=0))
    struct.pack_into("<I", data, data.index(b"VP8L") + 9, 0x3FFF | 0x3FFF << 14)
    return bytes(data)


def _tiff_claim(dice: random.Random) -> bytes:
    return tiff_by_hand(dice, t256=(_LONG, (_side(dice),)), t257=(_LONG, (_side(dice),)))


def _bmp_claim(dice: random.Random) -> bytes:
    return bmp(dice, size=(_side(dice), _side(dice)), pixels=dice.randbytes(3000), upside_down=dice.random() < 0.5)


def _ppm_claim(dice: random.Random) -> bytes:
    return b"P6\n%d %d\n255\n" % (_side(dice), _side(dice)) + dice.randbytes(3000)


def _many_scans(dice: random.Random, side: int, repeats: int) -> bytes:
    """A progressive picture of one colour whose second scan comes again and again.

    Each is a hundred bytes, and a walk over the whole picture.
    """
    data = encoded(Image.new("L", (side, side * 3 // 4), dice.randrange(256)), "JPEG", progressive=True)
    first = data.index(b"\xff\xda")
    start, end = (data.index(b"\xff\xc4", place) for place in (first, data.index(b"\xff\xda", first + 2)))
    return data[:start] + data[start:end] * repeats + data[start:]


def _strip_bomb(dice: random.Random) -> bytes:
    """A small picture whose one deflated strip becomes 100 MB."""
    packed = zeros(100)
    data = tiff_by_hand(dice, t259=(3, (8,)), t273=(_LONG, (8,)), t279=(_LONG, (len(packed),)))
    at = struct.unpack_from("<I", data, 4)[0]
    moved = bytearray(data + packed)
    entry = at + 2 + 12 * 5
    assert struct.unpack_from("<H", moved, entry)[0] == 273
    struct.pack_into("<I", moved, entry + 8, len(data))
    return bytes(moved)


def _pixel_bomb(dice: random.Random) -> bytes:
    """A small PNG whose pixels go on for 100 MB."""
    return START + header((dice.randint(20, 60), 40)) + chunk(b"IDAT", zeros(100)) + END


def _wide_screen(dice: random.Random, side: int) -> bytes:
    return gif_by_hand((side, side), (0, 0, 30, 20), photo(dice, (30, 20)).quantize(8))


BOMBS.put("PNG claim", ".png", _png_claim, TOO_MANY)
BOMBS.put("JPEG claim", ".jpg", _jpeg_claim, TOO_MANY)
BOMBS.put("JPEG claim, progressive", ".jpg", partial(_jpeg_claim, progressive=True), TOO_MANY)
BOMBS.put("WebP claim", ".webp", _webp_claim, TOO_MANY | TORN)
BOMBS.put("WebP claim, lossless", ".webp", _webp_lossless_claim, TOO_MANY | TORN)
BOMBS.put("TIFF claim", ".tif", _tiff_claim, TOO_MANY)
BOMBS.put("BMP claim", ".bmp", _bmp_claim, TOO_MANY)
BOMBS.put("PPM claim", ".ppm", _ppm_claim, TOO_MANY)
BOMBS.put("GIF screen of 65,535", ".gif", partial(_wide_screen, side=65_535), TOO_MANY)
BOMBS.put("GIF screen of 5,000", ".gif", partial(_wide_screen, side=5_000), ROW, at_most=2)
BOMBS.put("GIF screen of 9,400", ".gif", partial(_wide_screen, side=9_400), ROW, at_most=1)
BOMBS.put("GIF frame far out", ".gif", lambda dice: gif_by_hand((60, 40), (60_000, 60_000, 9, 9)), EITHER | TOO_MANY)
for what, depth, colour, bits in (
    ("black and white", 1, 0, 1),
    ("grey", 8, 0, 8),
    ("palette", 1, 3, 1),
    ("colour", 8, 2, 24),
    ("with alpha", 8, 6, 32),
    ("16 bits", 16, 0, 16),
):
    make = partial(solid_png, depth=depth, colour=colour, bits=bits)
    BOMBS.put(f"PNG just under, {what}", ".png", lambda dice, make=make: make(UNDER), ROW, at_most=1)
    if bits <= 8:  # the others cost more to write and are found by the same header
        BOMBS.put(f"PNG just over, {what}", ".png", lambda dice, make=make: make(OVER), TOO_MANY, at_most=1)
BOMBS.put("JPEG of 60 megapixels", ".jpg", lambda dice: encoded(Image.new("L", (8000, 7500), 90), "JPEG"), at_most=1)
BOMBS.put("400 scans", ".jpg", partial(_many_scans, side=800, repeats=400), EITHER, at_most=3)
BOMBS.put("250 scans of 48 megapixels", ".jpg", partial(_many_scans, side=8000, repeats=250), EITHER, at_most=1)
BOMBS.put("TIFF strip", ".tif", _strip_bomb, EITHER, at_most=2)
BOMBS.put("PNG pixels", ".png", _pixel_bomb, EITHER, at_most=2)

_CODED = (("PNG", ".png"), ("JPEG", ".jpg"), ("GIF", ".gif"), ("WEBP", ".webp"), ("BMP", ".bmp"), ("TIFF", ".tif"))


def _sized(dice: random.Random, name: str, least: tuple[int, int], most: tuple[int, int]) -> bytes:
    size = (dice.randint(least[0], most[0]), dice.randint(least[1], most[1]))
    return encoded(Image.new("RGB", size, dice.choice(("red", "green", "blue"))), name)


for name, suffix in _CODED:
    for what, least, most, outcomes in (
        ("1 x 1", (1, 1), (1, 1), TINY),
        ("1 wide", (1, 2), (1, 500), TINY),
        ("1 high", (2, 1), (500, 1), TINY),
        ("2 x 2", (2, 2), (2, 2), ROW),
        ("1:150", (3, 420), (3, 450), ROW),
        ("150:1", (420, 3), (450, 3), ROW),
        ("300:1", (900, 3), (2000, 3), NARROW),
        ("1:300", (2, 600), (2, 2000), NARROW),
    ):
        SHAPES.put(f"{name} {what}", suffix, partial(_sized, name=name, least=least, most=most), outcomes)
