"""Where a picture is prepared: here, or in a child that may be ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.core.errors import ItemError
from pipeline.core.pictures import ImageContract, PreparedImage
from pipeline.images.apart import Apart
from pipeline.images.pillow import FORMATS
from pipeline.images.prepare import prepared
from pipeline.images.preparer import ImagePreparer
from pipeline.images.rules import ServerRules
from tests.images.drawings import JPEG_PNG, encoded, photo
from tests.images.pdfs import Page, pdf

CONTRACT, RULES = ImageContract(64), ServerRules(JPEG_PNG)


class Watched(Apart):
    """Notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked: list[bytes] = []

    def prepare(self, source: bytes, *others: Any) -> tuple[PreparedImage, ...]:
        self.asked.append(source)
        return super().prepare(source, *others)


@pytest.fixture
def children() -> Iterator[tuple[Watched, Watched]]:
    apart, for_pdfs = Watched(), Watched()
    yield apart, for_pdfs
    apart.close()
    for_pdfs.close()


def test_what_may_explode_is_prepared_apart_and_comes_out_the_same(children: tuple[Watched, Watched]) -> None:
    preparer = ImagePreparer(RULES, *children)
    sources = {name: encoded(photo(90, 60), name) for name in FORMATS}
    for source in sources.values():
        assert preparer.prepare(source, CONTRACT) == prepared(source, CONTRACT, RULES)
    apart, for_pdfs = children
    assert {name for name, source in sources.items() if source in apart.asked} == {"GIF", "BMP", "TIFF", "PPM", "AVIF"}
    assert for_pdfs.asked == []


def test_pdfs_have_children_of_their_own(children: tuple[Watched, Watched]) -> None:
    apart, for_pdfs = children
    source = pdf(Page())
    (page,) = ImagePreparer(RULES, *children).prepare(source, CONTRACT)
    assert (page.sent_width, page.sent_height) == (64, 32)
    assert (for_pdfs.asked, apart.asked) == ([source], [])


def test_everything_weighs_before_it_is_prepared(children: tuple[Watched, Watched]) -> None:
    preparer = ImagePreparer(RULES, *children)
    assert preparer.weigh(encoded(photo(90, 60), "PNG"), CONTRACT) >= 90 * 60
    assert preparer.weigh(pdf(Page()), ImageContract(2048)) >= 2048 * 2048 * 4
    assert preparer.weigh(pdf(Page()), ImageContract(64, pages="all")) > preparer.weigh(pdf(Page()), CONTRACT)
    with pytest.raises(ItemError, match="empty"):
        preparer.weigh(b"", CONTRACT)
    assert children[0].asked == children[1].asked == []
