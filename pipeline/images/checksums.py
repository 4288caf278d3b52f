"""The checksums of a PNG's pixels, which Pillow leaves aside: it takes rubbish for pixels as long as it inflates."""

from __future__ import annotations

import struct
import zlib

from pipeline.core.errors import ItemError

_FIRST_FRAME = frozenset({b"IDAT"})
_ALL_FRAMES = frozenset({b"IDAT", b"fdAT"})


def check_sums(source: bytes, *, all_frames: bool) -> None:
    """Hold the pixels of a PNG against their checksums (PNG third edition, 5.5). Nothing is decoded.

    A chunk that the file ends in is left to the decoder. Raises ItemError unreadable.
    """
    view, place = memoryview(source), 8
    pixels = _ALL_FRAMES if all_frames else _FIRST_FRAME
    while place + 12 <= len(source):
        length, kind = struct.unpack_from(">I4s", source, place)
        end = place + 12 + length
        if kind == b"IEND" or end > len(source):
            return
        if kind in pixels and zlib.crc32(view[place + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise ItemError("unreadable", "the picture's checksums do not fit its pixels: it is damaged")
        place = end
