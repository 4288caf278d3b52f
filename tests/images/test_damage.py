"""Torn and mutated files: every one ends as a prepared picture or as a classed failure, never as anything else."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import BmpImagePlugin, Image, ImageChops

from pipeline.core.errors import ItemError
from pipeline.core.pictures import PreparedImage
from pipeline.images.pillow import FORMATS
from tests.images.drawings import JPEG_PNG, corners, decoded, encoded, photo, prepare, prepare_within, turned

WHOLE = {
    "JPEG": encoded(photo(80, 60), "JPEG"),
    "progressive": encoded(photo(80, 60), "JPEG", progressive=True),
    "exif": encoded(photo(40, 30), "JPEG", exif=turned(6)),
    "CMYK": encoded(photo(40, 30, "CMYK"), "JPEG"),
    "MPO": encoded(photo(40, 30), "MPO", save_all=True, append_images=[photo(40, 30)]),
    "PNG": encoded(photo(80, 60), "PNG"),
    "palette": encoded(photo(40, 30).quantize(16), "PNG", transparency=3),
    "APNG": encoded(photo(20, 20), "PNG", save_all=True, append_images=[photo(20, 20).rotate(90)]),
    "GIF": encoded(photo(80, 60).quantize(32), "GIF"),
    "BMP": encoded(photo(20, 20), "BMP"),
    "TIFF": encoded(photo(20, 20), "TIFF"),
    "LZW": encoded(photo(40, 30), "TIFF", compression="tiff_lzw"),
    "WEBP": encoded(photo(40, 30, "RGBA"), "WEBP"),
    "PPM": encoded(photo(20, 20), "PPM"),
    "AVIF": encoded(photo(40, 30), "AVIF"),
}
ACCEPTS = (JPEG_PNG, frozenset(FORMATS), frozenset[str]())
KINDS = {"unreadable", "truncated", "not_an_image", "unsupported_format", "too_many_pixels", "too_small", "bad_aspect"}


def _outcome(source: bytes, accepts: frozenset[str], max_side: int) -> PreparedImage | ItemError:
    try:
        return prepare_within(source, max_side, accepts, None)
    except ItemError as caught:
        error = caught
    assert error.kind in KINDS
    assert " at 0x" not in error.message
    return error


@pytest.mark.parametrize("name", ["JPEG", "progressive", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF"])
@pytest.mark.parametrize("accepts", ACCEPTS[:2])
def test_a_torn_file_is_found_at_every_tenth_byte(name: str, accepts: frozenset[str]) -> None:
    """A server that gets the upper half of a picture describes the upper half."""
    whole = WHOLE[name]
    reference = Image.open(io.BytesIO(whole)).convert("RGB")
    kinds = []
    for cut in [*range(0, len(whole), 10), *range(len(whole) - 9, len(whole))]:
        outcome = _outcome(whole[:cut], accepts, 1024)
        if isinstance(outcome, PreparedImage):
            sent = decoded(outcome).convert("RGB")
            worst = max(high for _, high in ImageChops.difference(sent, reference).getextrema())  # type: ignore[misc]
            assert worst < 60, f"cut at {cut} of {len(whole)}: pixels are missing"
            kinds.append("whole")
        else:
            kinds.append(outcome.kind)
    assert {"truncated"} <= set(kinds) or name in {"WEBP", "AVIF"}, "the words of these codecs say no more"
    assert kinds.count("whole") <= 12


@pytest.mark.parametrize("name", ["JPEG", "progressive"])
def test_a_jpeg_without_its_last_byte_is_torn_when_passed_and_when_scaled(name: str) -> None:
    for max_side in (1024, 20):
        outcome = _outcome(WHOLE[name][:-1], JPEG_PNG, max_side)
        assert isinstance(outcome, ItemError)
        assert outcome.kind == "truncated"
        assert "fetch it again" in outcome.message


def test_a_png_without_its_end_mark_is_completed() -> None:
    image = prepare(WHOLE["PNG"][:-12])
    assert decoded(image).size == (80, 60)
    assert image.data != WHOLE["PNG"][:-12]


def test_a_png_with_broken_pixels_is_not_taken_for_one_with_broken_metadata() -> None:
    """Pillow decodes a PNG to look for its EXIF, and decodes a broken one a second time without complaint."""
    source = bytearray(WHOLE["PNG"])
    source[41] = 0  # the head of the compressed pixels
    for max_side in (20, 1024):
        outcome = _outcome(bytes(source), JPEG_PNG, max_side)
        assert isinstance(outcome, ItemError)
        assert outcome.kind == "unreadable"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError("image file is truncated (3 bytes not processed)"), "truncated"),
        (EOFError("no more"), "truncated"),
        (OSError("broken data stream when reading image file"), "unreadable"),
        (SyntaxError("bad header <_io.BytesIO object at 0x7f00c0ffee>"), "unreadable"),
        (ValueError("bad"), "unreadable"),
        (UnicodeDecodeError("ascii", b"", 0, 1, "bad"), "unreadable"),
        (struct.error("unpack"), "unreadable"),
        (IndexError("i"), "unreadable"),
        (KeyError("k"), "unreadable"),
        (TypeError("t"), "unreadable"),
        (AttributeError("a"), "unreadable"),
        (AssertionError(), "unreadable"),
        (ZeroDivisionError("z"), "unreadable"),
        (OverflowError("o"), "unreadable"),
        (RuntimeError("r"), "unreadable"),
        (RecursionError("r"), "unreadable"),
        (MemoryError(), "unreadable"),
        (zlib.error("z"), "unreadable"),
        (Image.DecompressionBombError("Image size (300000000 pixels) exceeds limit"), "too_many_pixels"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_whatever_a_decoder_raises_is_a_classed_failure(
    error: Exception, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_: object) -> None:
        raise error

    monkeypatch.setattr(BmpImagePlugin.BmpImageFile, "load", load)
    outcome = _outcome(WHOLE["BMP"], JPEG_PNG, 1024)
    assert isinstance(outcome, ItemError)
    assert outcome.kind == kind
    assert outcome.__cause__ is error


def test_what_is_no_defect_of_the_picture_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(BmpImagePlugin.BmpImageFile, "load", load)
    with pytest.raises(KeyboardInterrupt):
        prepare(WHOLE["BMP"])


@settings(max_examples=600, deadline=None)
@given(
    name=st.sampled_from(sorted(WHOLE)),
    edits=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=12),
    header=st.booleans(),
    keep=st.floats(0, 1) | st.just(1.0),
    accepts=st.sampled_from(ACCEPTS),
    max_side=st.sampled_from([16, 1024]),
)
def test_any_mutation_ends_as_a_picture_or_a_classed_failure(
    name: str, edits: list[tuple[int, int]], header: bool, keep: float, accepts: frozenset[str], max_side: int
) -> None:
    source = bytearray(WHOLE[name])
    reach = min(200, len(source)) if header else len(source)
    for place, value in edits:
        source[place % reach] = value
    source = source[: int(len(source) * keep)]
    outcome = _outcome(bytes(source), accepts, max_side)
    if isinstance(outcome, PreparedImage):
        assert max(outcome.sent_width, outcome.sent_height) <= max_side
        assert decoded(outcome).size == (outcome.sent_width, outcome.sent_height)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_at_all(source: bytes) -> None:
    found = _outcome(source, JPEG_PNG, 1024)
    assert isinstance(found, PreparedImage) or found.meaning.stage == "prepare"


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 300), st.integers(2, 300), st.sampled_from(["JPEG", "PNG", "WEBP"]), st.integers(16, 200))
def test_any_size_keeps_to_the_contract(width: int, height: int, name: str, max_side: int) -> None:
    source = encoded(corners(width, height), name)
    image = prepare(source, max_side)
    assert (image.width, image.height) == (width, height)
    sent = (image.sent_width, image.sent_height)
    assert max(sent) == min(max_side, max(width, height))
    assert decoded(image).mode in {"RGB", "L"}
    assert image == prepare(source, max_side)
