"""PNG of every colour type, depth and order, and the chunks that come with it."""

from __future__ import annotations

import random
import struct
import zlib
from functools import cache, partial
from typing import Any

from tests.corpus.drawing import SECRET, encoded, exif, photo, profile, see_through, size_of, xmp
from tests.corpus.recipe import EITHER, ROW, TORN, Make, Shelf
from tests.support.pictures import stored

PNGS = Shelf("png")
START = b"\x89PNG\r\n\x1a\n"
END = b"\0\0\0\0IEND\xaeB`\x82"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Adam7: first column and row, steps across and down (PNG specification, third edition, section 8.2)."""


def chunk(name: bytes, content: bytes, *, crc: int | None = None) -> bytes:
    """One chunk."""
    check = zlib.crc32(name + content) if crc is None else crc
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def header(size: tuple[int, int], depth: int = 8, colour: int = 2, interlaced: int = 0) -> bytes:
    """The chunk IHDR."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlaced))


def _noise(dice: random.Random, size: tuple[int, int], bits: int, interlaced: bool) -> bytes:
    """Rows of any bytes under any filter: each of them is a picture."""
    rows = []
    for x, y, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        width, height = -(-(size[0] - x) // across), -(-(size[1] - y) // down)
        if width > 0 and height > 0:
            length = -(-width * bits // 8)
            rows += [bytes([dice.randrange(5)]) + dice.randbytes(length) for _ in range(height)]
    return b"".join(rows)


def written(
    dice: random.Random,
    depth: int = 8,
    colour: int = 2,
    *,
    interlaced: bool = False,
    before: tuple[bytes, ...] = (),
    after: tuple[bytes, ...] = (),
    piece: int = 1 << 20,
    palette: int = 256,
) -> bytes:
    """A PNG with chunks before and after its pixels, which lie in chunks of `piece` bytes."""
    size = size_of(dice, 30, 90)
    pixels = zlib.compress(_noise(dice, size, depth * _CHANNELS[colour], interlaced), 1)
    colours = chunk(b"PLTE", dice.randbytes(3 * min(palette, 1 << depth))) if colour == 3 else b""
    content = [chunk(b"IDAT", pixels[at : at + piece]) for at in range(0, len(pixels), piece)]
    return b"".join((START, header(size, depth, colour, int(interlaced)), colours, *before, *content, *after, END))


def plain(dice: random.Random, mode: str = "RGB", **options: Any) -> bytes:
    picture = see_through(dice, mode) if mode in ("RGBA", "LA") else photo(dice, mode=mode)
    return encoded(picture, "PNG", **options)


def _oriented(dice: random.Random, orientation: int) -> bytes:
    return encoded(stored(photo(dice), orientation), "PNG", exif=exif(orientation))


def _animated(dice: random.Random, **options: Any) -> bytes:
    size = size_of(dice, 30, 90)
    frames = [photo(dice, size) for _ in range(3)]
    return encoded(frames[0], "PNG", save_all=True, append_images=frames[1:], **options)


def _text(dice: random.Random, count: int) -> bytes:
    notes = tuple(chunk(b"tEXt", b"note%d\0" % number + SECRET) for number in range(count))
    return written(dice, before=notes)


def _with(*chunks: bytes, depth: int = 8, colour: int = 2) -> Make:
    """Noise behind these chunks."""
    return partial(written, depth=depth, colour=colour, before=chunks)


def _empty_piece(dice: random.Random) -> bytes:
    return plain(dice)[: -len(END)] + chunk(b"IDAT", b"") + END


def _changed(dice: random.Random, old: bytes, new: bytes, shift: int = 0) -> bytes:
    """The photo with `new` written over it, `shift` bytes behind the first `old`."""
    data = bytearray(plain(dice))
    place = data.index(old) + shift
    data[place : place + len(new)] = new
    return bytes(data)


def _paletted(dice: random.Random, transparency: int) -> bytes:
    return encoded(photo(dice).quantize(24), "PNG", transparency=transparency)


@cache
def zeros(megabytes: int) -> bytes:
    """So many zeros, deflated a thousandfold."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()


def _exploding_late(dice: random.Random) -> bytes:
    return written(dice, after=(chunk(b"zTXt", b"note\0\0" + zeros(100)),))


def _exploding(dice: random.Random, name: bytes, before: bytes) -> bytes:
    return _with(chunk(name, before + zeros(100)))(dice)


for colour, depths in _DEPTHS.items():
    for depth in depths:
        for interlaced in (False, True):
            what = f"colour {colour} depth {depth}{' interlaced' if interlaced else ''}"
            PNGS.put(what, ".png", partial(written, depth=depth, colour=colour, interlaced=interlaced))
for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
    PNGS.put(f"mode {mode}", ".png", partial(plain, mode=mode))
PNGS.put("compressed best", ".png", partial(plain, compress_level=9, optimize=True))
PNGS.put("not compressed", ".png", partial(plain, compress_level=0))
PNGS.put("palette with one clear colour", ".png", partial(_paletted, transparency=3))
PNGS.put("palette with shades", ".png", _with(chunk(b"tRNS", bytes(range(0, 256, 16))), colour=3))
PNGS.put("palette with too many shades", ".png", _with(chunk(b"tRNS", bytes(300)), colour=3), ROW | TORN)
PNGS.put("palette too short", ".png", partial(written, colour=3, palette=7), ROW | TORN)
PNGS.put("clear grey", ".png", _with(chunk(b"tRNS", b"\0\x80"), colour=0))
PNGS.put("clear grey of 16 bits", ".png", _with(chunk(b"tRNS", b"\x80\0"), colour=0, depth=16))
PNGS.put("clear colour", ".png", _with(chunk(b"tRNS", b"\0\x80\0\x80\0\x80")))
PNGS.put("animated", ".apng.png", _animated)
PNGS.put("animated with a poster", ".png", partial(_animated, default_image=True))
PNGS.put("animated in name only", ".png", _with(chunk(b"acTL", struct.pack(">II", 4_000_000_000, 0))), EITHER)
for orientation in range(1, 9):
    PNGS.put(f"orientation {orientation}", ".png", partial(_oriented, orientation=orientation), upright=True)
for kind in ("srgb", "display-p3", "prophoto"):
    PNGS.put(f"profile {kind}", ".png", partial(plain, icc_profile=profile(kind)))
PNGS.put("profile of rubbish", ".png", partial(plain, icc_profile=b"no profile" * 20))
PNGS.put("profile not compressed", ".png", _with(chunk(b"iCCP", b"name\0\0" + profile("srgb"))))
PNGS.put("profile of another space", ".png", partial(plain, mode="RGBA", icc_profile=profile("grey")))
PNGS.put("gamma", ".png", _with(chunk(b"gAMA", struct.pack(">I", 45455)), chunk(b"sRGB", b"\0")))
PNGS.put("gamma 0", ".png", _with(chunk(b"gAMA", bytes(4))))
PNGS.put("chunks of odd lengths", ".png", _with(chunk(b"pHYs", b"1"), chunk(b"cHRM", b"123")), ROW | {"unreadable"})
PNGS.put("xmp", ".png", _with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp())))
PNGS.put("compressed note", ".png", _with(chunk(b"zTXt", b"note\0\0" + zlib.compress(SECRET))))
PNGS.put("3,000 notes", ".png", partial(_text, count=3_000))
PNGS.put("pixels a byte a chunk", ".png", partial(written, piece=1, depth=1, colour=0))
PNGS.put("pixels in small chunks", ".png", partial(written, piece=50))
PNGS.put("pixels with an empty end", ".png", _empty_piece)
PNGS.put("notes behind the pixels", ".png", partial(written, after=(chunk(b"tEXt", b"note\0" + SECRET),)))
PNGS.put("bad note", ".png", _with(chunk(b"tEXt", b"note\0" + SECRET, crc=1)), EITHER)
PNGS.put("unknown chunks", ".png", _with(chunk(b"prVt", SECRET), chunk(b"abCd", bytes(100))))
PNGS.put("unknown needed chunk", ".png", _with(chunk(b"ABCD", bytes(100))), EITHER)
PNGS.put("end without pixels", ".png", lambda dice: START + header(size_of(dice)) + END, TORN)
PNGS.put("header with a wrong sum", ".png", partial(_changed, old=b"IHDR", new=b"\0\0\0\0", shift=17), TORN)
PNGS.put("depth 3", ".png", lambda dice: START + header(size_of(dice), 3, 0) + END, TORN)
PNGS.put("width 0", ".png", lambda dice: START + header((0, 40)) + END, TORN | {"too_small"})
PNGS.put("pixels of rubbish", ".png", partial(_changed, old=b"IDAT", new=b"rubbish" * 9, shift=4), TORN)
PNGS.put("bomb in a note", ".png", partial(_exploding, name=b"zTXt", before=b"note\0\0"), EITHER, at_most=3)
PNGS.put("bomb in a text", ".png", partial(_exploding, name=b"iTXt", before=b"n\0\1\0\0\0"), EITHER, at_most=3)
PNGS.put("bomb in a profile", ".png", partial(_exploding, name=b"iCCP", before=b"n\0\0"), EITHER, at_most=3)
PNGS.put(
    "bomb behind the pixels",
    ".png",
    lambda dice: written(dice, after=(chunk(b"zTXt", b"n\0\0" + zeros(100)),)),
    EITHER,
    at_most=3,
)
