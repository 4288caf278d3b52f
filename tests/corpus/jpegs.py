"""JPEG as cameras, phones and editors write it."""

from __future__ import annotations

import random
import re
import struct
from functools import partial
from typing import Any

from tests.corpus.drawing import SECRET, encoded, exif, photo, profile, size_of, xmp
from tests.corpus.recipe import ANY, EITHER, TORN, Shelf
from tests.support.pictures import stored

JPEGS = Shelf("jpeg")


def plain(dice: random.Random, mode: str = "RGB", **options: Any) -> bytes:
    return encoded(photo(dice, mode=mode), "JPEG", **options)


def segment(marker: int, content: bytes) -> bytes:
    """One marker segment."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def after_start(data: bytes, *segments: bytes) -> bytes:
    """`data` with segments right behind its first marker."""
    return data[:2] + b"".join(segments) + data[2:]


def _oriented(dice: random.Random, orientation: int) -> bytes:
    return encoded(stored(photo(dice), orientation), "JPEG", exif=exif(orientation), quality=92)


def _large(dice: random.Random, **options: Any) -> bytes:
    return encoded(photo(dice, (4000, 3000)), "JPEG", **options)


def _with_exif(dice: random.Random, notes: bytes) -> bytes:
    return after_start(plain(dice), segment(0xE1, b"Exif\0\0" + notes))


def _thumbnail(dice: random.Random) -> bytes:
    small = encoded(photo(dice, (60, 40)), "JPEG")
    # IFD0 with an orientation, IFD1 with the thumbnail: TIFF 6.0 as EXIF 2.32 uses it.
    first = struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, 1, 0, 26)
    second = struct.pack("<HHHIIHHIII", 2, 0x0201, 4, 1, 56, 0x0202, 4, 1, len(small), 0)
    return _with_exif(dice, b"II*\0" + struct.pack("<I", 8) + first + second + small)


def _looping_exif(dice: random.Random) -> bytes:
    return _with_exif(dice, b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x8769, 4, 1, 8, 8))


def _huge_exif(dice: random.Random) -> bytes:
    notes = exif(1)
    notes[0x927C] = dice.randbytes(60_000)
    return plain(dice, exif=notes)


def _many_notes(dice: random.Random) -> bytes:
    notes = [segment(0xE1 + number % 12, SECRET + dice.randbytes(3_000)) for number in range(80)]
    return after_start(plain(dice), *notes)


def _shuffled_profile(dice: random.Random) -> bytes:
    content = profile("srgb")
    half = len(content) // 2
    pieces = [b"ICC_PROFILE\0\x02\x02" + content[half:], b"ICC_PROFILE\0\x01\x02" + content[:half]]
    return after_start(plain(dice), *(segment(0xE2, piece) for piece in pieces))


def _without_jfif(dice: random.Random) -> bytes:
    data = plain(dice)
    return data[:2] + data[2 + 2 + int.from_bytes(data[4:6], "big") :]


def _filled(dice: random.Random) -> bytes:
    """Markers may be preceded by any number of FF."""
    data = plain(dice)
    return data.replace(b"\xff\xdb", b"\xff" * dice.randint(2, 40) + b"\xdb", 1)


def _mpo(dice: random.Random) -> bytes:
    size = size_of(dice)
    return encoded(photo(dice, size), "MPO", save_all=True, append_images=[photo(dice, size)])


def _frame_header(dice: random.Random, old: bytes, new: bytes, at: int) -> bytes:
    """A baseline picture whose frame header says something else: `new` at `at` bytes behind its marker."""
    data = bytearray(plain(dice))
    place = data.index(old) + at
    data[place : place + len(new)] = new
    return bytes(data)


def _photoshop(dice: random.Random) -> bytes:
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(SECRET)) + SECRET
    return after_start(plain(dice), segment(0xED, b"Photoshop 3.0\0" + resource))


def _adobe_says(dice: random.Random, transform: int) -> bytes:
    return after_start(_without_jfif(dice), segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform])))


def _restarts_wrong(dice: random.Random) -> bytes:
    data = plain(dice, restart_marker_blocks=4)
    return re.sub(rb"\xff[\xd0-\xd7]", b"\xff\xd3", data)


for mode in ("RGB", "L", "CMYK"):
    for options in ({}, {"progressive": True}, {"optimize": True}):
        JPEGS.put(f"{mode} {' '.join(options)}", ".jpg", partial(plain, mode=mode, **options))
for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
    JPEGS.put(subsampling, ".jpeg", partial(plain, subsampling=subsampling))
for quality in (1, 30, 100):
    JPEGS.put(f"quality {quality}", ".jpg", partial(plain, quality=quality))
JPEGS.put("restart markers by block", ".jpg", partial(plain, restart_marker_blocks=3))
JPEGS.put("restart markers by row", ".jpg", partial(plain, restart_marker_rows=1, progressive=True))
JPEGS.put("RGB without YCC", ".jpg", partial(plain, keep_rgb=True))
JPEGS.put("comment", ".jpg", partial(plain, comment=SECRET))
JPEGS.put("12 megapixels", ".jpg", _large, at_most=4)
JPEGS.put("12 megapixels progressive", ".jpg", partial(_large, progressive=True), at_most=2)
for orientation in range(1, 9):
    JPEGS.put(f"orientation {orientation}", ".jpg", partial(_oriented, orientation=orientation), upright=True)
for orientation in (0, 9, 65535):
    JPEGS.put(f"orientation {orientation}", ".jpg", partial(_oriented, orientation=orientation), upright=True)
JPEGS.put("xmp", ".jpg", partial(plain, xmp=xmp()))
for kind in ("srgb", "display-p3", "prophoto"):
    JPEGS.put(f"profile {kind}", ".jpg", partial(plain, icc_profile=profile(kind)))
JPEGS.put("profile broken", ".jpg", partial(plain, icc_profile=profile("srgb")[:150]))
JPEGS.put("profile of rubbish", ".jpg", partial(plain, icc_profile=b"no profile" * 20))
JPEGS.put("profile of another space", ".jpg", partial(plain, icc_profile=profile("grey")))
JPEGS.put("profile of another space in grey", ".jpg", partial(plain, mode="L", icc_profile=profile("srgb")))
JPEGS.put("profile of another space in CMYK", ".jpg", partial(plain, mode="CMYK", icc_profile=profile("display-p3")))
JPEGS.put("profile grey", ".jpg", partial(plain, mode="L", icc_profile=profile("grey")))
JPEGS.put("profile shuffled", ".jpg", _shuffled_profile)
JPEGS.put("huge exif", ".jpg", _huge_exif)
JPEGS.put("exif thumbnail", ".jpg", _thumbnail)
JPEGS.put("exif loop", ".jpg", _looping_exif)
JPEGS.put("exif torn", ".jpg", partial(_with_exif, notes=b"II*\0\x08\0\0\0\xff\xff" + SECRET))
JPEGS.put("exif of rubbish", ".jpg", partial(_with_exif, notes=b"no such thing"))
JPEGS.put("80 segments of notes", ".jpg", _many_notes)
JPEGS.put("photoshop", ".jpg", _photoshop)
JPEGS.put("no JFIF", ".jpg", _without_jfif)
JPEGS.put("Adobe YCC", ".jpg", partial(_adobe_says, transform=1))
JPEGS.put("Adobe RGB", ".jpg", partial(_adobe_says, transform=0))
JPEGS.put("fill bytes", ".jpg", _filled)
JPEGS.put("several pictures", ".mpo.jpg", _mpo)
JPEGS.put("restart markers wrong", ".jpg", _restarts_wrong, EITHER)
JPEGS.put("height 0", ".jpg", partial(_frame_header, old=b"\xff\xc0", new=b"\0\0", at=5), TORN | {"too_small"})
JPEGS.put("width 0", ".jpg", partial(_frame_header, old=b"\xff\xc0", new=b"\0\0", at=7), TORN | {"too_small"})
JPEGS.put("12 bits", ".jpg", partial(_frame_header, old=b"\xff\xc0", new=b"\x0c", at=4), TORN | {"unsupported_format"})
JPEGS.put("lossless", ".jpg", partial(_frame_header, old=b"\xff\xc0", new=b"\xc3", at=1), ANY)
JPEGS.put("arithmetic", ".jpg", partial(_frame_header, old=b"\xff\xc0", new=b"\xc9", at=1), ANY)
JPEGS.put("no tables", ".jpg", partial(_frame_header, old=b"\xff\xdb", new=b"\xfe", at=1), TORN)
