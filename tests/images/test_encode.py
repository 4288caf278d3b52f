"""Sharp edges stay sharp where that is cheap, photographs stay JPEG, and the byte limit holds for both."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFont

from pipeline.images.encode import encoded as encode
from tests.images.drawings import decoded, encoded, photo, prepare, prepare_within

JPEG_ONLY = frozenset({"JPEG"})


def page(width: int, height: int, tint: bool = False) -> Image.Image:
    """Smooth text, as a screen shows it; tinted it has far more than 256 colours."""
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    for line in range(height // 24):
        ink = (line * 37 % 200, line * 91 % 200, line * 53 % 200) if tint else (0, 0, 0)
        text = f"{line}. The quick brown fox jumps over the lazy dog 0123456789"
        draw.text((10, 24 * line), text, fill=ink, font=ImageFont.load_default(18))
    return picture


def window(width: int, height: int) -> Image.Image:
    """A screenshot: frames, a shaded bar, text, a small photograph."""
    picture = page(width, height, tint=True)
    bar = Image.linear_gradient("L").rotate(90).resize((width, 40)).convert("RGB")
    picture.paste(bar, (0, 0))
    picture.paste(photo(width // 6, height // 6), (width // 2, height // 2))
    ImageDraw.Draw(picture).rectangle((5, 50, width - 5, height - 5), outline="blue", width=2)
    return picture


@pytest.mark.parametrize("name", ["PNG", "TIFF", "BMP", "GIF", "PPM"])
def test_smooth_text_stays_sharp(name: str) -> None:
    source = page(800, 600)
    sent = decoded(prepare(encoded(source, name), accepts=JPEG_ONLY))
    assert sent.format == "PNG"
    assert ImageChops.difference(sent.convert("L"), source.convert("L")).getbbox() is None


@pytest.mark.parametrize("max_side", [1024, 700])
def test_coloured_text_and_screenshots_too_also_when_scaled(max_side: int) -> None:
    for source in (page(1000, 700, tint=True), window(1000, 700)):
        assert source.getcolors(256) is None
        image = prepare(encoded(source, "PNG"), max_side, JPEG_ONLY)
        assert image.mime == "image/png"


@pytest.mark.parametrize("name", ["PNG", "TIFF", "BMP"])
def test_a_photograph_becomes_a_jpeg_from_whatever_it_comes(name: str) -> None:
    grain = np.random.default_rng(3).normal(0, 9, (600, 900, 3))
    shot = Image.fromarray(np.clip(np.asarray(photo(900, 600), dtype=float) + grain, 0, 255).astype(np.uint8))
    night = Image.new("RGB", (900, 600), (5, 5, 9))
    night.paste(shot.crop((0, 0, 300, 600)), (0, 0))
    for source in (photo(900, 600), shot, night, shot.convert("L")):
        assert prepare(encoded(source, name), accepts=JPEG_ONLY).mime == "image/jpeg"


@pytest.mark.parametrize("name", ["JPEG", "WEBP", "AVIF"])
def test_what_was_lossy_stays_so(name: str) -> None:
    """Its edges are blurred already."""
    assert prepare(encoded(page(800, 600), name), 700).mime == "image/jpeg"


def test_a_png_over_the_limit_gives_way_to_a_jpeg_that_fits() -> None:
    source = encoded(window(1000, 700), "PNG")
    free = prepare(source, accepts=JPEG_ONLY)
    assert free.mime == "image/png"
    limit = 4 * len(free.data) // 3 // 2
    bound = prepare_within(source, 1024, JPEG_ONLY, limit)
    assert bound.mime == "image/jpeg"
    assert 4 * -(-len(bound.data) // 3) <= limit


def test_a_page_that_was_drawn_from_something_else_counts_as_lossless() -> None:
    data, mime, size = encode(page(800, 600), None, None)
    assert (mime, size) == ("image/png", (800, 600))
    assert data == encode(page(800, 600), None, None)[0]
    assert encode(page(800, 600), "JPEG", None)[1] == "image/jpeg"
