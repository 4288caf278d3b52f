"""What a file is, said from its header, and refused before anything is decoded."""

from __future__ import annotations

import io
import struct
import sys
import threading
import tracemalloc
import warnings
import zipfile
import zlib

import pytest
from PIL import Image, PngImagePlugin

from pipeline.core.errors import ItemError
from pipeline.images.inspect import Header, inspect
from pipeline.images.pillow import FORMATS, MAX_PIXELS, reading
from tests.images.drawings import corners, encoded, photo, prepare


def _png(width: int, height: int) -> bytes:
    """A PNG header that claims a size, with hardly any pixels behind it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "text")
    return out.getvalue()


def _refusal(source: bytes) -> ItemError:
    with pytest.raises(ItemError) as caught:
        inspect(source)
    with pytest.raises(ItemError) as again:
        prepare(source)
    assert (again.value.kind, again.value.message) == (caught.value.kind, caught.value.message), "reproducible"
    assert caught.value.meaning.stage == "prepare"
    return caught.value


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_recognised_by_its_content(name: str) -> None:
    assert inspect(encoded(corners(), name)) == Header(name, "P" if name == "GIF" else "RGB", 48, 32)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"", "this is empty (0 bytes)"),
        (b"%PDF is not its beginning", "this is a PDF"),
        (b"\n  <!DOCTYPE html><html><body>404</body></html>", "this is an HTML page"),
        (b"\xef\xbb\xbf<HTML>", "this is an HTML page"),
        (b"<!doctype html><body><svg></svg>", "this is an HTML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "this is an XML document"),
        (_zip(), "this is a zip archive"),
        (b'{"error": "not found"}', "this is a JSON text"),
        (b"Not Found", "this is a text"),
        ("né".encode() * 2000, "this is a text"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "this is a Git LFS pointer"),
        (b"\x00\x00\x00\x18ftypmp42", "this is a video"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "this is a sound or video file"),
        (b"a.jpg" + b"\0" * 252 + b"ustar", "this is a tar archive"),
        (bytes(range(128, 256)), "this is binary data of no known format"),
        (b"\0" * 100, "this is binary data of no known format"),
    ],
)
def test_what_is_no_picture_is_named(source: bytes, said: str) -> None:
    error = _refusal(source)
    assert error.kind == "not_an_image"
    assert error.message.startswith(said)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG"),
        (b'<?xml version="1.0"?>\n<!-- x --><svg xmlns="a"/>', "an SVG"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC"),
        (b"8BPS\x00\x01" + b"\0" * 40, "PSD"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "EPS"),
        (b"\xd7\xcd\xc6\x9a" + b"\0" * 60, "WMF"),
        (encoded(corners(), "JPEG2000"), "JPEG 2000"),
        (encoded(corners(), "ICO"), "ICO"),
    ],
)
def test_a_picture_format_that_is_not_read_is_named_with_what_to_do(source: bytes, said: str) -> None:
    error = _refusal(source)
    assert error.kind == "unsupported_format"
    assert said in error.message
    assert "convert it to one of JPEG, PNG" in error.message


@pytest.mark.parametrize("name", FORMATS)
def test_a_header_cut_short_is_a_damaged_picture_not_something_else(name: str) -> None:
    error = _refusal(encoded(corners(), name)[: 8 if name == "PPM" else 14])
    assert error.kind in {"unreadable", "truncated"}


def test_a_text_that_begins_like_a_pgm_is_a_text() -> None:
    assert _refusal(b"Please find attached").kind == "not_an_image"


def test_a_bomb_is_refused_by_its_header_without_memory_or_a_warning(capfd: pytest.CaptureFixture[str]) -> None:
    source = _png(60_000, 60_000)
    tracemalloc.start()
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        error = _refusal(source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.kind == "too_many_pixels"
    assert "3600000000 pixels" in error.message
    assert peak < 5_000_000
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("action", ["default", "error", "ignore"])
def test_the_cap_holds_where_pillow_only_warns_whatever_the_filters(
    action: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Pillow warns between its limit and twice that; the filters of the process must not decide what a row becomes."""
    with warnings.catch_warnings():
        warnings.simplefilter(action)  # type: ignore[arg-type]
        assert _refusal(_png(10_000, 9_000)).kind == "too_many_pixels"
        assert inspect(_png(10_000, 8_900)).width == 10_000
    assert capfd.readouterr().err == ""


def test_the_cap_holds_when_someone_switches_pillows_own_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert _refusal(_png(60_000, 60_000)).kind == "too_many_pixels"


def test_wherever_pillow_only_warns_of_a_bomb_it_is_our_failure() -> None:
    """Also where it checks a frame or a tile, long after the header."""
    with pytest.raises(ItemError) as caught, reading():
        Image._decompression_bomb_check((10_000, 9_000))
    assert caught.value.kind == "too_many_pixels"


def test_pillows_own_limit_stays_as_it_comes() -> None:
    assert Image.MAX_IMAGE_PIXELS == MAX_PIXELS


def test_outside_of_our_reading_pillow_warns_as_ever() -> None:
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(_png(10_000, 9_000)))
    assert Image.warnings.catch_warnings is warnings.catch_warnings  # type: ignore[attr-defined]


def test_a_thread_that_reads_silences_no_other() -> None:
    inside, leave = threading.Event(), threading.Event()

    def read() -> None:
        with reading():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        assert inside.wait(10)
        with pytest.warns(Image.DecompressionBombWarning):
            Image.open(io.BytesIO(_png(10_000, 9_000)))
    finally:
        leave.set()
        thread.join()


def test_reading_within_reading_stays_reading() -> None:
    with reading():
        with reading():
            pass
        with pytest.raises(Image.DecompressionBombError):
            Image.open(io.BytesIO(_png(10_000, 9_000)))


@pytest.mark.parametrize("size", [(1, 1), (1, 100), (100, 1)])
def test_a_tracking_pixel_is_too_small(size: tuple[int, int]) -> None:
    assert _refusal(encoded(Image.new("RGB", size), "PNG")).kind == "too_small"


def test_the_aspect_that_models_refuse() -> None:
    assert _refusal(encoded(Image.new("RGB", (2, 401)), "PNG")).kind == "bad_aspect"
    assert inspect(encoded(Image.new("RGB", (400, 2)), "PNG")).width == 400


def test_nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    source = encoded(photo(64, 64), "PNG")

    def decode(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", decode)
    assert inspect(source).height == 64


def test_the_formats_that_run_other_programs_are_never_opened() -> None:
    assert not {"EPS", "WMF", "PSD"} & set(FORMATS)
    inspect(encoded(corners(), "PNG"))
    assert "ghostscript" not in sys.modules
