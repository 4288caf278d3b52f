"""A PDF's pages as pictures: in order, upright, on white, of a size that suits the contract."""

from __future__ import annotations

import os
import sys
from contextlib import closing, suppress

import pytest
from PIL import Image

from pipeline.core.errors import ItemError
from pipeline.core.pictures import ImageContract
from pipeline.images.apart import Apart
from pipeline.images.inspect import MAX_PAGES
from pipeline.images.pdf import is_pdf, page_images
from pipeline.images.pillow import FORMATS, MAX_PIXELS
from pipeline.images.rules import ServerRules
from tests.images.drawings import corners, encoded, near
from tests.images.flawed import children, flawed, program
from tests.images.pdfs import BLUE, GREEN, Page, bomb, colours, encrypted, pdf, scan, with_form

__all__ = ["flawed"]  # a fixture

RULES = ServerRules(frozenset({"JPEG", "PNG"}))
FIRST, ALL = ImageContract(300), ImageContract(300, pages="all")
INK = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


def _pages(source: bytes, contract: ImageContract = ALL, rules: ServerRules = RULES) -> list[Image.Image]:
    count, found = page_images(source, contract, rules)
    pages = list(found)
    assert len(pages) == count
    assert {page.mode for page in pages} <= {"RGB"}
    return pages


def _refusal(source: bytes, contract: ImageContract = ALL, rules: ServerRules = RULES) -> ItemError:
    with pytest.raises(ItemError) as caught:
        _pages(source, contract, rules)
    assert " 0x" not in caught.value.message
    return caught.value


def _quarters(page: Image.Image) -> list[str]:
    """The colour in each quarter: upper left, upper right, lower left, lower right."""
    places = [(page.width * x // 4, page.height * y // 4) for y in (1, 3) for x in (1, 3)]
    return [next(name for name, ink in INK.items() if near(page.getpixel(place), ink)) for place in places]


def test_a_page_is_drawn_on_white_with_its_longest_side_as_asked() -> None:
    for width, height, size in ((200, 100, (300, 150)), (100, 200, (150, 300)), (612, 792, (232, 300))):
        (page,) = _pages(pdf(Page(width, height)))
        assert page.size == size
        assert _quarters(page) == ["red", "white", "white", "white"]


@pytest.mark.parametrize(
    ("turn", "size", "quarter"), [(0, (300, 150), 0), (90, (150, 300), 1), (180, (300, 150), 3), (270, (150, 300), 2)]
)
def test_a_turned_page_comes_out_upright(turn: int, size: tuple[int, int], quarter: int) -> None:
    (page,) = _pages(pdf(Page(more=f"/Rotate {turn}")))
    assert page.size == size
    assert _quarters(page) == ["red" if number == quarter else "white" for number in range(4)]


@pytest.mark.parametrize(
    ("source", "size"),
    [
        (scan(250, 125), (250, 125)),
        (scan(900, 450), (300, 150)),
        (scan(20, 10), (200, 100)),
        (scan(250, 125, "BT 3 Tr /F 12 Tf (what a scanner has read) Tj ET"), (250, 125)),
        (scan(250, 125, "BT /F 12 Tf (a stamp) Tj ET"), (300, 150)),
        (scan(250, 125, "0 0 m 200 100 l S"), (300, 150)),
        (pdf(Page(content="")), (300, 150)),
    ],
    ids=["scan", "larger", "coarse", "read", "text", "line", "empty"],
)
def test_a_scan_is_drawn_in_its_own_pixels_and_not_blurred_to_more(source: bytes, size: tuple[int, int]) -> None:
    (page,) = _pages(source)
    assert page.size == size


def test_what_is_cropped_away_is_not_drawn() -> None:
    (page,) = _pages(pdf(Page(more="/CropBox [0 50 100 100]")))
    assert page.size == (300, 150)
    assert _quarters(page) == ["red"] * 4


@pytest.mark.parametrize("sizes", [(612, 792), (595.276, 841.89), (333.33, 77.7), (2.5, 3), (9000, 9000), (14400, 600)])
@pytest.mark.parametrize("side", [1, 7, 224, 1024, 2047])
def test_no_side_is_longer_than_asked(sizes: tuple[float, float], side: int) -> None:
    (page,) = _pages(pdf(Page(*sizes, content="")), ImageContract(side))
    assert max(page.size) == side
    assert min(page.size) == pytest.approx(side * min(sizes) / max(sizes), abs=1.01)


def test_without_a_side_there_is_one_that_shows_small_print() -> None:
    for contract in (ImageContract(None), ImageContract(None, 1000, "some-family")):
        assert _pages(pdf(Page()), contract)[0].size == (2048, 1024)


def test_no_page_is_drawn_larger_than_the_largest_picture() -> None:
    (page,) = _pages(pdf(Page(100, 100, content="")), ImageContract(100_000))
    assert 0.99 * MAX_PIXELS < page.width * page.height <= MAX_PIXELS


def test_twelve_pages_come_in_order() -> None:
    pictures = [Image.new("RGB", (120 + 10 * n, 200), ink) for n, ink in enumerate(colours(12))]
    source = encoded(pictures[0], "PDF", save_all=True, append_images=pictures[1:])
    pages = _pages(source)
    assert len(pages) == 12
    for page, picture, ink in zip(pages, pictures, colours(12), strict=True):
        assert near(page.getpixel((page.width // 2, page.height // 2)), ink)
        assert page.width / page.height == pytest.approx(picture.width / picture.height, abs=0.01)
    (first,) = _pages(source, FIRST)
    assert first.tobytes() == pages[0].tobytes()


def test_pages_are_drawn_one_at_a_time() -> None:
    """The second is broken, and nobody finds out before asking for it."""
    count, pages = page_images(pdf(Page(), Page(1, 1), Page()), ALL, RULES)
    assert count == 3
    assert next(pages).size == (300, 150)
    with pytest.raises(ItemError):
        next(pages)


def test_the_same_pdf_gives_the_same_pixels() -> None:
    source = pdf(Page(), Page(colour=BLUE))
    assert [page.tobytes() for page in _pages(source)] == [page.tobytes() for page in _pages(source)]


def test_what_was_typed_into_a_form_is_shown() -> None:
    assert _quarters(_pages(with_form())[0]) == ["green"] * 4


def test_too_many_pages_are_refused_with_both_numbers_and_what_to_do() -> None:
    source = pdf(*[Page()] * 31)
    error = _refusal(source, ALL, ServerRules(RULES.accepts, None, 30))
    assert error.kind == "image_rejected"
    assert error.message.startswith("this has 31 pages; at most 30 ")
    assert 'images.pages = "first"' in error.message
    assert len(_pages(source, ALL, ServerRules(RULES.accepts, None, 31))) == 31
    assert len(_pages(source, FIRST, ServerRules(RULES.accepts, None, 30))) == 1
    error = _refusal(pdf(*[Page()] * (MAX_PAGES + 1)))
    assert error.message.startswith("this has 201 pages; at most 200 ")
    assert _refusal(pdf(*[Page()] * 201), ALL, ServerRules(RULES.accepts, None, 500)).message == error.message


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        ((1.5, 100), "too_small"),
        ((1, 1), "too_small"),
        ((10_000, 9_000), "too_many_pixels"),
        ((200_000, 200_000), "too_many_pixels"),
        ((10_000, 40), "bad_aspect"),
        ((40, 10_000), "bad_aspect"),
    ],
)
def test_absurd_pages_are_refused_as_pictures_of_that_size_are(size: tuple[int, int], kind: str) -> None:
    error = _refusal(pdf(Page(*size)))
    assert error.kind == kind
    assert error.message.startswith("this page is ")


def test_a_password() -> None:
    error = _refusal(encrypted())
    assert error.kind == "unreadable"
    assert error.message == "this PDF needs a password: save it without one"


@pytest.mark.parametrize(
    "source",
    [b"%PDF-1.7\nhello\n%%EOF", pdf(), pdf(count=0), b"%PDF-1.4" + bytes(range(256)) * 40 + b"%%EOF"],
    ids=["text", "no pages", "none counted", "noise"],
)
def test_what_is_no_document_is_unreadable(source: bytes) -> None:
    error = _refusal(source)
    assert error.kind == "unreadable"
    assert "this PDF" in error.message


def test_a_document_without_pages_says_so() -> None:
    for before in (encrypted(), b"%PDF-1.7 %%EOF", pdf(Page())):
        with suppress(ItemError):
            _pages(before)
        assert _refusal(pdf()).message == "this PDF has no pages", "whatever was said of the one before"


def test_a_page_that_is_missing_is_a_failure_and_no_blank() -> None:
    source = pdf(Page(), Page()).replace(b"/Kids [100 0 R 110 0 R]", b"/Kids [100 0 R 990 0 R]")
    error = _refusal(source)
    assert error.kind == "unreadable"
    assert len(_pages(source, FIRST)) == 1


def test_half_a_document_is_never_taken_for_a_whole_one() -> None:
    source = pdf(Page(), Page(colour=GREEN), Page(colour=BLUE))
    whole = [page.tobytes() for page in _pages(source)]
    for cut in range(9, len(source)):
        with suppress(ItemError):
            pages = _pages(source[:cut])
            assert [page.tobytes() for page in pages] == whole, f"cut at {cut} of {len(source)}"
    assert _refusal(source[: len(source) // 2]).kind == "truncated"


def test_a_revision_that_is_cut_short_is_never_taken_for_a_whole_document() -> None:
    """What stands in front of it has all that PDFium needs to show something."""
    tree = b"2 0 obj\n<< /Type /Pages /Kids [100 0 R 110 0 R] /Count 2 >>\nendobj\n"
    page = b"110 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>\nendobj\n"
    for more in (b"", tree, tree + page):
        cut = pdf(Page()) + more + b"120 0 obj\n<< /Length 90000 >>\nstream\n" + b"0 0 m\n" * 1000
        assert _refusal(cut).kind == "truncated"


def test_a_flaw_that_readers_mend_is_mended() -> None:
    source = pdf(Page())
    place = source.rindex(b"startxref")
    astray = source[:place] + b"startxref\n7\n%%EOF\n"
    for mended in (astray, source + b"\0" * 5000, source + b"<!-- sent by a server -->\r\n", b"\r\n\r\n" + source):
        assert _quarters(_pages(mended)[0]) == ["red", "white", "white", "white"]


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    error = _refusal(pdf(Page()))
    assert error.kind == "unsupported_format"
    assert "this is a PDF" in error.message
    assert "vlm-batch[pdf]" in error.message


def test_a_pdf_is_told_by_its_header() -> None:
    assert is_pdf(pdf(Page()))
    assert is_pdf(b"\xef\xbb\xbf\n" + pdf(Page()))
    assert is_pdf(b"junk of a mail gateway\r\n" * 40 + b"%PDF-1.4\n")
    assert not is_pdf(b"x" * 1024 + b"%PDF-1.4\n")
    assert not is_pdf(b"")
    assert not is_pdf(b"%PDF is the magic of a document")
    for name in FORMATS:
        assert not is_pdf(encoded(corners(), name))
    assert not is_pdf(b"\xff\xd8\xff\xfe\x00\x20a comment on %PDF-1.4")


_DRAWING = """
import inspect
from pipeline.core.errors import ItemError
from pipeline.images.pdf import page_images
there = inspect.currentframe().f_back.f_locals
count, pages = page_images(there["source"], there["contract"], there["rules"])
raise ItemError("too_small", f"{count} of {[page.size for page in pages]}")
"""


def test_pages_are_drawn_under_the_limits_of_a_child(flawed: None) -> None:
    """Three kilobytes that unpack to gigabytes end as a failure, and the next document goes on."""
    evil = bomb(500)
    assert len(evil) < 5_000
    gave_up = "the decoder gave up, as it does when it needs more than 200 MiB of memory"
    with closing(Apart(1, memory_mib=200)) as apart:
        for source, said in (
            (pdf(Page(), Page(100, 100)), "2 of [(300, 150), (300, 300)]"),
            (evil, f"{gave_up}: it is damaged or made to exhaust"),
            (encrypted(), "this PDF needs a password: save it without one"),
            (pdf(Page()), "1 of [(300, 150)]"),
        ):
            with pytest.raises(ItemError) as caught:
                apart.prepare(program(_DRAWING, source), ALL, RULES)
            assert caught.value.message == said
    assert not children(os.getpid())
