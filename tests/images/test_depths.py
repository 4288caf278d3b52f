"""Deep channels keep their range and transparent ones lie on white, in every way that files can say so."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, TiffImagePlugin

from pipeline.images.bands import drawn
from pipeline.images.flatten import flattening
from tests.images.drawings import decoded, encoded, prepare


def raw_png(levels: Any, colour: int, depth: int, transparent: bytes = b"") -> bytes:
    """A PNG of samples (height, width) or (height, width, channels) as they are, of 1 to 16 bits."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = levels.shape[:2]
    rows = levels.reshape(height, -1)
    if depth == 16:
        packed = [row.astype(">u2").tobytes() for row in rows]
    elif depth == 8:
        packed = [row.astype("u1").tobytes() for row in rows]
    else:
        bits = np.unpackbits(rows.astype("u1")[..., None], axis=2)[..., 8 - depth :].reshape(height, -1)
        packed = [np.packbits(row).tobytes() for row in bits]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    clear = chunk(b"tRNS", transparent) if transparent else b""
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in packed)))
    return b"\x89PNG\r\n\x1a\n" + header + clear + pixels + chunk(b"IEND", b"")


DARK_TO_LIGHT = np.array([[[0] * 3, [2645] * 3, [43690] * 3, [65535] * 3]] * 4)


def sixteen(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).integers(0, 65536, shape, dtype=np.uint16)


def tiff16(levels: Any, big: bool = False) -> bytes:
    """An uncompressed TIFF of 16 bits a sample, RGB or grey."""
    height, width = levels.shape[:2]
    channels = levels.shape[2] if levels.ndim == 3 else 1
    order = ">" if big else "<"
    pixels = levels.astype(order + "u2").tobytes()
    entries = [(256, width), (257, height), (259, 1), (262, 2 if channels == 3 else 1), (277, channels)]
    start = 8 + 2 + 12 * 9 + 4
    entries += [(258, 16), (273, start + 8), (278, height), (279, len(pixels))]
    body = b""
    for tag, value in sorted(entries):
        if tag == 258 and channels == 3:
            body += struct.pack(order + "HHII", tag, 3, 3, start)
        else:
            body += struct.pack(order + "HHII", tag, 4, 1, value)
    head = (b"MM\0*" if big else b"II*\0") + struct.pack(order + "IH", 8, len(entries))
    return head + body + b"\0" * 4 + struct.pack(order + "HHHH", 16, 16, 16, 0) + pixels


@pytest.mark.parametrize(
    ("source", "levels"),
    [
        (raw_png(sixteen(1, 90, 120), 0, 16), sixteen(1, 90, 120)),
        (raw_png(sixteen(2, 90, 120, 3), 2, 16), sixteen(2, 90, 120, 3)),
        (tiff16(sixteen(3, 90, 120)), sixteen(3, 90, 120)),
        (tiff16(sixteen(4, 90, 120), big=True), sixteen(4, 90, 120)),
        (tiff16(sixteen(5, 90, 120, 3)), sixteen(5, 90, 120, 3)),
        (raw_png(sixteen(6, 90, 120) // 40, 0, 16), sixteen(6, 90, 120) // 40),
    ],
    ids=["png-grey", "png-rgb", "tiff-grey", "tiff-big-endian", "tiff-rgb", "dark"],
)
@pytest.mark.parametrize("max_side", [1024, 60])
def test_sixteen_bits_keep_their_mean(source: bytes, levels: Any, max_side: int) -> None:
    sent = np.asarray(decoded(prepare(source, max_side)), dtype=float)
    assert np.abs(sent.mean(axis=(0, 1)) - levels.astype(float).mean(axis=(0, 1)) / 257).max() <= 1
    if max_side == 1024:
        assert np.abs(sent - levels / 257.0).max() <= 1


def test_every_level_of_sixteen_bits_is_rounded_to_the_nearest() -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    sent = np.asarray(decoded(prepare(raw_png(levels, 0, 16))), dtype=int)
    assert (sent == np.rint(levels / 257.0)).all()


@pytest.mark.parametrize(
    ("source", "clear", "left"),
    [
        (raw_png(np.array([[0, 1, 2, 3]] * 4), 0, 2, struct.pack(">H", 1)), 1, (0, 170, 255)),
        (raw_png(np.array([[0, 5, 10, 15]] * 4), 0, 4, struct.pack(">H", 5)), 1, (0, 170, 255)),
        (raw_png(np.array([[0, 0, 1, 1]] * 4), 0, 1, struct.pack(">H", 0)), 1, (255, 255, 255)),
        (raw_png(np.array([[0, 85, 170, 255]] * 4), 0, 8, struct.pack(">H", 85)), 1, (0, 170, 255)),
        (raw_png(np.array([[0, 257 * 9, 43690, 65535]] * 4), 0, 16, struct.pack(">H", 257 * 9)), 1, (0, 170, 255)),
        (raw_png(DARK_TO_LIGHT, 2, 16, struct.pack(">3H", 2645, 2645, 2645)), 1, (0, 170, 255)),
    ],
    ids=["2 bits", "4 bits", "1 bit", "8 bits", "16 bits", "16 bits RGB"],
)
def test_one_transparent_colour_is_white_and_no_other(source: bytes, clear: int, left: tuple[int, ...]) -> None:
    sent = decoded(prepare(source)).convert("L")
    assert sent.getpixel((clear, 1)) == 255
    assert tuple(sent.getpixel((x, 1)) for x in range(4) if x != clear) == left


def test_grey_with_alpha_stays_grey_and_lies_on_white() -> None:
    levels = np.array([[[0, 255], [0, 0], [100, 128], [255, 255]]] * 4)
    sent = decoded(prepare(raw_png(levels, 4, 8)))
    assert sent.mode == "L"
    assert [sent.getpixel((x, 1)) for x in range(4)] == pytest.approx([0, 255, 177, 255], abs=1)


@pytest.mark.parametrize("mode", ["RGBa", "La", "PA", "RGBX", "HSV", "YCbCr"])
def test_modes_that_no_file_of_these_tests_has_are_flattened_too(mode: str) -> None:
    """A black square on a transparent or white ground."""
    grey = mode in ("La", "PA")
    picture = Image.new("LA" if grey else "RGBA", (30, 30), 0)
    picture.paste((0, 255) if grey else (0, 0, 0, 255), (10, 10, 20, 20))
    if mode in ("RGBX", "HSV", "YCbCr"):
        picture = flattening(picture)(picture)
    alpha = picture.getchannel("A") if mode == "PA" else None
    picture = picture.convert(mode)
    if alpha is not None:
        picture.putalpha(alpha)  # Pillow's conversion makes it opaque
    assert picture.mode == mode
    flat = flattening(picture)(picture).convert("L")
    assert (flat.getpixel((2, 2)), flat.getpixel((15, 15))) == (255, 0)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK", "I;16", "P", "F"])
@pytest.mark.parametrize("size", [(2400, 1500), (900, 3300)])
def test_no_seam_shows_where_bands_meet(mode: str, size: tuple[int, int]) -> None:
    """Against the same noise flattened and scaled in one piece; which way Pillow scales first makes a level or so."""
    noise = np.random.default_rng(5).integers(0, 256, (size[1] // 2, size[0] // 2, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    if mode == "I;16":
        picture = Image.frombytes("I;16", size, (np.asarray(picture.convert("L"), dtype="<u2") * 257).tobytes())
    else:
        picture = picture.convert(mode)
    for divisor in (1.37, 2.9, 11):
        target = (round(size[0] / divisor), round(size[1] / divisor))
        whole = flattening(picture)(picture).resize(target, Image.Resampling.LANCZOS, reducing_gap=2.0)
        steps = np.asarray(ImageChops.difference(drawn(picture, target), whole), dtype=float)
        along = 1 if size[0] < size[1] else 0
        lines = steps.reshape(target[1], target[0], -1).mean(axis=(along, 2))
        assert lines.max() < (4 if divisor == 11 else 1.5), f"a seam at {lines.argmax()} of {len(lines)}"


def test_a_tiff_of_floats_is_scaled_by_all_of_it_not_by_band() -> None:
    ramp = np.linspace(0, 1000, 2000, dtype=np.float32)[:, None].repeat(1600, axis=1)
    source = encoded(Image.fromarray(ramp), "TIFF")
    assert isinstance(Image.open(io.BytesIO(source)), TiffImagePlugin.TiffImageFile)
    column = np.asarray(decoded(prepare(source, 500)), dtype=float)[:, 100]
    assert (np.diff(column) >= -2).all(), "from black to white without a step back"
    assert column[0] < 3
    assert column[-1] > 252
