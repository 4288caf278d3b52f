"""Colour profiles made byte by byte (ICC.1:2022), and what their colours are in sRGB by the book, without littlecms."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Triple = tuple[float, float, float]
Array = npt.NDArray[np.float64]

D50: Triple = (0.9642, 1.0, 0.8249)
SRGB: tuple[Triple, Triple, Triple] = ((0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
"""XYZ of sRGB's red, green and blue as profiles hold them, adapted to D50."""
WIDE: tuple[Triple, Triple, Triple] = ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249))
"""Those of ROMM RGB (ProPhoto)."""
SWAPPED = (SRGB[1], SRGB[0], SRGB[2])

GAMMA = 563 / 256


def _fixed(values: Iterable[float]) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, body = [], b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table.append(name + struct.pack(">II", start + len(body), len(content)))
        body += content + b"\0" * (-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"\0" * 4, 0x02400000, kind, space, connection)
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + b"\0" * 28 + _fixed(D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + b"".join(table) + body


def _xyz(values: Triple) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _gamma() -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(GAMMA * 256))


def matrix_profile(primaries: Sequence[Triple]) -> bytes:
    """A screen's: three primaries and a gamma of 2.2."""
    tags = {b"wtpt": _xyz(D50)}
    tags |= {name: _xyz(values) for name, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _gamma()))


def grey_profile() -> bytes:
    """Grey with a gamma of 2.2."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz(D50), b"kTRC": _gamma()})


def ink_lab(inks: tuple[int, int, int, int]) -> Triple:
    """L*a*b* of strange inks laid over each other fully or not: what is called cyan prints orange."""
    cyan, magenta, yellow, black = inks
    light = 100 - 25 * cyan - 30 * magenta - 10 * yellow - (55 if black else 0)
    return max(light, 5.0), 40.0 * cyan - 30 * magenta, 45.0 * cyan - 35 * yellow


def press_profile() -> bytes:
    """A printer's: a table of all combinations of four inks."""
    table = bytearray()
    for inks in itertools.product((0, 1), repeat=4):
        light, a, b = ink_lab(inks)  # type: ignore[arg-type]
        table += bytes((round(light * 2.55), round(a + 128), round(b + 128)))
    straight = bytes(range(256))
    content = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + _fixed((1, 0, 0, 0, 1, 0, 0, 0, 1))
    return _profile(
        b"prtr", b"CMYK", b"Lab ", {b"wtpt": _xyz(D50), b"A2B0": content + straight * 4 + bytes(table) + straight * 3}
    )


def srgb_of_xyz(xyz: Array) -> Array:
    """Levels 0 to 255 of colours given in XYZ under D50; what sRGB cannot show is clipped."""
    linear = np.clip(xyz @ np.linalg.inv(np.array(SRGB)), 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(encoded * 255))


def srgb_of_profile(levels: Array, primaries: Sequence[Triple]) -> Array:
    """Levels in sRGB of levels (..., 3) under `matrix_profile(primaries)`."""
    return srgb_of_xyz((levels / 255) ** GAMMA @ np.array(primaries))


def srgb_of_lab(lab: Triple) -> Array:
    """Levels in sRGB of a colour in L*a*b* under D50 (CIE 15:2004)."""
    y = (lab[0] + 16) / 116
    roots = np.array([y + lab[1] / 500, y, y - lab[2] / 200])
    ratios = np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29))
    return srgb_of_xyz(ratios * np.array(D50))
