"""What preparing will hold is told from the header, from above; what has to be decoded apart is told apart."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageFile

from pipeline.core.errors import ItemError
from pipeline.core.pictures import ImageContract
from pipeline.images.inspect import inspect, weigh
from pipeline.images.pillow import FORMATS
from pipeline.images.prepare import prepared
from pipeline.images.rules import ServerRules
from tests.images.drawings import encoded, photo, turned

SIDE_1024 = ImageContract(1024)

MEASURE = """
import resource, sys
from pipeline.core.pictures import ImageContract
from pipeline.images.inspect import weigh
from pipeline.images.prepare import prepared
from pipeline.images.rules import ServerRules
with open(sys.argv[1], "rb") as file:
    source = file.read()
contract, rules = ImageContract(int(sys.argv[2])), ServerRules(frozenset())
with open(sys.argv[3], "rb") as file:
    prepared(file.read(), contract, rules)  # whatever is loaded once is loaded now
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
prepared(source, contract, rules)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024, weigh(source, contract))
"""


def large_png(colour: int, channels: int, width: int, height: int) -> bytes:
    """A PNG of one colour, made a row at a time."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = b"\0" + b"\x55" * (channels * width)
    packer = zlib.compressobj(1)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def measured(source: bytes, max_side: int, folder: Path) -> tuple[int, int]:
    """Bytes that preparing took at its peak in a process of its own, and what they were weighed as."""
    picture, small = folder / "picture", folder / "small"
    picture.write_bytes(source)
    small.write_bytes(encoded(photo(300, 200, "RGBA"), "PNG"))
    command = [sys.executable, "-c", MEASURE, str(picture), str(max_side), str(small)]
    grown, weighed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(grown), int(weighed)


@pytest.mark.parametrize(("colour", "channels"), [(6, 4), (2, 3), (0, 1)], ids=["rgba", "rgb", "grey"])
@pytest.mark.parametrize("max_side", [1024, 5000])
def test_a_large_picture_is_never_held_twice(colour: int, channels: int, max_side: int, tmp_path: Path) -> None:
    """At the cap of 89 million pixels a second copy would be 358 MB more."""
    width, height = 6000, 4000
    grown, weighed = measured(large_png(colour, channels, width, height), max_side, tmp_path)
    held = width * height * (4 if channels > 1 else 1)
    drawn = (max_side * (max_side * 2 // 3)) * (4 if channels > 1 else 1)
    assert grown <= held + 3 * drawn + (60 << 20)
    assert grown <= weighed + (24 << 20)


@pytest.mark.parametrize("shape", [(30_000, 200), (200, 30_000)])
def test_a_strip_is_cut_across_its_longer_side(shape: tuple[int, int], tmp_path: Path) -> None:
    grown, _ = measured(large_png(6, 4, *shape), 256, tmp_path)
    assert grown <= shape[0] * shape[1] * 4 + (60 << 20)


def test_weighing_decodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: object) -> None:
        raise AssertionError("decoded")

    sources = [encoded(photo(640, 480), name, exif=turned(6)) for name in ("JPEG", "PNG", "TIFF", "WEBP")]
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    for source in sources:
        assert weigh(source, ImageContract(100)) > 0


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_weighs_its_pixels_at_least(name: str) -> None:
    pixels = 640 * 480
    weight = weigh(encoded(photo(640, 480), name), SIDE_1024)
    assert pixels * (1 if name == "GIF" else 4) < weight < pixels * 50
    assert weigh(encoded(photo(640, 480), name), ImageContract(1024, pages="all")) >= weight


def test_a_progressive_jpeg_weighs_its_coefficients_and_a_turned_tiff_its_copy() -> None:
    plain, scans = (encoded(photo(1600, 1200), "JPEG", progressive=progressive) for progressive in (False, True))
    assert weigh(scans, ImageContract(200)) >= weigh(plain, ImageContract(200)) + 1600 * 1200 * 3
    upright, turned_too = (encoded(photo(640, 480), "TIFF", exif=turned(number)) for number in (1, 6))
    assert weigh(turned_too, SIDE_1024) >= weigh(upright, SIDE_1024) + 640 * 480 * 4


def tiff(order: str, pages: int) -> bytes:
    """Grey pages of 60 x 40 pixels, uncompressed, by TIFF 6.0; `order` as in `struct`."""
    out = bytearray((b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8))
    for number in range(pages):
        start = len(out)
        values = ((256, 60), (257, 40), (258, 8), (259, 1), (262, 1), (273, start + 102), (278, 40), (279, 2400))
        entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in values)
        following = start + 102 + 2400 if number < pages - 1 else 0
        out += struct.pack(f"{order}H", len(values)) + entries + struct.pack(f"{order}I", following) + bytes(2400)
    return bytes(out)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_document_weighs_as_many_pages_as_it_has(order: str) -> None:
    """Or every fax would count as two hundred pages, and be prepared alone."""
    source, sent = tiff(order, 12), 60 * 40
    assert len(prepared(source, ImageContract(1024, pages="all"), ServerRules(frozenset()))) == 12
    one, every = (weigh(source, ImageContract(1024, pages=pages)) for pages in ("first", "all"))  # type: ignore[arg-type]
    assert every - one == 11 * sent
    assert weigh(tiff(order, 300), ImageContract(1024, pages="all")) - one == 199 * sent, "more are never sent"
    loop = bytearray(tiff(order, 2))
    loop[8 + 98 : 8 + 102] = struct.pack(f"{order}I", 8)
    assert weigh(bytes(loop), ImageContract(1024, pages="all")) - one == 199 * sent, "it comes to an end"


def test_many_pages_weigh_more() -> None:
    frames = [photo(64 + number, 64) for number in range(20)]
    source = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert weigh(source, ImageContract(64, pages="all")) >= weigh(source, ImageContract(64)) + 19 * 64 * 64


@pytest.mark.parametrize("source", [b"", b"<html>", encoded(Image.new("L", (1, 9)), "PNG"), large_png(0, 1, 2, 2)[:30]])
def test_what_cannot_be_inspected_cannot_be_weighed(source: bytes) -> None:
    with pytest.raises(ItemError) as wanted:
        inspect(source)
    with pytest.raises(ItemError) as found:
        weigh(source, SIDE_1024)
    assert (found.value.kind, found.value.message) == (wanted.value.kind, wanted.value.message)
