"""What a picture will cost, told from its header, is what preparing it comes to."""

from __future__ import annotations

import pytest

from pipeline.core.errors import ItemError
from pipeline.core.pictures import ImageContract
from pipeline.images.expectation import assumed, expected, typical_tokens
from pipeline.images.prepare import prepared
from pipeline.images.rules import ServerRules
from tests.support.pictures import AWKWARD, picture

RULES = ServerRules(frozenset({"JPEG", "PNG"}), None, None)


@pytest.mark.parametrize("source", [picture(1, 1500, 900), picture(2, 60, 40, "PNG"), AWKWARD["oriented"]()])
@pytest.mark.parametrize(
    "contract",
    [ImageContract(512, family="qwen2.5-vl"), ImageContract(None, 300, "gpt-4o"), ImageContract(512)],
)
def test_the_header_tells_what_preparing_will_come_to(source: bytes, contract: ImageContract) -> None:
    (image,) = prepared(source, contract, RULES)
    assert expected(source, contract, RULES) == (image.sent_width, image.sent_height, image.tokens, 1)


def test_all_pages_count() -> None:
    contract = ImageContract(512, family="qwen2.5-vl", pages="all")
    source = AWKWARD["pages"]()
    images = prepared(source, contract, RULES)
    found = expected(source, contract, RULES)
    assert found is not None
    assert (found.pages, found.tokens) == (len(images), sum(image.tokens or 0 for image in images))
    assert found.pages > 1


def test_a_pdf_has_no_size_and_what_is_no_picture_is_told() -> None:
    assert expected(b"%PDF-1.7 ...", ImageContract(512), RULES) is None
    with pytest.raises(ItemError) as caught:
        expected(b"<html>", ImageContract(512), RULES)
    assert caught.value.kind == "not_an_image"


def test_what_nobody_has_seen_is_taken_for_a_photo() -> None:
    assert assumed(ImageContract(1024, family="qwen2.5-vl")) == (1024, 768, 37 * 27, 1)
    assert assumed(ImageContract(1024)).tokens is None
    assert typical_tokens(ImageContract(1024)) == 37 * 27
    assert typical_tokens(ImageContract(1024, family="gemma-3")) == 256
