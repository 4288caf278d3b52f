"""The contract over generated pictures of every mode, size, direction and profile: what goes out, whatever came in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageDraw

from pipeline.images.pillow import FORMATS
from tests.images.drawings import JPEG_PNG, decoded, encoded, photo, prepare, prepare_all, turned
from tests.images.profiles import SWAPPED, WIDE, grey_profile, matrix_profile, press_profile
from tests.support.pictures import stored

MODES = {
    "JPEG": ("RGB", "L", "CMYK"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "YCbCr", "I;16", "I", "F"),
    "WEBP": ("RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA", "L"),
    "GIF": ("P", "L", "1"),
    "BMP": ("RGB", "L", "P", "1"),
    "PPM": ("RGB", "L", "1", "I;16"),
}
PROFILES: dict[str, bytes | None] = {
    "none": None,
    "srgb": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "wide": matrix_profile(WIDE),
    "swapped": matrix_profile(SWAPPED),
    "grey": grey_profile(),
    "press": press_profile(),
    "garbage": b"neither a profile nor anything else",
}


def scene(width: int, height: int) -> Image.Image:
    """Something to recognise: no two of its eight directions look alike."""
    picture = photo(width, height)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, width // 3, height // 4), fill="black")
    draw.ellipse((width // 2, height // 2, width - 1, height - 1), fill="yellow")
    draw.line((0, height - 1, width // 2, height // 2), fill="white", width=max(1, width // 12))
    return picture


def fingerprint(picture: Image.Image) -> list[bool]:
    """A difference hash: in each of 8 x 8 places, is it brighter than to its right?"""
    small = picture.convert("L").resize((9, 8), Image.Resampling.BOX)
    levels = small.tobytes()
    return [levels[9 * y + x] > levels[9 * y + x + 1] for y in range(8) for x in range(8)]


def distance(one: list[bool], other: list[bool]) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize(("size", "max_side"), [((240, 160), 1024), ((160, 240), 100), ((700, 500), 256)])
def test_the_eight_directions_of_a_picture_look_the_same(name: str, size: tuple[int, int], max_side: int) -> None:
    upright = scene(*size)
    wanted = fingerprint(upright)
    assert min(distance(wanted, fingerprint(stored(upright, number))) for number in range(2, 9)) > 6, (
        "they could differ"
    )
    for number in range(1, 9):
        image = prepare(encoded(stored(upright, number), name, exif=turned(number)), max_side)
        assert (image.width, image.height) == size
        assert distance(wanted, fingerprint(decoded(image))) <= 2, f"direction {number}"


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, str, str, int, tuple[int, int]]:
    name = draw(st.sampled_from(FORMATS))
    mode = draw(st.sampled_from(MODES[name]))
    size = draw(st.tuples(st.integers(2, 220), st.integers(2, 220)))
    orientation = draw(st.integers(1, 8)) if name in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF") else 1
    profile = PROFILES[draw(st.sampled_from(sorted(PROFILES)))]
    picture = stored(scene(*size), orientation)
    if mode == "LAB":
        picture = Image.merge("LAB", picture.split())
    elif mode == "LA" or (mode == "RGBA" and draw(st.booleans())):
        picture.putalpha(Image.radial_gradient("L").resize(picture.size))
    options: dict[str, Any] = {}
    if name in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF"):
        options["exif"] = turned(orientation)
        if profile is not None:
            options["icc_profile"] = profile
    if name == "JPEG":
        options["progressive"] = draw(st.booleans())
    if mode == "P" and draw(st.booleans()) and name in ("PNG", "GIF"):
        options["transparency"] = 0
    if mode == "I;16":
        picture = picture.convert("L").convert("I").point(lambda level: level * 257)
    elif mode == "P":
        picture = picture.quantize(32)
    elif mode != "LAB":
        picture = picture.convert(mode)
    picture = picture.convert(mode) if picture.mode != mode else picture
    return encoded(picture, name, **options), name, mode, orientation, size


@settings(max_examples=250, deadline=None)
@given(files(), st.sampled_from([16, 100, 1024]), st.sampled_from([JPEG_PNG, frozenset(FORMATS), frozenset[str]()]))
def test_whatever_comes_in_goes_out_by_the_contract(
    file: tuple[bytes, str, str, int, tuple[int, int]], max_side: int, accepts: frozenset[str]
) -> None:
    source, name, mode, _, size = file
    image = prepare(source, max_side, accepts)
    assert (image.width, image.height) == size
    longest = max(image.sent_width, image.sent_height)
    assert longest == min(max_side, max(size)), "never enlarged"
    sent = decoded(image)
    assert sent.mode in {"RGB", "L"}
    assert sent.mode == "L" or mode not in ("1", "L", "LA", "I;16", "I", "F") or name in ("GIF", "WEBP", "AVIF")
    assert not {"exif", "icc_profile", "comment", "xmp", "transparency", "dpi"} & set(sent.info)
    assert sent.getexif().get(0x0112, 1) == 1
    assert image == prepare(source, max_side, accepts), "the same every time"
    assert prepare_all(source, max_side=max_side)[0].sent_width == image.sent_width
