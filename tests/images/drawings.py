"""Small pictures for these tests, made in memory."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from pipeline.core.pictures import ImageContract, PreparedImage
from pipeline.images.pillow import reading
from pipeline.images.prepare import prepared
from pipeline.images.rules import ServerRules

JPEG_PNG = frozenset({"JPEG", "PNG"})
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(picture: Image.Image, name: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, name, **options)
    return out.getvalue()


def decoded(image: PreparedImage) -> Image.Image:
    with reading():  # a picture that passed through may carry broken metadata, of which Pillow warns
        picture = Image.open(io.BytesIO(image.data))
        picture.load()
    assert Image.MIME[picture.format or ""] == image.mime, "the mime is true to the bytes"
    assert picture.size == (image.sent_width, image.sent_height)
    return picture


def photo(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Smooth colours with a little noise: compresses as photographs do. The same for the same size."""
    across = Image.linear_gradient("L").rotate(90).resize((width, height))
    down = Image.linear_gradient("L").resize((width, height))
    grain = Image.frombytes("L", (width, height), bytes((i * i * 31 + i * 7) % 29 for i in range(width * height)))
    return Image.merge("RGB", (across, down, grain)).convert(mode)


def corners(width: int = 48, height: int = 32) -> Image.Image:
    """Red top left, green top right, blue bottom left, white bottom right."""
    picture = Image.new("RGB", (width, height), WHITE)
    half = (width // 2, height // 2)
    picture.paste(RED, (0, 0, *half))
    picture.paste(GREEN, (half[0], 0, width, half[1]))
    picture.paste(BLUE, (0, half[1], half[0], height))
    return picture


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def prepare(source: bytes, max_side: int = 1024, accepts: frozenset[str] = JPEG_PNG) -> PreparedImage:
    return prepare_within(source, max_side, accepts, None)


def prepare_within(
    source: bytes, max_side: int, accepts: frozenset[str], max_base64_bytes: int | None
) -> PreparedImage:
    (image,) = prepared(source, ImageContract(max_side), ServerRules(accepts, max_base64_bytes))
    return image


def prepare_all(source: bytes, rules: ServerRules | None = None, max_side: int = 1024) -> tuple[PreparedImage, ...]:
    """Every page of a document."""
    return prepared(source, ImageContract(max_side, pages="all"), rules or ServerRules(JPEG_PNG))


def near(found: object, wanted: tuple[int, int, int], tolerance: int = 12) -> bool:
    assert isinstance(found, tuple)
    return all(abs(a - b) <= tolerance for a, b in zip(found, wanted, strict=True))


def assert_corners(picture: Image.Image) -> None:
    picture = picture.convert("RGB")
    width, height = picture.size
    at = {(0, 0): RED, (1, 0): GREEN, (0, 1): BLUE, (1, 1): WHITE}
    for (x, y), colour in at.items():
        place = (width // 4 + x * width // 2, height // 4 + y * height // 2)
        assert near(picture.getpixel(place), colour), f"{place}: {picture.getpixel(place)} is not {colour}"
