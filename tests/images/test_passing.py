"""What is fit goes out without being decoded and without its metadata; what is torn or odd never does."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable

import pytest
from PIL import Image, ImageChops, ImageFile

from pipeline.core.errors import ItemError
from pipeline.images.passing import bare
from tests.images.drawings import corners, decoded, encoded, photo, prepare, turned

GPS, XMP, IPTC, COMMENT = b"Home 48.2N 16.4E", b"<x:xmpmeta>author</x:xmpmeta>", b"by-line of a person", b"a comment"
THUMBNAIL = b"\7THUMB"
SECRETS = (GPS, XMP, IPTC, COMMENT, THUMBNAIL)


def segment(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def exif() -> Image.Exif:
    found = turned(1)
    found[0x010E] = GPS.decode()
    return found


def laden_jpeg(progressive: bool = False) -> bytes:
    """A JPEG with everything that cameras and editors leave in one."""
    thumbnail = encoded(photo(16, 12), "JPEG")
    plain = encoded(photo(300, 200), "JPEG", exif=exif().tobytes(), comment=COMMENT, xmp=XMP, progressive=progressive)
    jfif = b"JFIF\0\1\2\0\0\1\0\1\2\1" + THUMBNAIL  # with a thumbnail of 2 x 1 pixels
    extras = segment(0xE0, jfif) + segment(0xE1, b"Exif\0\0" + thumbnail) + segment(0xED, b"Photoshop 3.0\0" + IPTC)
    return plain[:2] + extras + plain[2:]


def laden_png() -> bytes:
    plain = encoded(photo(300, 200), "PNG", exif=exif().tobytes(), dpi=(300, 300))
    texts = chunk(b"tEXt", b"Comment\0" + COMMENT) + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    end = chunk(b"tEXt", b"Author\0" + IPTC) + chunk(b"tIME", struct.pack(">H5B", 2026, 1, 2, 3, 4, 5))
    return plain[:33] + texts + plain[33:-12] + end + plain[-12:]


@pytest.fixture
def nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: object) -> None:
        pytest.fail("decoded")  # no assertion: that counts as a defect of the picture

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)


LADEN: dict[str, Callable[[], bytes]] = {
    "jpeg": laden_jpeg,
    "progressive": lambda: laden_jpeg(progressive=True),
    "png": laden_png,
}


@pytest.mark.parametrize("name", LADEN)
def test_metadata_is_cut_out_and_every_pixel_stays(name: str) -> None:
    source = LADEN[name]()
    assert any(secret in source for secret in SECRETS)
    image = prepare(source)
    for secret in SECRETS:
        assert secret not in image.data
    sent = decoded(image)
    assert not {"exif", "comment", "icc_profile", "dpi", "xmp", "XML:com.adobe.xmp", "photoshop"} & set(sent.info)
    assert ImageChops.difference(sent, Image.open(io.BytesIO(source))).getbbox() is None
    assert prepare(image.data).data == image.data, "nothing is left to cut"


@pytest.mark.usefixtures("nothing_is_decoded")
@pytest.mark.parametrize("name", [*LADEN, "plain png"])
def test_nothing_is_decoded_on_the_way(name: str) -> None:
    source = LADEN[name]() if name in LADEN else encoded(photo(300, 200), "PNG")
    assert prepare(source).sent_width == 300


def test_two_pictures_with_different_metadata_are_sent_as_the_same_bytes() -> None:
    bare_bytes = encoded(photo(200, 100), "JPEG")
    assert prepare(encoded(photo(200, 100), "JPEG", exif=exif(), comment=b"x")).data == bare_bytes


def test_a_comment_between_the_scans_is_cut_too() -> None:
    source = encoded(photo(300, 200), "JPEG", progressive=True)
    place = source.rindex(b"\xff\xda")
    laden = source[:place] + segment(0xFE, COMMENT) + segment(0xE1, b"Exif\0\0" + GPS) + source[place:]
    assert prepare(laden).data == source


def test_adobes_word_on_the_colours_stays() -> None:
    """Without it a decoder takes RGB for YCbCr."""
    source = encoded(corners(300, 200), "JPEG", keep_rgb=True, quality=95)
    assert b"Adobe" in source
    image = prepare(source[:2] + segment(0xFE, COMMENT) + source[2:])
    assert image.data == source


@pytest.mark.parametrize("name", LADEN)
def test_a_laden_picture_is_found_torn_wherever_it_was_cut(name: str) -> None:
    """Its thumbnail is a whole JPEG, and each scan of a progressive one makes a picture."""
    source = LADEN[name]()
    last_pixels = source.rindex(b"IDAT") if name == "png" else len(source)
    for cut in [*range(0, len(source), 10), *range(len(source) - 9, len(source))]:
        assert bare(source[:cut], "PNG" if name == "png" else "JPEG") is None, f"cut at {cut} of {len(source)}"
        if cut < last_pixels:
            with pytest.raises(ItemError):
                prepare(source[:cut])


def _png_with(extra: bytes, before: bool) -> bytes:
    source = encoded(corners(), "PNG")
    return source[:33] + extra + source[33:] if before else source[:-12] + extra + source[-12:]


@pytest.mark.parametrize("before", [True, False], ids=["before the pixels", "after them"])
@pytest.mark.parametrize("kind", ["eXIf", "zTXt", "iTXt"])
def test_a_png_is_turned_wherever_it_says_so(kind: str, before: bool) -> None:
    body = {
        "eXIf": turned(6).tobytes()[6:],
        "zTXt": b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n      1\n" + turned(6).tobytes().hex().encode()),
        "iTXt": b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>',
    }[kind]
    image = prepare(_png_with(chunk(kind.encode(), body), before))
    assert (image.sent_width, image.sent_height) == (32, 48)


def flipped(source: bytes) -> bytes:
    """A bit of the last compressed pixels turned over."""
    place = source.rindex(b"IEND") - 20
    return source[:place] + bytes((source[place] ^ 1,)) + source[place + 1 :]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (flipped(encoded(photo(80, 60), "PNG")), "PNG"),
        (encoded(photo(80, 60), "PNG") + b"more", "PNG"),
        (_png_with(chunk(b"CrIT", b"unknown and critical"), True), "PNG"),
        (_png_with(chunk(b"tRNS", b"\0\0\0\0\0\0"), True), "PNG"),
        (_png_with(chunk(b"acTL", struct.pack(">II", 1, 0)), True), "PNG"),
        (_png_with(chunk(b"tIME", b"\0" * 7) + chunk(b"IDAT", b"\0"), False), "PNG"),
        (encoded(photo(80, 60), "JPEG") + b"trailer", "JPEG"),
        (encoded(photo(80, 60), "JPEG") + encoded(photo(80, 60), "JPEG"), "JPEG"),
        (encoded(photo(80, 60, "CMYK"), "JPEG"), "JPEG"),
        (encoded(photo(80, 60), "JPEG").replace(b"\xff\xc4", b"\xff\xfe"), "JPEG"),
        (encoded(photo(80, 60), "JPEG").replace(b"\xff\xdb", b"\xff\xfe"), "JPEG"),
        (encoded(photo(80, 60), "JPEG").replace(b"\xff\xc0", b"\xff\xc9"), "JPEG"),
        (encoded(photo(80, 60), "JPEG").replace(b"\xff\xda\0\x0c\3\1", b"\xff\xda\0\x0c\3\7"), "JPEG"),
        (re.sub(rb"(?s)\xff\xda.*", b"\xff\xd9", encoded(photo(80, 60), "JPEG")), "JPEG"),
        (encoded(photo(80, 60), "WEBP", exif=turned(1)), "WEBP"),
        (encoded(photo(80, 60), "GIF"), "GIF"),
    ],
)
def test_what_is_odd_is_left_to_the_decoder(source: bytes, name: str) -> None:
    assert bare(source, name) is None


def test_a_png_too_short_for_its_size_is_not_believed() -> None:
    """Its checksums are right; the server would find out, for money."""
    header = struct.pack(">IIBBBBB", 800, 800, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 64)
    source = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    with pytest.raises(ItemError) as caught:
        prepare(source)
    assert caught.value.kind == "truncated"


def test_hundreds_of_scans_are_not_passed_on() -> None:
    source = encoded(photo(64, 64), "JPEG", progressive=True)
    place = source.rindex(b"\xff\xda")
    scan = source[place:-2]
    assert bare(source[:-2] + scan * 5 + source[-2:], "JPEG") is not None
    assert bare(source[:-2] + scan * 60 + source[-2:], "JPEG") is None
