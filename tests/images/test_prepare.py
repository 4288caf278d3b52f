"""The picture that goes out: upright, readable, small enough, whole, and the same every time."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageDraw, JpegImagePlugin

from pipeline.core.errors import ItemError
from pipeline.images.pillow import FORMATS, reading
from tests.images.drawings import (
    BLUE,
    RED,
    assert_corners,
    corners,
    decoded,
    encoded,
    near,
    photo,
    prepare,
    prepare_within,
    turned,
)
from tests.images.profiles import WIDE, matrix_profile
from tests.support.pictures import stored


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("max_side", [1024, 24])
def test_every_orientation_comes_out_upright(orientation: int, name: str, max_side: int) -> None:
    picture = stored(corners(), orientation)
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if name == "JPEG" else {}
    source = encoded(picture, name, exif=turned(orientation), **options)
    image = prepare(source, max_side, accepts=frozenset(FORMATS))
    assert (image.width, image.height) == (48, 32), "the upright source"
    assert (image.sent_width, image.sent_height) == ((48, 32) if max_side == 1024 else (24, 16))
    assert_corners(decoded(image))
    assert decoded(image).getexif().get(0x0112, 1) == 1, "nobody turns it a second time"


def test_orientation_of_a_large_jpeg_survives_the_reduced_decode() -> None:
    source = encoded(stored(corners(1600, 1200), 6), "JPEG", exif=turned(6))
    image = prepare(source, 200)
    assert (image.width, image.height, image.sent_width, image.sent_height) == (1600, 1200, 200, 150)
    assert_corners(decoded(image))


def test_a_photo_that_is_fit_goes_out_byte_for_byte() -> None:
    for name, mode in (("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "L")):
        source = encoded(photo(200, 100, mode), name)
        image = prepare(source)
        assert image.data == source
        assert image.mime == Image.MIME[name]
        assert (image.width, image.height, image.sent_width, image.sent_height) == (200, 100, 200, 100)
    progressive = encoded(photo(200, 100), "JPEG", progressive=True)
    assert prepare(progressive).data == progressive


@pytest.mark.parametrize(
    ("source", "accepts"),
    [
        (encoded(photo(60, 60), "WEBP"), {"JPEG", "PNG"}),
        (encoded(photo(60, 60), "PNG"), {"JPEG"}),
        (encoded(photo(60, 60), "JPEG", exif=turned(6)), {"JPEG"}),
        (encoded(photo(60, 60, "CMYK"), "JPEG"), {"JPEG"}),
        (encoded(photo(60, 60, "RGBA"), "PNG"), {"PNG"}),
        (encoded(photo(60, 60, "LA"), "PNG"), {"PNG"}),
        (encoded(photo(60, 60).quantize(8), "PNG"), {"PNG"}),
        (encoded(photo(60, 60), "PNG", transparency=(0, 0, 0)), {"PNG"}),
        (encoded(photo(60, 60), "PNG", save_all=True, append_images=[photo(60, 60).rotate(90)]), {"PNG"}),
        (encoded(photo(60, 60, "L"), "GIF", save_all=True, append_images=[photo(60, 60, "L").rotate(90)]), {"GIF"}),
        (encoded(photo(60, 60), "TIFF", save_all=True, append_images=[photo(60, 60)]), {"TIFF"}),
        (encoded(photo(60, 60), "MPO", save_all=True, append_images=[photo(60, 60)]), {"JPEG", "MPO"}),
        (encoded(photo(60, 60), "PNG")[:-12], {"PNG"}),
    ],
    ids=[
        "format",
        "not-accepted",
        "turned",
        "cmyk",
        "rgba",
        "la",
        "palette",
        "trns",
        "apng",
        "gif",
        "tiff",
        "mpo",
        "no-end",
    ],
)
def test_what_servers_read_differently_is_encoded_again(source: bytes, accepts: set[str]) -> None:
    image = prepare(source, accepts=frozenset(accepts))
    assert image.data != source
    picture = decoded(image)
    assert picture.mode in {"RGB", "L"}
    assert picture.format in {"JPEG", "PNG"}
    assert picture.size == (60, 60)
    assert not getattr(picture, "is_animated", False)


def test_only_what_its_structure_proves_to_be_whole_goes_as_it_is() -> None:
    source = encoded(photo(60, 60), "WEBP")
    image = prepare(source, accepts=frozenset({"WEBP"}))
    assert image.mime == "image/jpeg"


def test_nothing_is_enlarged_and_the_longest_side_is_kept_to() -> None:
    small = encoded(photo(100, 50), "WEBP")
    assert (prepare(small, 1024).sent_width, prepare(small, 1024).sent_height) == (100, 50)
    for size in ((301, 200), (200, 301), (1000, 7), (7, 1000)):
        image = prepare(encoded(photo(*size), "JPEG"), 100)
        assert max(image.sent_width, image.sent_height) == 100
        assert image.sent_width / image.sent_height == pytest.approx(size[0] / size[1], rel=0.45 if 7 in size else 0.02)


def test_a_large_jpeg_is_decoded_at_a_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 12 megapixel photo costs three times as much without."""
    decodes: list[tuple[int, int]] = []
    load = JpegImagePlugin.JpegImageFile.load

    def watched(self: JpegImagePlugin.JpegImageFile) -> Any:
        decodes.append(self.size)
        return load(self)

    source = encoded(photo(1600, 1200), "JPEG")
    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", watched)
    image = prepare(source, 200)
    assert decodes[0] == (200, 150), "1/8 of the size, straight from the decoder"
    assert (image.width, image.height) == (1600, 1200)
    assert prepare(source, 300).sent_width == 300
    assert (400, 300) in decodes, "1/4, never smaller than what is asked for"


def test_a_fax_page_stays_legible_and_lossless_at_its_size() -> None:
    page = Image.new("1", (400, 300), 1)
    ImageDraw.Draw(page).text((20, 100), "Invoice 4711", fill=0, font_size=30)
    for source in (encoded(page, "TIFF", compression="group4"), encoded(page, "PNG")):
        image = prepare(source)
        assert image.mime == "image/png"
        assert ImageChops.difference(decoded(image).convert("L"), page.convert("L")).getbbox() is None


def test_line_art_stays_png_and_a_photo_becomes_jpeg() -> None:
    art = corners(900, 600).convert("RGBA")
    assert prepare(encoded(art, "PNG")).mime == "image/png"
    assert prepare(encoded(photo(900, 600), "PNG"), 600).mime == "image/jpeg"
    assert prepare(encoded(photo(900, 600), "JPEG"), 200).mime == "image/jpeg", "what was lossy stays lossy"


def test_only_the_first_frame_goes_out() -> None:
    source = encoded(
        Image.new("RGB", (50, 50), RED), "GIF", save_all=True, append_images=[Image.new("RGB", (50, 50), BLUE)]
    )
    assert near(decoded(prepare(source)).convert("RGB").getpixel((25, 25)), RED)


def test_no_metadata_leaves_with_a_picture_that_is_encoded_again() -> None:
    exif = turned(3)
    exif[0x010E] = "taken at home"
    jpeg = encoded(photo(300, 200), "JPEG", exif=exif, comment=b"secret comment", icc_profile=b"a profile" * 20)
    png = encoded(corners(300, 300).convert("RGBA"), "PNG", exif=exif, icc_profile=b"a profile" * 20)
    for source in (jpeg, png):
        sent = decoded(prepare(source))
        assert not {"exif", "comment", "icc_profile", "dpi", "xmp"} & set(sent.info)
        for secret in (b"taken at home", b"secret comment", b"a profile"):
            assert secret not in prepare(source).data


def test_broken_metadata_is_not_a_broken_picture() -> None:
    """Pillow only warns of it, and warnings are errors here: the outcome must not depend on that."""
    exif = turned(1).tobytes()
    for torn in (exif[:-20] + b"\xff" * 14, b"Exif\0\0no such thing"):
        for source in (encoded(photo(60, 60), "JPEG", exif=torn), encoded(photo(60, 60), "PNG", exif=torn)):
            image = prepare(source)
            assert torn[6:] not in image.data
            with reading():  # Pillow warns of it
                whole = Image.open(io.BytesIO(source)).convert("RGB")
            assert ImageChops.difference(decoded(image), whole).getbbox() is None
            assert prepare(source, 30).sent_width == 30


def test_encoding_again_is_baseline_and_deterministic() -> None:
    source = encoded(photo(500, 400), "JPEG", progressive=True)
    first = prepare(source, 300)
    assert first == prepare(source, 300)
    assert "progressive" not in decoded(first).info
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: prepare(source, 300).data, range(8))) == {first.data}


def test_many_pictures_at_once_in_threads() -> None:
    sources = [encoded(photo(90, 60), name) for name in FORMATS] * 4
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(prepare, sources)) == [prepare(source) for source in sources]


IN_ANOTHER_PROCESS = """
import hashlib, sys
from pipeline.core.errors import ItemError
from tests.images.drawings import prepare
for line in sys.stdin:
    try:
        print(hashlib.sha256(prepare(bytes.fromhex(line)).data).hexdigest())
    except ItemError as error:
        print(error.kind, error.message)
"""


def test_bytes_and_words_are_the_same_in_another_process() -> None:
    """A failure's text is compared between runs, the bytes are what a server's cache goes by."""
    icc = matrix_profile(WIDE)
    whole = [encoded(photo(300, 200), name, icc_profile=icc) for name in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF")]
    sources = [*whole, *(source[: len(source) // 2] for source in whole), whole[1][:70], b"BM not a bitmap", b"GIF89a"]
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS]
    lines = "".join(f"{source.hex()}\n" for source in sources)
    told = subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout.splitlines()

    def outcome(source: bytes) -> str:
        try:
            return hashlib.sha256(prepare(source).data).hexdigest()
        except ItemError as error:
            return f"{error.kind} {error.message}"

    assert [outcome(source) for source in sources] == told
    assert not any("object at" in line for line in told)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(outcome, sources)) == told


def test_the_byte_limit_lowers_quality_first_and_size_only_then() -> None:
    source = encoded(photo(400, 300), "JPEG", quality=98)
    before = prepare_within(source, 1024, frozenset(), None)
    sizes = []
    for limit in (len(before.data), 12_000, 6_000, 2_500):
        image = prepare_within(source, 1024, frozenset({"JPEG"}), limit)
        assert 4 * -(-len(image.data) // 3) <= limit, "base64 characters"
        decoded(image)
        sizes.append(image.sent_width)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 400
    assert sizes[-1] < 400
    with pytest.raises(ItemError) as caught:
        prepare_within(source, 1024, frozenset(), 400)
    assert caught.value.kind == "image_rejected"


def test_a_source_just_over_the_limit_is_not_passed_through() -> None:
    source = encoded(photo(400, 300), "JPEG", quality=98)
    exact = 4 * -(-len(source) // 3)
    assert prepare_within(source, 1024, frozenset({"JPEG"}), exact).data == source
    assert prepare_within(source, 1024, frozenset({"JPEG"}), exact - 1).data != source
