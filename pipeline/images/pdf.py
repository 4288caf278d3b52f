"""Pages of a PDF as pictures, one at a time, with the optional extra `pdf` (pypdfium2 5.15 over PDFium).

PDFium works on hostile bytes and is not safe in threads: this belongs in a child process (`apart.py`). A page has no
pixels of its own, only points (1/72 inch), so its size as a picture is the size that it is rendered at.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from PIL import Image

from pipeline.core.errors import ItemError
from pipeline.core.pictures import ImageContract
from pipeline.images.inspect import MAX_ASPECT, MAX_PAGES, MIN_SIDE
from pipeline.images.pages import check_count
from pipeline.images.pillow import MAX_PIXELS
from pipeline.images.rules import ServerRules

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

_SIDE = 2048
"""Pixels on the longest side where the contract names none: A4 at 175 dots an inch, where small print is legible."""

_PAGE_BYTES = 2**18
"""What a page of text takes once it is encoded, about."""

_FEW_PARTS = 1000
"""Pictures on a page that are looked at; a scanner cuts a page into some hundred strips at the most."""

_UNSEEN = 3
"""The text rendering mode (ISO 32000-1, 9.3.6) that neither fills nor strokes."""

_HEADER = re.compile(rb"%PDF-\d")
_HEADER_WITHIN = 1024
"""Bytes in which readers look for the header (ISO 32000-1 from Adobe, Implementation note 13 of PDF 1.7, 2006), and
for the end at the other end (note 18)."""

_DEFECTS = (RuntimeError, ValueError, OverflowError, AssertionError, MemoryError, ctypes.ArgumentError)
"""What pypdfium2 raises about a document: its own errors are RuntimeErrors, the others come out of its calls into C."""

_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\x00", b"MM\x00*")


def is_pdf(source: bytes) -> bool:
    """Whether PDF readers would take `source` for one: junk may stand in front of it, a picture's header may not."""
    return _HEADER.search(source, 0, _HEADER_WITHIN) is not None and not source.startswith(_PICTURES)


def weigh_pdf(contract: ImageContract) -> int:
    """Bytes that preparing a PDF holds at its peak: one page drawn, with its copies, and what comes out of all."""
    side = contract.max_side or _SIDE
    pages = MAX_PAGES if contract.pages == "all" else 1
    return 12 * side * side + pages * _PAGE_BYTES


def page_images(source: bytes, contract: ImageContract, rules: ServerRules) -> tuple[int, Iterator[Image.Image]]:
    """How many pages the contract wants, and these pages in order: upright, in RGB on white, drawn when asked for.

    The longest side has `max_side` pixels, or 2048 where there is none: an upper bound to fit into `max_tokens`.
    Raises ItemError: unsupported_format without the extra, unreadable, truncated, and image_rejected for too many
    pages. The iterator raises unreadable, and too_many_pixels, too_small and bad_aspect for a page's size in points.
    """
    document = _opened(source)
    try:
        count = _wanted(len(document), contract, rules)
    except ItemError:
        document.close()
        raise
    return count, _drawn(document, count, contract.max_side or _SIDE)


def _opened(source: bytes) -> PdfDocument:
    try:
        import pypdfium2  # an extra, and 60 ms that no other picture needs
    except ImportError as error:
        raise ItemError(
            "unsupported_format", 'this is a PDF; to send its pages, install the extra: pip install "vlm-batch[pdf]"'
        ) from error
    with _complaints("this PDF"):
        # PDFium says nothing about a document without pages, and its last error stands. Opening no file makes that one
        # which a document in memory does not have.
        pypdfium2.raw.FPDF_LoadDocument(b"", None)
        try:
            document = pypdfium2.PdfDocument(source)
        except pypdfium2.PdfiumError as error:
            if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
                raise ItemError("unreadable", "this PDF needs a password: save it without one") from error
            if _is_cut(source):
                raise _truncated() from error
            if error.err_code == pypdfium2.raw.FPDF_ERR_FILE:
                raise _no_pages() from error
            raise
        # PDFium shows what it can of half a file, as if the rest had never been.
        if not pypdfium2.raw.FPDF_DocumentHasValidCrossReferenceTable(document) and _is_cut(source):
            document.close()
            raise _truncated()
        document.init_forms()  # without it, what was typed into a form is not shown
    return document


def _wanted(count: int, contract: ImageContract, rules: ServerRules) -> int:
    if count < 1:
        raise _no_pages()
    if contract.pages == "first":
        return 1
    return check_count(count, rules)


def _drawn(document: PdfDocument, count: int, side: int) -> Iterator[Image.Image]:
    with document:
        for number in range(count):
            with _complaints("this page"):
                page = document[number]
                picture = _rendered(page, side)
                page.close()
            yield picture


def _is_cut(source: bytes) -> bool:
    """Whether the mark is missing that ends a PDF; blanks, zeros and a little junk may follow it."""
    return b"%%EOF" not in source.rstrip(b"\0\t\n\f\r ")[-_HEADER_WITHIN:]


def _no_pages() -> ItemError:
    return ItemError("unreadable", "this PDF has no pages")


def _truncated() -> ItemError:
    return ItemError("truncated", "the file ends before the PDF does: fetch it again")


@contextmanager
def _complaints(what: str) -> Iterator[None]:
    """PDFium's and its wrapper's exceptions as ours; their texts name addresses and no reasons."""
    try:
        yield
    except _DEFECTS as error:
        raise ItemError("unreadable", f"{what} cannot be read: it is damaged or malformed") from error


def _rendered(page: PdfPage, max_side: int) -> Image.Image:
    width, height = page.get_size()
    _judge(width, height)
    longest = max(width, height)
    side = min(max_side, math.isqrt(int(MAX_PIXELS * longest / min(width, height))))
    scanned = _density(page)
    if scanned is not None:
        side = min(side, round(longest * max(1.0, scanned)))
    # A hair less than the side: the wrapper rounds up, and must not round up beyond it.
    bitmap = page.render(scale=(side - 0.01) / longest)
    picture: Image.Image = bitmap.to_pil()  # a copy
    bitmap.close()
    return picture


def _density(page: PdfPage) -> float | None:
    """Pixels a point of a page that consists of pictures alone, as a scan does: more would only blur them.

    None for a page with text to be seen, lines or fills, which have no pixels of their own. What a scanner has read is
    text that is not to be seen.
    """
    from pypdfium2 import PdfImage, raw

    densest = None
    for number, part in enumerate(page.get_objects(max_depth=1)):
        if isinstance(part, PdfImage) and number < _FEW_PARTS:
            left, bottom, right, top = part.get_bounds()
            if right > left and top > bottom:
                width, height = part.get_px_size()
                densest = max(densest or 0.0, width / (right - left), height / (top - bottom))
        elif part.type != raw.FPDF_PAGEOBJ_TEXT or raw.FPDFTextObj_GetTextRenderMode(part) != _UNSEEN:
            return None
    return densest


def _judge(width: float, height: float) -> None:
    """Raise ItemError unless a page of this size in points would pass as a picture of so many pixels."""
    said = f"this page is {width:.0f} x {height:.0f} points (1/72 inch)"
    if min(width, height) < MIN_SIDE:
        raise ItemError("too_small", f"{said}; each side needs {MIN_SIDE} at least")
    if width * height > MAX_PIXELS:
        raise ItemError("too_many_pixels", f"{said}; at most {MAX_PIXELS} pixels are drawn, one a point: scale it down")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ItemError("bad_aspect", f"{said}; models refuse more than {MAX_ASPECT}:1: cut it into pieces")
