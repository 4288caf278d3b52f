"""BMP and PPM by hand: every header and packing that programs of thirty years have written."""

from __future__ import annotations

import random
import struct
from functools import partial

from tests.corpus.drawing import encoded, photo, size_of
from tests.corpus.recipe import EITHER, TORN, Shelf

BMPS, PPMS = Shelf("bmp"), Shelf("ppm")


def bmp(
    dice: random.Random,
    bits: int = 24,
    *,
    head: int = 40,
    upside_down: bool = False,
    masks: tuple[int, ...] = (),
    pixels: bytes | None = None,
    compression: int = 0,
    size: tuple[int, int] | None = None,
    colours: int | None = None,
) -> bytes:
    """A Windows or OS/2 bitmap of noise; `head` is the length of its header, which says whose it is."""
    width, height = size or size_of(dice, 30, 90)
    if pixels is None:
        pixels = dice.randbytes(-(-width * bits // 32) * 4 * height)
    entries = (1 << bits if bits <= 8 else 0) if colours is None else colours
    palette = b"".join(dice.randbytes(3) + b"\0" * (head > 12) for _ in range(entries))
    if head == 12:
        described = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        signed = -height if upside_down else height
        if masks:
            compression = 3
        described = struct.pack(
            "<IiiHHIIiiII", head, width, signed, 1, bits, compression, len(pixels), 0, 0, entries, 0
        )
        described += b"".join(struct.pack("<I", mask) for mask in masks)
        described = described.ljust(max(head, len(described)), b"\0")
    offset = 14 + len(described) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + described + palette + pixels


def run_length(dice: random.Random, bits: int, *, jumps: bool = False) -> bytes:
    """RLE4 or RLE8 (Windows BITMAPINFOHEADER): runs, now and then literal pixels, a mark at each row's end."""
    width, height = size_of(dice, 30, 90)
    packed = bytearray()
    for row in range(height):
        left = width
        while left:
            count = min(left, dice.randint(1, 40))
            if count == 4:
                packed += b"\0\x04" + dice.randbytes(2 if bits == 4 else 4)
            else:
                packed += bytes([count, dice.randrange(256)])
            left -= count
        packed += b"\0\0"
        if jumps and row == height // 2:
            packed += b"\0\x02\x03\0"
    return bmp(dice, bits, pixels=bytes(packed) + b"\0\x01", compression=1 if bits == 8 else 2, size=(width, height))


for bits in (1, 4, 8, 24, 32):
    BMPS.put(f"{bits} bits", ".bmp", partial(bmp, bits=bits))
    BMPS.put(f"{bits} bits top down", ".bmp", partial(bmp, bits=bits, upside_down=True))
for bits in (1, 4, 8, 24):
    BMPS.put(f"OS/2 {bits} bits", ".bmp", partial(bmp, bits=bits, head=12))
BMPS.put("OS/2 version 2", ".bmp", partial(bmp, head=64))
BMPS.put("16 bits", ".dib.bmp", partial(bmp, bits=16))
BMPS.put("16 bits 565", ".bmp", partial(bmp, bits=16, masks=(0xF800, 0x7E0, 0x1F)))
BMPS.put("32 bits masked", ".bmp", partial(bmp, bits=32, masks=(0xFF0000, 0xFF00, 0xFF)))
BMPS.put("version 4", ".bmp", partial(bmp, bits=32, head=108, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000)))
BMPS.put("version 5", ".bmp", partial(bmp, bits=32, head=124, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000)))
BMPS.put("few colours", ".bmp", partial(bmp, bits=8, colours=7), EITHER)
BMPS.put("RLE8", ".bmp", partial(run_length, bits=8))
BMPS.put("RLE4", ".bmp", partial(run_length, bits=4))
BMPS.put("RLE8 with a jump", ".bmp", partial(run_length, bits=8, jumps=True), EITHER)
BMPS.put("masks of rubbish", ".bmp", partial(bmp, bits=32, masks=(1, 2, 3)), TORN | {"unsupported_format"})
BMPS.put("7 bits", ".bmp", partial(bmp, bits=7), TORN | {"unsupported_format"})
BMPS.put("header of 41 bytes", ".bmp", partial(bmp, head=41), EITHER | {"unsupported_format"})
for mode in ("1", "L", "P", "RGB"):
    BMPS.put(f"of a photo {mode}", ".bmp", lambda dice, mode=mode: encoded(photo(dice, mode=mode), "BMP"))


def _bits(dice: random.Random) -> bytes:
    width, height = size_of(dice)
    return b"P4\n%d %d\n" % (width, height) + dice.randbytes(-(-width // 8) * height)


def _binary(dice: random.Random, kind: bytes, most: int = 255, between: bytes = b"\n") -> bytes:
    width, height = size_of(dice)
    count = width * height * (3 if kind == b"P6" else 1)
    if most == 255:
        pixels = dice.randbytes(count)
    else:
        pixels = struct.pack(f">{count}{'B' if most < 256 else 'H'}", *(dice.randint(0, most) for _ in range(count)))
    return kind + between + b"%d %d" % (width, height) + between + b"%d\n" % most + pixels


def _deep_large(dice: random.Random) -> bytes:
    """Ten bits a channel."""
    row = struct.pack(">2100H", *(dice.randint(0, 1023) for _ in range(2100)))
    return b"P6\n700 500\n1023\n" + row * 500


def _text(dice: random.Random, kind: bytes, most: int = 255, size: tuple[int, int] | None = None) -> bytes:
    width, height = size or size_of(dice, 30, 80)
    count = width * height * (3 if kind == b"P3" else 1)
    head = b"%s\n# drawn by hand\n%d %d\n" % (kind, width, height)
    if kind == b"P1":
        return head + b" ".join(dice.choice((b"0", b"1")) for _ in range(count)) + b"\n"
    numbers = [b"%d" % number for number in range(most + 1)]
    return head + b"%d\n" % most + b" ".join(dice.choices(numbers, k=count)) + b"\n"


def _float(dice: random.Random, scale: bytes) -> bytes:
    width, height = size_of(dice)
    order = "<" if scale.startswith(b"-") else ">"
    values = struct.pack(f"{order}{width * height}f", *(dice.random() for _ in range(width * height)))
    return b"Pf\n%d %d\n%s\n" % (width, height, scale) + values


PPMS.put("P4", ".pbm", _bits)
for kind, suffix in ((b"P5", ".pgm"), (b"P6", ".ppm")):
    for most in (255, 1, 100, 254, 256, 1023, 65535):
        PPMS.put(f"{kind.decode()} up to {most}", suffix, partial(_binary, kind=kind, most=most))
    PPMS.put(f"{kind.decode()} with comments", suffix, partial(_binary, kind=kind, between=b"\n# a comment\n"))
    PPMS.put(f"{kind.decode()} up to 0", suffix, partial(_text, kind=kind, most=0), TORN)
    PPMS.put(f"{kind.decode()} up to 70000", suffix, partial(_text, kind=kind, most=70_000, size=(4, 4)), TORN)
for kind, suffix in ((b"P1", ".pbm"), (b"P2", ".pgm"), (b"P3", ".ppm")):
    PPMS.put(kind.decode(), suffix, partial(_text, kind=kind))
PPMS.put("P2 up to 7", ".pgm", partial(_text, kind=b"P2", most=7))
PPMS.put("P3 up to 1000", ".ppm", partial(_text, kind=b"P3", most=1000))
PPMS.put("P3 of 700 x 500", ".ppm", partial(_text, kind=b"P3", size=(700, 500)), at_most=1)
PPMS.put("P6 of 700 x 500 up to 1023", ".ppm", _deep_large, at_most=1)
PPMS.put("P1 of 1200 x 800", ".pbm", partial(_text, kind=b"P1", size=(1200, 800)), at_most=1)
PPMS.put("P3 with words", ".ppm", lambda dice: _text(dice, b"P3") + b"these are no numbers", EITHER)
PPMS.put("P3 of words", ".ppm", lambda dice: b"P3\n30 20\n255\n" + b"red green blue\n" * 600, TORN)
PPMS.put("P3 beyond its maximum", ".ppm", lambda dice: _text(dice, b"P3").replace(b" 1", b" 300"), TORN)
PPMS.put("no size", ".ppm", lambda dice: b"P6\n", TORN)
PPMS.put("size of words", ".ppm", lambda dice: b"P6\nwide high\n255\n" + bytes(300), TORN)
PPMS.put("size below 0", ".ppm", lambda dice: b"P6\n-40 -30\n255\n" + bytes(3600), TORN | {"too_small"})
PPMS.put("floats", ".pfm", partial(_float, scale=b"1.0"))
PPMS.put("floats, little endian", ".pfm", partial(_float, scale=b"-1.0"))
