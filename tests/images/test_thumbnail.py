"""The small picture of a page: upright, on white, small, and nothing where nothing can be shown."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import pytest
from PIL import Image

from pipeline.images import inspect
from pipeline.images.apart import Apart
from pipeline.images.thumbnail import thumbnail
from tests.images.drawings import assert_corners, corners, encoded, near, photo, turned
from tests.support.pictures import stored


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    apart = Apart(1)
    yield apart
    apart.close()


def shown(source: bytes, apart: Apart) -> Image.Image:
    small = thumbnail(source, apart)
    assert small is not None
    picture = Image.open(io.BytesIO(small))
    assert picture.format == "JPEG"
    return picture


def spoiled(png: bytes) -> bytes:
    """Its pixels are no zlib stream, and all its sums are right."""
    place = png.index(b"IDAT")
    (length,) = struct.unpack_from(">I", png, place - 4)
    chunk = b"IDAT" + b"\xff" * length
    return png[:place] + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[place + 8 + length :]


@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF"])
def test_a_turned_picture_is_shown_upright(name: str, apart: Apart) -> None:
    picture = shown(encoded(stored(corners(480, 320), 6), name, exif=turned(6)), apart)
    assert picture.size == (160, 107)
    assert_corners(picture)


def test_what_is_transparent_is_shown_on_white(apart: Apart) -> None:
    picture = shown(encoded(Image.new("RGBA", (300, 300), (0, 0, 0, 0)), "PNG"), apart)
    assert near(picture.getpixel((80, 80)), (255, 255, 255))


def test_a_small_picture_is_not_enlarged_and_nothing_hidden_in_it_goes_along(apart: Apart) -> None:
    source = encoded(photo(100, 50), "JPEG", comment=b"<script>") + b"behind the picture"
    small = thumbnail(source, apart)
    assert small is not None
    assert Image.open(io.BytesIO(small)).size == (100, 50)
    assert b"<script>" not in small
    assert b"behind" not in small


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"<svg onload='alert(1)'/>",
        encoded(photo(200, 100), "JPEG")[:900],
        spoiled(encoded(photo(100, 50), "PNG")),
        encoded(Image.new("L", (600, 2)), "PNG"),
        encoded(Image.new("L", (1, 1)), "PNG"),
        b"%PDF-1.7 broken",
    ],
    ids=["empty", "no picture", "cut short", "small and spoiled", "a line", "a pixel", "a broken document"],
)
def test_what_cannot_be_shown_is_nothing(source: bytes, apart: Apart) -> None:
    assert thumbnail(source, apart) is None


def test_too_many_pixels_are_not_decoded(apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    source = encoded(photo(200, 100), "PNG")
    assert thumbnail(source, apart) is not None
    monkeypatch.setattr(inspect, "MAX_PIXELS", 19_999)
    assert thumbnail(source, apart) is None
