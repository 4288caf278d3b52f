"""TIFF as scanners, fax machines and science write it."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Mapping
from functools import partial
from typing import Any

from PIL import Image

from tests.corpus.drawing import SECRET, encoded, exif, photo, profile, see_through, size_of
from tests.corpus.recipe import EITHER, TOO_MANY, TORN, Shelf
from tests.support.pictures import stored

TIFFS = Shelf("tiff")
_SHORT, _LONG, _ASCII = 3, 4, 2
_FORMATS = {_SHORT: "H", _LONG: "I", _ASCII: "s"}


def directory(
    tags: Mapping[int, tuple[int, tuple[int, ...]]], pixels: bytes, order: str = "<", following: int = 0
) -> bytes:
    """A TIFF 6.0 file: header, pixels from byte 8 on, then one directory. `tags` are tag: (type, values)."""
    at = 8 + len(pixels) + len(pixels) % 2
    room = at + 2 + 12 * len(tags) + 4
    entries, extra = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        value = struct.pack(f"{order}{len(values)}{_FORMATS[kind]}", *values)
        if len(value) > 4:
            value, extra = struct.pack(f"{order}I", room + len(extra)), extra + value
        entries += struct.pack(f"{order}HHI", tag, kind, len(values)) + value.ljust(4, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, at)
    count = struct.pack(f"{order}H", len(tags))
    return head + pixels.ljust(at - 8, b"\0") + count + entries + struct.pack(f"{order}I", following) + extra


def by_hand(
    dice: random.Random,
    order: str = "<",
    channels: int = 3,
    bits: int = 8,
    photometric: int = 2,
    *,
    following: int = 0,
    **more: tuple[int, tuple[int, ...]],
) -> bytes:
    """Noise in one strip; `more` are tags as t256=(type, values)."""
    width, height = size_of(dice, 30, 90)
    pixels = dice.randbytes(-(-width * channels * bits // 8) * height)
    tags = {
        256: (_LONG, (width,)),
        257: (_LONG, (height,)),
        258: (_SHORT, (bits,) * channels),
        259: (_SHORT, (1,)),
        262: (_SHORT, (photometric,)),
        273: (_LONG, (8,)),
        277: (_SHORT, (channels,)),
        278: (_LONG, (height,)),
        279: (_LONG, (len(pixels),)),
    }
    tags |= {int(name[1:]): value for name, value in more.items()}
    return directory(tags, pixels, order, following)


def _planes(dice: random.Random, order: str) -> bytes:
    width, height = size_of(dice, 30, 90)
    plane = width * height
    tags = {
        256: (_LONG, (width,)),
        257: (_LONG, (height,)),
        258: (_SHORT, (8, 8, 8)),
        259: (_SHORT, (1,)),
        262: (_SHORT, (2,)),
        273: (_LONG, (8, 8 + plane, 8 + 2 * plane)),
        277: (_SHORT, (3,)),
        278: (_LONG, (height,)),
        279: (_LONG, (plane,) * 3),
        284: (_SHORT, (2,)),
    }
    return directory(tags, dice.randbytes(3 * plane), order)


def _tiles(dice: random.Random, compressed: bool) -> bytes:
    width, height = dice.randint(70, 120), dice.randint(40, 60)
    count = -(-width // 32) * -(-height // 32)
    tiles = [dice.randbytes(32 * 32 * 3) for _ in range(count)]
    if compressed:
        tiles = [zlib.compress(tile) for tile in tiles]
    places = [8 + sum(map(len, tiles[:number])) for number in range(count)]
    tags = {
        256: (_LONG, (width,)),
        257: (_LONG, (height,)),
        258: (_SHORT, (8, 8, 8)),
        259: (_SHORT, (8 if compressed else 1,)),
        262: (_SHORT, (2,)),
        277: (_SHORT, (3,)),
        322: (_LONG, (32,)),
        323: (_LONG, (32,)),
        324: (_LONG, tuple(places)),
        325: (_LONG, tuple(map(len, tiles))),
    }
    return directory(tags, b"".join(tiles))


def scan(dice: random.Random, mode: str = "RGB", **options: Any) -> bytes:
    picture = see_through(dice, mode) if mode in ("RGBA", "LA") else photo(dice, mode=mode)
    return encoded(picture, "TIFF", **options)


def _deep(dice: random.Random, mode: str, **options: Any) -> bytes:
    size = size_of(dice)
    count = size[0] * size[1]
    raw = {
        "I;16": lambda: dice.randbytes(2 * count),
        "I": lambda: struct.pack(f"<{count}i", *(dice.randrange(-9999, 9999) for _ in range(count))),
        "F": lambda: struct.pack(f"<{count}f", *(dice.uniform(-1, 1) for _ in range(count))),
    }[mode]()
    return encoded(Image.frombytes(mode, size, raw), "TIFF", **options)


def _not_finite(dice: random.Random, value: float) -> bytes:
    picture = photo(dice, mode="F")
    picture.putpixel((0, 0), value)
    return encoded(picture, "TIFF")


def _lab(dice: random.Random) -> bytes:
    size = size_of(dice)
    return encoded(Image.frombytes("LAB", size, dice.randbytes(3 * size[0] * size[1])), "TIFF")


def _pages(dice: random.Random, count: int, **options: Any) -> bytes:
    pages = [photo(dice) for _ in range(count)]
    return encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:], **options)


def _big(dice: random.Random) -> bytes:
    return encoded(photo(dice), "TIFF", big_tiff=True)


def _oriented(dice: random.Random, orientation: int) -> bytes:
    return encoded(stored(photo(dice), orientation), "TIFF", exif=exif(orientation))


def _giant_strip(dice: random.Random, claims: int) -> bytes:
    return by_hand(dice, t279=(_LONG, (claims,)), t256=(_LONG, (8000,)), t257=(_LONG, (8000,)), t278=(_LONG, (8000,)))


def _strip_far_away(dice: random.Random) -> bytes:
    return by_hand(dice, t273=(_LONG, (4_000_000_000,)))


def _absurd_count(dice: random.Random, tag: int) -> bytes:
    """A tag that claims four thousand million values."""
    data = bytearray(by_hand(dice))
    at = struct.unpack_from("<I", data, 4)[0]
    for entry in range(at + 2, at + 2 + 12 * 9, 12):
        if struct.unpack_from("<H", data, entry)[0] == tag:
            struct.pack_into("<I", data, entry + 4, 0xFFFFFFFF)
    return bytes(data)


def _no_end_of_tags(dice: random.Random) -> bytes:
    data = bytearray(by_hand(dice))
    struct.pack_into("<H", data, struct.unpack_from("<I", data, 4)[0], 65535)
    return bytes(data)


def _chain(dice: random.Random, length: int, *, back: bool = False) -> bytes:
    """One picture in so many directories; the last leads `back` to the first, or nowhere."""
    data = by_hand(dice)
    first = struct.unpack_from("<I", data, 4)[0]
    entries = data[first : first + 2 + 12 * 9]
    places = [first, *(len(data) + number * (len(entries) + 4) for number in range(length - 1))]
    follows = [*places[1:], first if back else 0]
    head = bytearray(data)
    struct.pack_into("<I", head, first + len(entries), follows[0])
    return bytes(head) + b"".join(entries + struct.pack("<I", following) for following in follows[1:])


for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma"):
    TIFFS.put(f"RGB {compression}", ".tif", partial(scan, compression=compression))
for compression in ("group3", "group4", "tiff_ccitt", "packbits", "raw", "tiff_lzw"):
    TIFFS.put(f"black and white {compression}", ".tiff", partial(scan, mode="1", compression=compression))
for mode in ("L", "LA", "P", "RGBA", "CMYK"):
    TIFFS.put(mode, ".tif", partial(scan, mode=mode))
    TIFFS.put(f"{mode} deflate", ".tif", partial(scan, mode=mode, compression="tiff_adobe_deflate"))
for mode in ("I;16", "I", "F"):
    TIFFS.put(mode, ".tif", partial(_deep, mode=mode))
TIFFS.put("I;16 lzw", ".tif", partial(_deep, mode="I;16", compression="tiff_lzw"))
TIFFS.put("F deflate", ".tif", partial(_deep, mode="F", compression="tiff_adobe_deflate"))
TIFFS.put("F with NaN", ".tif", partial(_not_finite, value=float("nan")), EITHER)
TIFFS.put("F with infinity", ".tif", partial(_not_finite, value=float("inf")), EITHER)
TIFFS.put("LAB", ".tif", _lab)
for count in (2, 12):
    TIFFS.put(f"{count} pages", ".tif", partial(_pages, count=count))
TIFFS.put("3 pages of fax", ".tif", partial(_pages, count=3, compression="tiff_lzw"))
TIFFS.put("BigTIFF", ".tif", _big)
for orientation in range(1, 9):
    TIFFS.put(f"orientation {orientation}", ".tif", partial(_oriented, orientation=orientation), upright=True)
for kind in ("srgb", "display-p3"):
    TIFFS.put(f"profile {kind}", ".tif", partial(scan, icc_profile=profile(kind)))
TIFFS.put("profile of rubbish", ".tif", partial(scan, icc_profile=b"no profile" * 20))
TIFFS.put("description", ".tif", partial(scan, description=SECRET.decode(), artist=SECRET.decode()))
for order, name in (("<", "little"), (">", "big")):
    TIFFS.put(f"{name} endian", ".tif", partial(by_hand, order=order))
    TIFFS.put(f"{name} endian grey", ".tif", partial(by_hand, order=order, channels=1, photometric=1))
    TIFFS.put(f"{name} endian white is 0", ".tif", partial(by_hand, order=order, channels=1, photometric=0))
    TIFFS.put(f"{name} endian 16 bits", ".tif", partial(by_hand, order=order, channels=1, bits=16, photometric=1))
    TIFFS.put(f"{name} endian 4 bits", ".tif", partial(by_hand, order=order, channels=1, bits=4, photometric=1))
    TIFFS.put(f"{name} endian in planes", ".tif", partial(_planes, order=order))
TIFFS.put("RGB of 16 bits", ".tif", partial(by_hand, bits=16))
TIFFS.put("RGB with something extra", ".tif", partial(by_hand, channels=4, t338=(_SHORT, (0,))))
TIFFS.put("RGB with premultiplied alpha", ".tif", partial(by_hand, channels=4, t338=(_SHORT, (1,))))
TIFFS.put("tiles", ".tif", partial(_tiles, compressed=False))
TIFFS.put("tiles deflate", ".tif", partial(_tiles, compressed=True))
TIFFS.put("resolution 0", ".tif", partial(by_hand, t296=(_SHORT, (9,))))
TIFFS.put("next directory is the first", ".tif", partial(_chain, length=1, back=True))
TIFFS.put("third directory leads to the first", ".tif", partial(_chain, length=3, back=True))
TIFFS.put("2,000 directories", ".tif", partial(_chain, length=2000), at_most=3)
TIFFS.put("next directory in the pixels", ".tif", partial(by_hand, following=8), EITHER)
TIFFS.put("next directory far away", ".tif", partial(by_hand, following=0xFFFFFFF0), EITHER)
TIFFS.put("strip of 4 GB claimed", ".tif", partial(_giant_strip, claims=0xFFFFFFFF), TORN)
TIFFS.put("strip of 192 MB claimed", ".tif", partial(_giant_strip, claims=8000 * 8000 * 3), TORN)
TIFFS.put("strip far away", ".tif", _strip_far_away, TORN)
for tag in (258, 273, 279):
    TIFFS.put(f"absurd count of tag {tag}", ".tif", partial(_absurd_count, tag=tag), EITHER)
TIFFS.put("65,535 tags claimed", ".tif", _no_end_of_tags, EITHER)
TIFFS.put("no size", ".tif", partial(by_hand, t256=(_LONG, (0,))), TORN | {"too_small"})
TIFFS.put("unknown compression", ".tif", partial(by_hand, t259=(_SHORT, (12345,))), TORN | {"unsupported_format"})
TIFFS.put("unknown colours", ".tif", partial(by_hand, t262=(_SHORT, (999,))), TORN | {"unsupported_format"})
TIFFS.put("70,000 x 70,000", ".tif", partial(by_hand, t256=(_LONG, (70_000,)), t257=(_LONG, (70_000,))), TOO_MANY)
