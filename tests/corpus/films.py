"""GIF, WebP and AVIF: still, moving, transparent."""

from __future__ import annotations

import random
import struct
from functools import partial
from typing import Any

from PIL import Image

from tests.corpus.drawing import SECRET, art, encoded, exif, photo, profile, see_through, size_of, xmp
from tests.corpus.recipe import EITHER, ROW, TORN, Shelf
from tests.support.pictures import stored

GIFS, WEBPS, AVIFS = Shelf("gif"), Shelf("webp"), Shelf("avif")


def gif(dice: random.Random, colours: int = 32, **options: Any) -> bytes:
    return encoded(photo(dice).quantize(colours), "GIF", **options)


def _flat(dice: random.Random) -> Image.Image:
    return Image.new("P", size_of(dice, 30, 120), dice.randrange(256))


def _moving_gif(dice: random.Random, count: int = 4, **options: Any) -> bytes:
    size = size_of(dice, 30, 100)
    first = art(dice, size)
    frames = []
    for _ in range(count):
        frame = first.copy()
        frame.paste(photo(dice, (10, 10)), (dice.randrange(size[0] - 10), dice.randrange(size[1] - 10)))
        frames.append(frame)
    return encoded(first, "GIF", save_all=True, append_images=frames, **options)


def by_hand(screen: tuple[int, int], frame: tuple[int, int, int, int], picture: Image.Image | None = None) -> bytes:
    """A logical screen with one frame somewhere on it (GIF89a specification): `frame` is left, top, width, height.

    `picture`, of the frame's size, gives the pixels; without one they are of one colour.
    """
    left, top, width, height = frame
    whole = encoded(picture or Image.new("P", (width, height), 1), "GIF")
    colours = 3 << ((whole[10] & 7) + 1)
    descriptor = whole.index(b"\x2c" + struct.pack("<4H", 0, 0, width, height), 13 + colours)
    rest = whole[descriptor + 9 :]
    return (
        whole[:6]
        + struct.pack("<2H", *screen)
        + whole[10:descriptor]
        + struct.pack("<B4H", 0x2C, left, top, width, height)
        + rest
    )


def _without_end(dice: random.Random) -> bytes:
    return gif(dice)[:-1]


def _old(dice: random.Random) -> bytes:
    return b"GIF87a" + gif(dice)[6:]


def _flat_frame(dice: random.Random) -> Image.Image:
    return photo(dice, (30, 20)).quantize(8)


def _frame_of_nothing(dice: random.Random) -> bytes:
    data = bytearray(by_hand((90, 60), (0, 0, 30, 20), _flat_frame(dice)))
    place = data.index(struct.pack("<B4H", 0x2C, 0, 0, 30, 20))
    data[place + 5 : place + 9] = bytes(4)
    return bytes(data)


for colours in (2, 3, 16, 255):
    GIFS.put(f"{colours} colours", ".gif", partial(gif, colours=colours))
GIFS.put("interlaced", ".gif", partial(gif, interlace=1))
GIFS.put("not interlaced", ".gif", partial(gif, interlace=0))
GIFS.put("transparent", ".gif", partial(gif, transparency=2))
GIFS.put("grey", ".gif", lambda dice: encoded(photo(dice, mode="L"), "GIF"))
GIFS.put("comment", ".gif", partial(gif, comment=SECRET))
GIFS.put("one colour", ".gif", lambda dice: encoded(_flat(dice), "GIF"))
GIFS.put("87a", ".gif", _old)
for disposal in range(4):
    GIFS.put(f"moving, disposal {disposal}", ".gif", partial(_moving_gif, disposal=disposal))
GIFS.put("moving, 60 frames", ".gif", partial(_moving_gif, count=60, loop=0, duration=20))
GIFS.put("a frame inside the screen", ".gif", lambda dice: by_hand((90, 60), (20, 10, 30, 20), _flat_frame(dice)))
GIFS.put("a frame over the edge", ".gif", lambda dice: by_hand((90, 60), (70, 50, 30, 20), _flat_frame(dice)), EITHER)
GIFS.put("a frame beside the screen", ".gif", lambda dice: by_hand((90, 60), (500, 500, 30, 20)), EITHER)
GIFS.put("screen 0 x 0", ".gif", lambda dice: by_hand((0, 0), (0, 0, 30, 20)), EITHER | {"too_small"})
GIFS.put("a frame of 0 x 0", ".gif", _frame_of_nothing, TORN)
GIFS.put("no frame", ".gif", lambda dice: gif(dice)[:13] + bytes(96) + b"\x3b", TORN)
GIFS.put("no end mark", ".gif", _without_end, EITHER)


def webp(dice: random.Random, mode: str = "RGB", **options: Any) -> bytes:
    picture = see_through(dice) if mode == "RGBA" else photo(dice, mode=mode)
    return encoded(picture, "WEBP", method=0, **options)


def _oriented(dice: random.Random, orientation: int, name: str, **options: Any) -> bytes:
    return encoded(stored(photo(dice), orientation), name, exif=exif(orientation), **options)


def _moving(dice: random.Random, name: str, mode: str = "RGB", **options: Any) -> bytes:
    size = size_of(dice, 40, 80)
    frames = [photo(dice, size, mode) for _ in range(3)]
    return encoded(frames[0], name, save_all=True, append_images=frames[1:], duration=50, **options)


WEBPS.put("lossy", ".webp", webp)
WEBPS.put("lossy, quality 0", ".webp", partial(webp, quality=0))
WEBPS.put("lossy with alpha", ".webp", partial(webp, mode="RGBA"))
WEBPS.put("lossless", ".webp", partial(webp, lossless=True))
WEBPS.put("lossless with alpha", ".webp", partial(webp, mode="RGBA", lossless=True))
WEBPS.put("lossless, exact", ".webp", partial(webp, mode="RGBA", lossless=True, exact=True))
WEBPS.put("grey", ".webp", partial(webp, mode="L"))
WEBPS.put("moving", ".webp", partial(_moving, name="WEBP", method=0))
WEBPS.put("moving with alpha", ".webp", partial(_moving, name="WEBP", mode="RGBA", method=0, allow_mixed=True))
WEBPS.put("xmp", ".webp", partial(webp, xmp=xmp()))
WEBPS.put("exif of rubbish", ".webp", partial(webp, exif=b"no such thing"))
for kind in ("srgb", "display-p3", "prophoto"):
    WEBPS.put(f"profile {kind}", ".webp", partial(webp, icc_profile=profile(kind)))
WEBPS.put("profile of rubbish", ".webp", partial(webp, icc_profile=b"no profile" * 20))
for orientation in range(1, 9):
    make = partial(_oriented, orientation=orientation, name="WEBP", method=0)
    WEBPS.put(f"orientation {orientation}", ".webp", make, upright=True)


def avif(dice: random.Random, mode: str = "RGB", **options: Any) -> bytes:
    picture = see_through(dice) if mode == "RGBA" else photo(dice, mode=mode)
    return encoded(picture, "AVIF", speed=10, max_threads=1, **options)


def _moving_avif(dice: random.Random) -> bytes:
    """Its three headers tell when it was written (ISO 14496-12, two times of 4 or 8 bytes): taken out."""
    data = bytearray(_moving(dice, name="AVIF", speed=10, max_threads=1))
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        at = data.index(box) + 4
        length = 16 if data[at] == 1 else 8
        data[at + 4 : at + 4 + length] = bytes(length)
    return bytes(data)


for mode in ("RGB", "RGBA", "L"):
    AVIFS.put(mode, ".avif", partial(avif, mode=mode))
for subsampling in ("4:4:4", "4:2:2", "4:0:0"):
    AVIFS.put(subsampling, ".avif", partial(avif, subsampling=subsampling))
AVIFS.put("quality 5", ".avif", partial(avif, quality=5))
AVIFS.put("moving", ".avif", _moving_avif)
AVIFS.put("xmp", ".avif", partial(avif, xmp=xmp()))
AVIFS.put("profile", ".avif", partial(avif, icc_profile=profile("display-p3")))
AVIFS.put("profile of rubbish", ".avif", partial(avif, icc_profile=b"no profile" * 20), ROW | TORN)
for orientation in (1, 3, 6, 8):
    make = partial(_oriented, orientation=orientation, name="AVIF", speed=10, max_threads=1)
    AVIFS.put(f"orientation {orientation}", ".avif", make, upright=True)
