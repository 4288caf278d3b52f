"""Whole files that something happened to: on a wire, on a disk, in a careless program."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from tests.corpus.films import avif, gif, webp
from tests.corpus.jpegs import plain as jpeg
from tests.corpus.pngs import plain as png
from tests.corpus.rasters import bmp
from tests.corpus.recipe import ANY, EITHER, FOREIGN, ROW, TORN, Make, Recipe, Shelf
from tests.corpus.tiffs import scan as tiff

DAMAGES = Shelf("damage")


def _ppm(dice: random.Random) -> bytes:
    return b"P6\n60 40\n255\n" + dice.randbytes(60 * 40 * 3)


SINGLE: dict[str, tuple[Make, str]] = {
    "JPEG": (jpeg, ".jpg"),
    "progressive JPEG": (partial(jpeg, progressive=True), ".jpg"),
    "CMYK JPEG": (partial(jpeg, mode="CMYK"), ".jpg"),
    "PNG": (png, ".png"),
    "PNG with alpha": (partial(png, mode="RGBA"), ".png"),
    "GIF": (gif, ".gif"),
    "lossy WebP": (webp, ".webp"),
    "lossless WebP": (partial(webp, lossless=True), ".webp"),
    "TIFF": (tiff, ".tif"),
    "deflated TIFF": (partial(tiff, compression="tiff_adobe_deflate"), ".tif"),
    "BMP": (bmp, ".bmp"),
    "PPM": (_ppm, ".ppm"),
    "AVIF": (avif, ".avif"),
}
"""One still picture a file, spread over all of it."""


def _within(dice: random.Random, data: bytes, first: float, last: float) -> int:
    return dice.randint(int(len(data) * first), int(len(data) * last))


def _cut(dice: random.Random, make: Make, first: float, last: float) -> bytes:
    data = make(dice)
    return data[: max(14, _within(dice, data, first, last))]


def _cut_head(dice: random.Random, make: Make) -> bytes:
    return make(dice)[: dice.randint(1, 30)]


def _cut_tail(dice: random.Random, make: Make) -> bytes:
    return make(dice)[: -dice.randint(1, 12)]


def _flipped(dice: random.Random, make: Make, count: int, reach: int | None) -> bytes:
    data = bytearray(make(dice))
    for _ in range(count):
        data[dice.randrange(min(reach or len(data), len(data)))] ^= 1 << dice.randrange(8)
    return bytes(data)


def _hole(dice: random.Random, make: Make) -> bytes:
    data = bytearray(make(dice))
    start = _within(dice, data, 0.3, 0.6)
    end = min(len(data) - 20, start + len(data) // 5)
    data[start:end] = bytes(end - start)
    return bytes(data)


def _zeros_after(dice: random.Random, make: Make) -> bytes:
    """A file that was given its length first, and of which the rest never came."""
    data = make(dice)
    keep = _within(dice, data, 0.2, 0.7)
    return data[:keep] + bytes(len(data) - keep)


def _appended(dice: random.Random, make: Make) -> bytes:
    return make(dice) + dice.choice((b"\0" * 512, b"<!-- appended -->\n", dice.randbytes(2000), b"\r\n"))


def _twice(dice: random.Random, make: Make) -> bytes:
    return make(dice) + make(dice)


def _spliced(dice: random.Random, head: Make, tail: Make) -> bytes:
    first, second = head(dice), tail(dice)
    return first[: _within(dice, first, 0.3, 0.7)] + second[_within(dice, second, 0.4, 0.8) :]


def _missing(dice: random.Random, make: Make) -> bytes:
    data = make(dice)
    start = _within(dice, data, 0.3, 0.6)
    return data[:start] + data[start + dice.randint(1, len(data) // 5) :]


def _lines(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


def _unix_lines(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n")


def _as_utf8(data: bytes) -> bytes:
    return data.decode("utf-8", "replace").encode()


def _as_latin(data: bytes) -> bytes:
    return data.decode("latin-1").encode()


def _seven_bits(data: bytes) -> bytes:
    return bytes(byte & 0x7F for byte in data)


def _marked(data: bytes) -> bytes:
    return b"\xef\xbb\xbf" + data


def _blank_before(data: bytes) -> bytes:
    return b"\r\n\r\n" + data


def _header_before(data: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n" + data


def _end_twice(data: bytes) -> bytes:
    return data + b"\xff\xd9"


def _changed(dice: random.Random, make: Make, change: Callable[[bytes], bytes]) -> bytes:
    return change(make(dice))


for name, (make, suffix) in SINGLE.items():
    for first in (0.1, 0.3, 0.5, 0.7):
        cut = partial(_cut, make=make, first=first, last=first + 0.2)
        DAMAGES.put(f"{name} cut after {first:.0%}", suffix, cut, TORN)
    DAMAGES.put(f"{name} cut in its head", suffix, partial(_cut_head, make=make), TORN | FOREIGN)
    DAMAGES.put(f"{name} without its last bytes", suffix, partial(_cut_tail, make=make), EITHER)
    DAMAGES.put(f"{name} one bit flipped", suffix, partial(_flipped, make=make, count=1, reach=None), ANY)
    DAMAGES.put(f"{name} 30 bits flipped", suffix, partial(_flipped, make=make, count=30, reach=None), ANY)
    DAMAGES.put(f"{name} bits flipped in its head", suffix, partial(_flipped, make=make, count=3, reach=60), ANY)
    holed = TORN if name.startswith("PNG") else EITHER  # a PNG has checksums
    DAMAGES.put(f"{name} with a hole", suffix, partial(_hole, make=make), holed)
    DAMAGES.put(f"{name} with something missing", suffix, partial(_missing, make=make), EITHER)
    DAMAGES.put(f"{name} and something after it", suffix, partial(_appended, make=make), ROW)
    DAMAGES.put(f"{name} and another after it", suffix, partial(_twice, make=make), ROW)
for name in ("JPEG", "progressive JPEG", "PNG", "GIF", "lossless WebP", "deflated TIFF"):
    make, suffix = SINGLE[name]
    outcomes = EITHER if name in {"GIF", "lossless WebP"} else TORN
    DAMAGES.put(f"{name} zeros where the rest was", suffix, partial(_zeros_after, make=make), outcomes)
for first, second in (("JPEG", "PNG"), ("PNG", "JPEG"), ("JPEG", "JPEG"), ("PNG", "PNG"), ("GIF", "lossy WebP")):
    splice = partial(_spliced, head=SINGLE[first][0], tail=SINGLE[second][0])
    outcomes = TORN if first == "PNG" else EITHER
    DAMAGES.put(f"head of a {first}, tail of a {second}", SINGLE[first][1], splice, outcomes)
for change, what in (
    (_lines, "lines of Windows"),
    (_unix_lines, "lines of Unix"),
    (_as_utf8, "read as UTF-8"),
    (_as_latin, "read as Latin-1"),
    (_seven_bits, "7 bits"),
    (_marked, "byte order mark"),
    (_blank_before, "blank lines before"),
    (_header_before, "a response's header before"),
):
    DAMAGES.put(f"PNG, {what}", ".png", partial(_changed, make=png, change=change), TORN | FOREIGN)
for change, what in (
    (_as_utf8, "read as UTF-8"),
    (_as_latin, "read as Latin-1"),
    (_marked, "byte order mark"),
    (_blank_before, "blank lines before"),
):
    DAMAGES.put(f"JPEG, {what}", ".jpg", partial(_changed, make=jpeg, change=change), TORN | FOREIGN)
DAMAGES.put("JPEG, its end twice", ".jpg", partial(_changed, make=jpeg, change=_end_twice), ROW)


def misnamed(whole: list[Recipe]) -> Shelf:
    """Right files under wrong names."""
    shelf = Shelf("misnamed")
    suffixes = (".jpg", ".png", ".gif", ".webp", ".tif", ".bmp", ".avif", ".ppm", ".JPG", ".jpeg.png", ".txt", "", ".")
    for number, recipe in enumerate(whole):
        suffix = suffixes[number % len(suffixes)]
        if number % 3 == 0 and suffix != recipe.suffix:
            shelf.put(f"{recipe.what} as {suffix or 'nothing'}", suffix, recipe.make, ROW, upright=recipe.upright)
    return shelf
