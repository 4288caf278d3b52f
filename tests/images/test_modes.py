"""Every mode that pictures come in goes out as a person sees it: RGB or grey, on white, with its whole range."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageDraw, ImageStat

from pipeline.core.errors import ItemError
from pipeline.images.pillow import FORMATS
from tests.images.drawings import RED, WHITE, assert_corners, corners, decoded, encoded, near, prepare


def test_colours_survive_every_format() -> None:
    for name in FORMATS:
        assert_corners(decoded(prepare(encoded(corners(), name), accepts=frozenset())))


def test_cmyk_comes_out_in_its_colours() -> None:
    source = encoded(corners().convert("CMYK"), "JPEG", quality=95, subsampling=0)
    picture = decoded(prepare(source))
    assert picture.mode == "RGB"
    assert_corners(picture)


@pytest.mark.parametrize("mode", ["YCbCr", "LAB"])
def test_other_colour_spaces_of_tiff(mode: str) -> None:
    lab = {"LAB": (137, 208, 195), "YCbCr": (76, 85, 255)}[mode]  # red
    picture = decoded(prepare(encoded(Image.new(mode, (20, 20), lab), "TIFF")))
    assert picture.mode == "RGB"
    assert near(picture.getpixel((10, 10)), RED, 40)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_black_text_on_transparency_is_readable(mode: str) -> None:
    """Over black, which is what dropping alpha does, the text would be gone."""
    picture = Image.new("RGBA", (120, 40), (0, 0, 0, 0))
    ImageDraw.Draw(picture).rectangle((20, 10, 60, 30), fill=(0, 0, 0, 255))
    if mode == "RGB":
        opaque = Image.new("RGB", (120, 40), (9, 9, 9))
        opaque.paste((0, 0, 0), (20, 10, 61, 31))
        source = encoded(opaque, "PNG", transparency=(9, 9, 9))
    elif mode == "P":
        source = encoded(picture.convert("RGBA").quantize(4), "PNG")
        assert Image.open(io.BytesIO(source)).mode == "P"
    else:
        source = encoded(picture.convert(mode), "PNG")
    sent = decoded(prepare(source)).convert("L")
    assert sent.getpixel((5, 5)) == 255
    assert sent.getpixel((40, 20)) == 0


def test_half_transparent_red_over_white_is_pink() -> None:
    sent = decoded(prepare(encoded(Image.new("RGBA", (40, 40), (255, 0, 0, 128)), "PNG")))
    assert near(sent.convert("RGB").getpixel((20, 20)), (255, 127, 127), 2)


def test_a_transparent_gif_lies_on_white() -> None:
    picture = Image.new("P", (40, 40), 0)
    picture.putpalette([10, 20, 30, 200, 0, 0])
    picture.paste(1, (10, 10, 30, 30))
    sent = decoded(prepare(encoded(picture, "GIF", transparency=0))).convert("RGB")
    assert sent.getpixel((2, 2)) == WHITE
    assert near(sent.getpixel((20, 20)), (200, 0, 0), 3)


@pytest.mark.parametrize("name", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_not_clipped(name: str) -> None:
    """Clipped, everything above 255 of 65,535 would be white."""
    picture = Image.new("I;16", (64, 64))
    picture.putdata([x * 65535 // 63 for _ in range(64) for x in range(64)])
    sent = decoded(prepare(encoded(picture, name)))
    assert sent.mode == "L"
    assert ImageStat.Stat(sent).mean[0] == pytest.approx(127.5, abs=1.5)
    assert [sent.getpixel((x, 9)) for x in (0, 16, 32, 63)] == pytest.approx([0, 65, 130, 255], abs=2)


def test_a_dark_sixteen_bit_picture_stays_dark_in_a_wider_container() -> None:
    """Its range is known; stretching it would show noise as a picture."""
    sent = decoded(prepare(encoded(Image.new("I", (16, 16), 6553), "TIFF")))
    assert sent.getpixel((8, 8)) == pytest.approx(25, abs=1)


@pytest.mark.parametrize(("mode", "low", "high"), [("I", -70_000, 900_000), ("F", 0.0, 1.0), ("F", -3.5, 250.5)])
def test_deeper_channels_use_what_they_hold(mode: str, low: float, high: float) -> None:
    picture = Image.new(mode, (64, 2))
    picture.putdata([low + (high - low) * x / 63 for _ in range(2) for x in range(64)])
    sent = decoded(prepare(encoded(picture, "TIFF")))
    assert [sent.getpixel((x, 0)) for x in (0, 32, 63)] == pytest.approx([0, 129, 255], abs=2)


def test_a_picture_of_infinities_is_a_broken_one_not_a_crash() -> None:
    with pytest.raises(ItemError) as caught:
        prepare(encoded(Image.new("F", (8, 8), float("inf")), "TIFF"))
    assert caught.value.kind == "unreadable"
    prepare(encoded(Image.new("F", (8, 8), 0.5), "TIFF"))  # uniform: no division by zero
