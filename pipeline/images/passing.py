"""Whether a file is a whole picture as it stands, told from its structure, and its bytes without metadata.

Nothing is decoded: a photograph of a megapixel takes well under a millisecond. The answer is "no" for whatever is not
plain and complete to the last byte; such a file is decoded, which finds out the truth. Metadata (EXIF with its place
and thumbnail, XMP, IPTC, comments, profiles) is cut out between the parts that make the pixels, which stay as they are.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xff]")
"""What ends the coded pixels of a scan: not a stuffed zero, not a restart mark."""

MANY_SCANS = 40
"""Scans of a JPEG: cameras and optimisers write up to 12; each costs a pass over the whole picture."""

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_SOS, _COM, _APP0, _APP14 = 0xDA, 0xFE, 0xE0, 0xEE


def bare(source: bytes, name: str) -> bytes | None:
    """`source`, of the format `name` (Pillow's), without metadata; itself when it has none, None where it is odd.

    JPEG and PNG: what else servers take has decoders that find damage where its structure shows none.
    """
    look = {"JPEG": _jpeg, "PNG": _png}.get(name)
    return None if look is None else look(source)


class _Jpeg:
    """What the segments seen so far define (ITU-T T.81, annex B), as far as a decoder would fail without it."""

    def __init__(self) -> None:
        self.quantisers: set[int] = set()
        self.codes: set[tuple[int, int]] = set()
        self.components: dict[int, tuple[int, int]] = {}
        self.progressive = False
        self.scanned: set[int] = set()
        self.scans = 0
        self.segments: dict[int, Callable[[bytes], bool]] = {
            0xC0: self._frame,
            0xC1: self._frame,
            0xC2: self._progressive_frame,
            0xC4: self._huffman,
            0xDB: self._quantisation,
            0xDD: lambda body: len(body) == 2,
            _SOS: self._scan,
        }

    @property
    def complete(self) -> bool:
        """Every component has had a scan."""
        return bool(self.components) and self.scanned == set(self.components)

    def _progressive_frame(self, body: bytes) -> bool:
        self.progressive = True
        return self._frame(body)

    def _frame(self, body: bytes) -> bool:
        count = body[5] if len(body) > 5 else 0
        if self.components or count not in (1, 3) or len(body) != 6 + 3 * count or body[0] != 8:
            return False
        for number, sampling, quantiser in zip(body[6::3], body[7::3], body[8::3], strict=True):
            if not (1 <= sampling >> 4 <= 4 and 1 <= sampling & 15 <= 4):
                return False
            self.components[number] = ((sampling >> 4) * (sampling & 15), quantiser)
        return len(self.components) == count

    def _quantisation(self, body: bytes) -> bool:
        while body:
            wide, number = body[0] >> 4, body[0] & 15
            size = 1 + 64 * (1 + wide)
            if wide > 1 or number > 3 or len(body) < size:
                return False
            self.quantisers.add(number)
            body = body[size:]
        return True

    def _huffman(self, body: bytes) -> bool:
        while body:
            kind, number, lengths = body[0] >> 4, body[0] & 15, body[1:17]
            total = sum(lengths)
            values = body[17 : 17 + total]
            if kind > 1 or number > 3 or not 1 <= total <= 256 or len(lengths) < 16 or len(values) < total:
                return False
            if kind == 0 and max(values) > 15:
                return False
            code = 0
            for bits, count in enumerate(lengths, start=1):
                code = 2 * code + count
                if count and code >= 1 << bits:
                    return False
            self.codes.add((kind, number))
            body = body[17 + total :]
        return True

    def _scan(self, body: bytes) -> bool:
        count = body[0] if body else 0
        if not 1 <= count <= 3 or len(body) != 4 + 2 * count or self.scans == MANY_SCANS:
            return False
        numbers, tables = body[1:-3:2], body[2:-3:2]
        if len(set(numbers)) < count or not set(numbers) <= set(self.components):
            return False
        if any(self.components[number][1] not in self.quantisers for number in numbers):
            return False
        if count > 1 and sum(self.components[number][0] for number in numbers) > 10:
            return False
        self.scans += 1
        self.scanned |= set(numbers)
        first, last, high, low = body[-3], body[-2], body[-1] >> 4, body[-1] & 15
        if not self.progressive:
            needed = {(kind, table >> 4 if kind == 0 else table & 15) for table in tables for kind in (0, 1)}
            return needed <= self.codes
        band = last == 0 if first == 0 else first <= last <= 63 and count == 1
        if not band or low > 13 or (high != 0 and low != high - 1):
            return False
        if first == 0:
            return high != 0 or {(0, table >> 4) for table in tables} <= self.codes
        return (1, tables[0] & 15) in self.codes


def _jpeg(source: bytes) -> bytes | None:
    if not source.startswith(_SOI):
        return None
    seen = _Jpeg()
    parts, kept_marks = [_SOI], set[int]()
    place = 2
    while (mark := source[place : place + 2]) != _EOI:
        end = place + 2 + int.from_bytes(source[place + 2 : place + 4], "big")
        if len(mark) < 2 or mark[0] != 0xFF or not place + 4 <= end <= len(source):
            return None
        kind, body = mark[1], source[place + 4 : end]
        if _APP0 <= kind <= 0xEF or kind == _COM:
            if kind not in kept_marks and (part := _told_to_decoders(kind, body)):
                kept_marks.add(kind)
                parts.append(part)
        elif kind not in seen.segments or not seen.segments[kind](body):
            return None
        else:
            if kind == _SOS:
                next_mark = _MARKER.search(source, end)
                if next_mark is None:
                    return None
                end = next_mark.start()
            parts.append(source[place:end])
        place = end
    if not seen.complete or place + 2 != len(source):
        return None
    bare_bytes = b"".join((*parts, _EOI))
    return source if len(bare_bytes) == len(source) else bare_bytes


def _told_to_decoders(kind: int, body: bytes) -> bytes | None:
    """The segment without what may hide in it, if it says how to read the colours: JFIF, and Adobe's transform."""
    if kind == _APP0 and body.startswith(b"JFIF\0") and len(body) >= 14:
        body = body if len(body) == 14 else body[:12] + b"\0\0"  # its thumbnail cut off
    elif kind == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
        body = body[:12]
    else:
        return None
    return struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body


_PNG = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3}
"""Colour types that pass: grey and RGB (PNG third edition, 11.2.1)."""

_DENSEST = 1032
"""Bytes that deflate can make of one (RFC 1951): fewer cannot hold the pixels that the header claims."""

_TURNING = (b"eXIf", b"iTXt", b"zTXt", b"tEXt")


def _png(source: bytes) -> bytes | None:
    if not source.startswith(_PNG) or source[12:16] != b"IHDR":
        return None
    view = memoryview(source)
    parts: list[bytes | memoryview] = [_PNG]
    place, pixels, ended = 8, 0, False
    while place + 12 <= len(source):
        length, kind = struct.unpack_from(">I4s", source, place)
        end = place + 12 + length
        if end > len(source) or zlib.crc32(view[place + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            return None
        if kind == b"IDAT":
            if ended:
                return None
            pixels += length
        elif pixels:
            ended = True
        if kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            if (kind == b"IHDR") != (place == 8) or (kind == b"PLTE" and pixels):
                return None
            parts.append(view[place:end])
        elif not kind[0] & 0x20 or kind in (b"tRNS", b"acTL") or (pixels and _may_turn(kind, view[place + 8 : end])):
            return None
        place = end
        if kind == b"IEND":
            break
    if kind != b"IEND" or place != len(source) or not _holds(source, pixels):
        return None
    bare_bytes = b"".join(parts)
    return source if len(bare_bytes) == len(source) else bare_bytes


def _may_turn(kind: bytes, content: memoryview) -> bool:
    """Whether a chunk after the pixels may say which way up they are: it was not seen when the file was opened."""
    return kind == b"eXIf" or (kind in _TURNING and bytes(content[:11]) in (b"XML:com.ado", b"Raw profile"))


def _holds(source: bytes, pixels: int) -> bool:
    """Whether `pixels` bytes of compressed data can be the picture of the header."""
    width, height = int.from_bytes(source[16:20], "big"), int.from_bytes(source[20:24], "big")
    depth, colour = source[24], source[25]
    if colour not in _CHANNELS or depth != 8:
        return False
    return pixels * _DENSEST >= height * (1 + width * _CHANNELS[colour])
