"""Every page of a document goes out, in order, or none: never a silent cut."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import GifImagePlugin, Image, ImageFile, TiffImagePlugin

from pipeline.core.errors import ItemError
from pipeline.core.pictures import ImageContract, PreparedImage
from pipeline.images.prepare import prepared
from pipeline.images.rules import ServerRules
from tests.images.drawings import (
    BLUE,
    GREEN,
    JPEG_PNG,
    RED,
    WHITE,
    assert_corners,
    corners,
    decoded,
    encoded,
    near,
    photo,
    prepare,
    prepare_all,
    turned,
)
from tests.images.profiles import SWAPPED, matrix_profile, srgb_of_profile

COLOURS = (RED, GREEN, BLUE, (255, 255, 0), WHITE)
PAGED = ["TIFF", "GIF", "PNG", "WEBP", "AVIF"]


def document(name: str, colours: Any = COLOURS, **options: Any) -> bytes:
    """A page of each colour; each has another spot, so that no format merges two."""
    pages = []
    for number, colour in enumerate(colours):
        page = Image.new("RGB", (60, 40), colour)
        page.putpixel((number % 60, number // 60), (9, 9, 9))
        pages.append(page)
    return encoded(pages[0], name, save_all=True, append_images=pages[1:], **options)


def middle(image: PreparedImage) -> object:
    return decoded(image).convert("RGB").getpixel((30, 20))


def refused(source: bytes, rules: ServerRules | None = None) -> ItemError:
    with pytest.raises(ItemError) as caught:
        prepare_all(source, rules)
    return caught.value


@pytest.mark.parametrize("name", PAGED)
def test_every_page_goes_out_in_order(name: str) -> None:
    source = document(name)
    images = prepare_all(source)
    assert len(images) == len(COLOURS)
    for image, colour in zip(images, COLOURS, strict=True):
        assert near(middle(image), colour, 20)
        assert (image.width, image.height) == (60, 40)
        assert not getattr(decoded(image), "is_animated", False)
    assert images == prepare_all(source), "reproducible"
    assert prepare(source, accepts=JPEG_PNG) == images[0], "and alone the first"


def test_the_second_picture_of_a_camera_is_no_page() -> None:
    """It is a preview or a depth map."""
    source = encoded(photo(60, 40), "MPO", save_all=True, append_images=[photo(30, 20)])
    assert len(prepare_all(source)) == 1


@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "BMP"])
def test_a_single_picture_is_a_document_of_one(name: str) -> None:
    source = encoded(photo(60, 40), name)
    assert prepare_all(source) == (prepare(source),)


@pytest.mark.parametrize("name", PAGED)
def test_too_many_pages_are_refused_before_anything_is_decoded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = document(name)

    def load(_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load", load)
    monkeypatch.setattr(GifImagePlugin.GifImageFile, "load_prepare", load)
    error = refused(source, ServerRules(JPEG_PNG, max_images=4))
    assert error.kind == "image_rejected"
    assert "5 pages" in error.message
    assert "at most 4" in error.message
    assert "split" in error.message
    assert 'images.pages = "first"' in error.message


def repeated(pages: int) -> bytes:
    """A TIFF that shows one page so many times."""
    source = bytearray(encoded(photo(60, 40), "TIFF"))
    (directory,) = struct.unpack_from("<I", source, 4)
    entries = bytes(source[directory : directory + 2 + 12 * struct.unpack_from("<H", source, directory)[0]])
    link = directory + len(entries)
    for _ in range(pages - 1):
        struct.pack_into("<I", source, link, len(source))
        source += entries + b"\0\0\0\0"
        link = len(source) - 4
    return bytes(source)


@pytest.mark.parametrize(("pages", "said"), [(201, "201 pages"), (2300, "more than 2000 pages")])
@pytest.mark.parametrize("name", ["TIFF", "GIF"])
def test_the_house_has_a_limit_too(name: str, pages: int, said: str) -> None:
    colours = [(number % 256, number // 256, 0) for number in range(pages)]
    source = repeated(pages) if name == "TIFF" else document(name, colours)
    error = refused(source)
    assert said in error.message
    assert "at most 200" in error.message
    assert prepare(source).width == 60


def test_a_server_that_takes_exactly_as_many_gets_them() -> None:
    assert len(prepare_all(document("TIFF"), ServerRules(JPEG_PNG, max_images=5))) == 5


@pytest.mark.parametrize("name", PAGED)
def test_a_document_torn_anywhere_fails_whole(name: str) -> None:
    source = document(name, **({"compression": "tiff_lzw"} if name == "TIFF" else {}))
    whole = prepare_all(source)
    for cut in [*range(0, len(source) - 10, 10), *range(len(source) - 9, len(source))]:
        try:
            images = prepare_all(source[:cut])
        except ItemError as error:
            assert error.meaning.stage == "prepare"  # noqa: PT017 - only some cuts fail
        else:
            assert images == whole, f"cut at {cut} of {len(source)}: pages are missing"


def test_a_broken_page_is_named() -> None:
    source = document("TIFF", compression="tiff_lzw")
    with Image.open(io.BytesIO(source)) as picture:
        picture.seek(3)
        start = picture.tag_v2[TiffImagePlugin.STRIPOFFSETS][0]  # type: ignore[attr-defined]
    error = refused(source[:start] + b"\0" * 8 + source[start + 8 :])
    assert error.message.startswith("page 4 of 5: ")
    assert error.kind == "unreadable"
    assert prepare(source[:start] + b"\0" * 8 + source[start + 8 :]).width == 60, "the first is whole"


def test_a_page_of_an_odd_size_fails_the_document_before_it_is_decoded() -> None:
    source = encoded(photo(60, 40), "TIFF", save_all=True, append_images=[photo(1, 40)])
    error = refused(source)
    assert error.kind == "too_small"
    assert error.message.startswith("page 2 of 2: ")


def test_each_page_is_turned_and_sized_for_itself() -> None:
    """Pages of a scanner differ in size and direction; each says so for itself."""
    pages = [corners(48, 32), corners(48, 32).transpose(Image.Transpose.ROTATE_90), corners(400, 300)]
    source = encoded_pages([(pages[0], 1), (pages[1], 6), (pages[2], 1)])
    images = prepare_all(source, max_side=100)
    assert [(image.width, image.height) for image in images] == [(48, 32), (48, 32), (400, 300)]
    assert [(image.sent_width, image.sent_height) for image in images] == [(48, 32), (48, 32), (100, 75)]
    for image in images:
        assert_corners(decoded(image))


def encoded_pages(pages: list[tuple[Image.Image, int]], profiles: tuple[bytes | None, ...] = ()) -> bytes:
    """A TIFF whose pages have an orientation, and maybe a profile, each."""
    out = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(out, new=True) as writer:
        for number, (page, orientation) in enumerate(pages):
            icc = {"icc_profile": profiles[number]} if profiles and profiles[number] else {}
            page.save(writer, "TIFF", exif=turned(orientation), **icc)
            writer.newFrame()
    return out.getvalue()


def test_a_page_without_a_profile_does_not_inherit_one() -> None:
    page = Image.new("RGB", (60, 40), (200, 60, 40))
    icc = matrix_profile(SWAPPED)
    images = prepare_all(encoded_pages([(page, 1), (page, 1), (page, 1)], (icc, None, icc)))
    swapped = tuple(srgb_of_profile(np.array([200.0, 60.0, 40.0]), SWAPPED))
    for image, wanted in zip(images, (swapped, (200, 60, 40), swapped), strict=True):
        assert near(middle(image), wanted, 2)  # type: ignore[arg-type]


def test_the_pages_share_the_bytes_of_the_request() -> None:
    pages = [photo(500 + number, 400) for number in range(4)]
    source = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    free = sum(-(-len(image.data) // 3) * 4 for image in prepare_all(source))
    for limit in (free, free // 2, free // 4):
        images = prepare_all(source, ServerRules(JPEG_PNG, limit))
        assert len(images) == 4
        assert sum(-(-len(image.data) // 3) * 4 for image in images) <= limit
    error = refused(source, ServerRules(JPEG_PNG, 1600))
    assert error.kind == "image_rejected"
    assert error.message.startswith("page 1 of 4: ")


def test_what_a_blank_page_leaves_goes_to_the_others() -> None:
    full = photo(500, 400)
    source = encoded(Image.new("RGB", (500, 400), "white"), "TIFF", save_all=True, append_images=[full])
    alone = len(prepare(encoded(full, "TIFF")).data)
    images = prepare_all(source, ServerRules(JPEG_PNG, 4 * (alone + 6000) // 3))
    assert len(images[1].data) == alone, "half of the bytes would not have been enough"


def test_a_gif_with_junk_between_frames_is_not_guessed_at() -> None:
    source = document("GIF")
    place = source.rindex(b"\0,")
    assert refused(source[: place + 1] + b"\x99" + source[place + 1 :]).kind == "unreadable"


def test_pages_are_counted_in_a_chain_that_never_ends() -> None:
    """The last page's directory points back to the first."""
    source = bytearray(document("TIFF"))
    offset = struct.unpack_from("<I", source, 4)[0]
    first = offset
    while following := struct.unpack_from("<I", source, offset + 2 + 12 * struct.unpack_from("<H", source, offset)[0])[
        0
    ]:
        offset = following
    struct.pack_into("<I", source, offset + 2 + 12 * struct.unpack_from("<H", source, offset)[0], first)
    contract = ImageContract(1024, pages="all")
    assert len(prepared(bytes(source), contract, ServerRules(JPEG_PNG))) == 5
