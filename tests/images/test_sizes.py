"""How large a picture goes out: within every bound that is set, never enlarged, and cheaply got there."""

from __future__ import annotations

import math
from typing import Any

import pytest
from PIL import JpegImagePlugin

from pipeline.core.pictures import ImageContract, PreparedImage
from pipeline.images import tokens
from pipeline.images.inspect import weigh
from pipeline.images.prepare import prepared
from pipeline.images.rules import ServerRules
from tests.images.drawings import JPEG_PNG, assert_corners, corners, decoded, encoded, photo, turned

GRID = 28


@pytest.fixture(autouse=True)
def a_family_of_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that pays a token for each square of 28 pixels, whole squares only."""

    def image_tokens(family: str, width: int, height: int) -> int:
        assert family == "tiles"
        return math.ceil(width / GRID) * math.ceil(height / GRID)

    def fitted(family: str, width: int, height: int, max_tokens: int) -> tuple[int, int]:
        scale = 1.0
        while image_tokens(family, width, height) > max_tokens:
            scale *= 0.97
            shrunk = max(GRID, int(width * scale) // GRID * GRID), max(GRID, int(height * scale) // GRID * GRID)
            if image_tokens(family, *shrunk) <= max_tokens:
                return shrunk
        return width, height

    monkeypatch.setattr(tokens, "image_tokens", image_tokens)
    monkeypatch.setattr(tokens, "fitted", fitted)


def sent(source: bytes, **contract: Any) -> PreparedImage:
    (image,) = prepared(
        source, ImageContract(**{"max_side": None, "family": "tiles"} | contract), ServerRules(JPEG_PNG)
    )
    decoded(image)
    return image


@pytest.mark.parametrize("size", [(600, 400), (400, 600), (333, 1001), (60, 40)])
@pytest.mark.parametrize("max_tokens", [16, 100, 5000])
@pytest.mark.parametrize("max_side", [None, 300])
def test_both_bounds_hold_and_nothing_is_enlarged(size: tuple[int, int], max_tokens: int, max_side: int | None) -> None:
    image = sent(encoded(photo(*size), "PNG"), max_tokens=max_tokens, max_side=max_side)
    assert image.tokens == math.ceil(image.sent_width / GRID) * math.ceil(image.sent_height / GRID) <= max_tokens
    assert image.sent_width <= size[0]
    assert image.sent_height <= size[1]
    assert max(image.sent_width, image.sent_height) <= (max_side or max(size))


def test_what_fits_passes_with_its_tokens_said() -> None:
    source = encoded(photo(280, 140), "JPEG")
    image = sent(source, max_tokens=50)
    assert image.data == source
    assert image.tokens == 50
    assert sent(source, max_tokens=49).data != source
    assert sent(source).tokens == 50, "known also where nothing bounds it"
    assert sent(source, family=None, max_tokens=1).tokens is None, "no formula, no bound, no number"


def test_tokens_are_of_the_upright_picture_as_sent() -> None:
    source = encoded(corners(600, 200).rotate(90, expand=True), "JPEG", exif=turned(6), quality=95)
    image = sent(source, max_tokens=30)
    assert image.sent_width > image.sent_height
    assert_corners(decoded(image))
    assert image.tokens == math.ceil(image.sent_width / GRID) * math.ceil(image.sent_height / GRID)


def test_a_formula_is_always_asked_about_the_upright_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fitted(_: str, width: int, height: int, max_tokens: int) -> tuple[int, int]:
        asked.append((width, height))
        return width // 2, height // 2

    monkeypatch.setattr(tokens, "fitted", fitted)
    contract = ImageContract(None, 30, "tiles")
    source = encoded(corners(600, 200).rotate(90, expand=True), "JPEG", exif=turned(6))
    weigh(source, contract)
    assert asked == [(600, 200)]
    (image,) = prepared(source, contract, ServerRules(JPEG_PNG))
    assert asked[-1] == (600, 200)
    assert (image.sent_width, image.sent_height) == (300, 100)


def test_tokens_after_a_byte_limit_are_of_the_smaller_picture() -> None:
    rules = ServerRules(JPEG_PNG, 2500)
    (image,) = prepared(encoded(photo(400, 300), "JPEG", quality=98), ImageContract(None, family="tiles"), rules)
    assert image.sent_width < 400
    assert image.tokens == math.ceil(image.sent_width / GRID) * math.ceil(image.sent_height / GRID)


def test_a_bound_in_tokens_lets_a_jpeg_be_decoded_small(monkeypatch: pytest.MonkeyPatch) -> None:
    decodes = []
    load = JpegImagePlugin.JpegImageFile.load

    def watched(self: JpegImagePlugin.JpegImageFile) -> Any:
        decodes.append(self.size)
        return load(self)

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", watched)
    sent(encoded(photo(1600, 1200), "JPEG"), max_tokens=48)
    assert decodes[0] == (400, 300), "a quarter: an eighth were less than 224 x 168"


@pytest.mark.parametrize("bound", [{"max_side": 200}, {"max_tokens": 48}])
def test_the_weight_of_a_jpeg_is_that_of_its_small_decode(bound: dict[str, int]) -> None:
    source = encoded(photo(1600, 1200), "JPEG")
    whole = weigh(source, ImageContract(None, family="tiles"))
    assert whole > 1600 * 1200 * 4
    assert weigh(source, ImageContract(**{"max_side": None, "family": "tiles"} | bound)) < whole / 5
