"""Colours go out as their profile means them, in sRGB; a profile that says nothing usable changes nothing."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageCms

from tests.images.drawings import decoded, encoded, photo, prepare
from tests.images.profiles import (
    GAMMA,
    SRGB,
    SWAPPED,
    WIDE,
    grey_profile,
    ink_lab,
    matrix_profile,
    press_profile,
    srgb_of_lab,
    srgb_of_profile,
)

PATCHES = [(200, 60, 40), (60, 160, 70), (40, 60, 180), (128, 128, 128), (230, 210, 60), (255, 255, 255), (20, 20, 20)]
NONE: frozenset[str] = frozenset()


def patches(mode: str = "RGB", colours: Any = PATCHES) -> Image.Image:
    """One square of 40 pixels for each colour, in a row."""
    picture = Image.new(mode, (40 * len(colours), 40))
    for number, colour in enumerate(colours):
        picture.paste(colour, (40 * number, 0, 40 * number + 40, 40))
    return picture


def centres(picture: Image.Image) -> Any:
    """Levels (n, 3) in the middle of each square."""
    pixels = np.asarray(picture.convert("RGB"), dtype=float)
    step = pixels.shape[0]
    return pixels[step // 2, step // 2 :: step]


@pytest.mark.parametrize("primaries", [WIDE, SWAPPED], ids=["wide", "swapped"])
@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize("max_side", [1024, 140])
def test_a_profile_of_other_primaries_is_applied(primaries: Any, name: str, max_side: int) -> None:
    options: dict[str, Any] = {
        "JPEG": {"quality": 98, "subsampling": 0},
        "WEBP": {"lossless": True},
        "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    }.get(name, {})
    source = encoded(patches(), name, icc_profile=matrix_profile(primaries), **options)
    sent = decoded(prepare(source, max_side))
    wanted = srgb_of_profile(np.array(PATCHES, dtype=float), primaries)
    assert np.abs(centres(sent) - wanted).max() <= (4 if name in ("PNG", "TIFF") else 8)
    assert "icc_profile" not in sent.info


def test_every_level_of_a_wide_profile_is_within_two_of_the_book() -> None:
    rng = np.random.default_rng(7)
    levels = rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)
    source = encoded(Image.fromarray(levels), "PNG", icc_profile=matrix_profile(WIDE))
    sent = np.asarray(decoded(prepare(source)), dtype=float)
    assert np.abs(sent - srgb_of_profile(levels.astype(float), WIDE)).max() <= 2


def test_a_palette_and_a_picture_with_alpha_follow_their_profile_over_white() -> None:
    icc = matrix_profile(SWAPPED)
    clear = patches("RGBA", [(*colour, 255) for colour in PATCHES] + [(0, 0, 0, 0)])
    for picture in (patches().quantize(8, dither=Image.Dither.NONE), clear):
        found = centres(decoded(prepare(encoded(picture, "PNG", icc_profile=icc))))
        assert np.abs(found[: len(PATCHES)] - srgb_of_profile(np.array(PATCHES, dtype=float), SWAPPED)).max() <= 3
    assert (found[-1] >= 254).all(), "the ground stays white"


def test_grey_follows_its_profile_and_stays_grey() -> None:
    ramp = Image.frombytes("L", (256, 20), bytes(range(256)) * 20)
    sent = decoded(prepare(encoded(ramp, "PNG", icc_profile=grey_profile())))
    assert sent.mode == "L"
    linear = (np.arange(256) / 255) ** GAMMA
    wanted = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    assert np.abs(np.asarray(sent, dtype=float)[10] - wanted).max() <= 1.5


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_printed_colours_follow_the_press(name: str) -> None:
    inks = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (1, 0, 1, 0), (0, 0, 0, 1)]
    levels = [tuple(255 * ink for ink in four) for four in inks]
    options: dict[str, Any] = {"quality": 100, "subsampling": 0} if name == "JPEG" else {}
    source = encoded(patches("CMYK", levels), name, icc_profile=press_profile(), **options)
    found = centres(decoded(prepare(source, accepts=NONE)))
    wanted = np.array([srgb_of_lab(ink_lab(four)) for four in inks])
    assert (found[0] >= 254).all(), "the paper"
    assert np.abs(found - wanted).max() <= (1 if name == "TIFF" else 6)
    plain = centres(decoded(prepare(encoded(patches("CMYK", levels), name, **options), accepts=NONE)))
    assert np.abs(plain[1] - (0, 255, 255)).max() <= 6, "without a profile cyan is cyan"


def test_lab_comes_out_in_its_colours() -> None:
    labs = [(55, 60, 40), (60, -40, 30), (40, 10, -50), (75, 0, 0), (90, -5, 60)]
    stored = [(round(light * 2.55), a + 128, b + 128) for light, a, b in labs]
    found = centres(decoded(prepare(encoded(patches("LAB", stored), "TIFF"))))
    assert np.abs(found - np.array([srgb_of_lab(lab) for lab in labs])).max() <= 1


def lcms_srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    "profile",
    [
        lcms_srgb,
        lambda: b"no profile at all",
        lambda: lcms_srgb()[:300],
        lambda: matrix_profile(WIDE)[:-40],
        grey_profile,
        press_profile,
        lambda: b"\0" * 900_000,
    ],
    ids=["srgb", "garbage", "torn", "cut", "grey", "cmyk", "empty"],
)
@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_srgb_and_what_is_no_profile_for_these_pixels_only_loses_it(profile: Callable[[], bytes], name: str) -> None:
    source = encoded(photo(300, 200), name, icc_profile=profile())
    image = prepare(source)
    assert len(image.data) < len(source)
    sent = decoded(image)
    assert "icc_profile" not in sent.info
    assert ImageChops.difference(sent, Image.open(io.BytesIO(source))).getbbox() is None, "sent without decoding"
    again = decoded(prepare(source, 200))
    bare = decoded(prepare(encoded(photo(300, 200), name), 200))
    assert ImageChops.difference(again, bare).getbbox() is None


def test_another_hands_srgb_is_srgb() -> None:
    """Told by what it does to colours: here the primaries of sRGB with a gamma of 2.2 are not it, and get applied."""
    image = prepare(encoded(patches(), "PNG", icc_profile=matrix_profile(SRGB)))
    wanted = srgb_of_profile(np.array(PATCHES, dtype=float), SRGB)
    assert np.abs(centres(decoded(image)) - wanted).max() <= 2


def test_threads_share_no_transform_and_agree() -> None:
    sources = [
        encoded(photo(90, 60), "PNG", icc_profile=matrix_profile(primaries)) for primaries in (WIDE, SWAPPED, SRGB)
    ] * 8
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(prepare, sources)) == [prepare(source) for source in sources]
