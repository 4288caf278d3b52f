"""The pictures are what they claim to be."""

import io
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from tests.support import pictures


def test_seeds_make_pictures_and_the_same_seed_the_same() -> None:
    assert len({pictures.picture(seed) for seed in range(100)}) == 100
    assert pictures.picture(3) == pictures.picture(3)
    assert Image.open(io.BytesIO(pictures.picture(3, 70, 50, "PNG"))).size == (70, 50)


def test_pictures_are_written(tmp_path: Path) -> None:
    paths = pictures.write_pictures(tmp_path / "in", 3, format="PNG")
    assert [path.name for path in paths] == ["00000.png", "00001.png", "00002.png"]
    assert len({path.read_bytes() for path in paths}) == 3


@pytest.mark.parametrize("name", pictures.AWKWARD)
def test_awkward_pictures_are_readable(name: str) -> None:
    content = pictures.AWKWARD[name]()
    assert content == pictures.AWKWARD[name]()
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()


@pytest.mark.parametrize("name", pictures.BROKEN)
def test_broken_pictures_are_not(name: str) -> None:
    with pytest.raises((OSError, Image.DecompressionBombError)), Image.open(io.BytesIO(pictures.BROKEN[name]())) as it:
        it.load()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_marks_are_upright_once_turned(orientation: int) -> None:
    with Image.open(io.BytesIO(pictures.upright_marks(orientation))) as stored:
        turned = ImageOps.exif_transpose(stored)
        assert stored.size == ((48, 32) if orientation < 5 else (32, 48))
    pixels = [turned.getpixel(at) for at in ((5, 5), (40, 5), (5, 28), (40, 28))]
    assert turned.size == (48, 32)
    assert [isinstance(pixel, tuple) and pixel[1] > 128 for pixel in pixels] == [False, True, True, True]


def test_text_is_black_on_white() -> None:
    with Image.open(io.BytesIO(pictures.text_picture("Hello\nworld", 30))) as picture:
        darkest, lightest = picture.convert("L").getextrema()
        assert (darkest, lightest) == (0, 255)
        assert picture.height > 60
