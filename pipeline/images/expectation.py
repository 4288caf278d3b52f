"""What a picture will cost before it is prepared: by its header, or with nothing known of it."""

from __future__ import annotations

from typing import Final, NamedTuple

from pipeline.core.pictures import ImageContract
from pipeline.images.inspect import opened
from pipeline.images.orientation import orientation_of, swapped
from pipeline.images.pages import page_count
from pipeline.images.pdf import is_pdf
from pipeline.images.pillow import reading
from pipeline.images.rules import ServerRules
from pipeline.images.sizing import sent_size
from pipeline.images.tokens import image_tokens

PHOTO: Final = (4032, 3024)
"""Pixels of a photo as phones take them: what a picture is taken for that nobody has seen."""
LIKE_MOST: Final = "qwen2.5-vl"
"""Whose formula stands for a family that is not known: 28 x 28 pixels a token, as most open models count."""


class Expected(NamedTuple):
    """A picture as it will be sent: width x height in pixels and tokens (None: its family is not known), all pages."""

    width: int
    height: int
    tokens: int | None
    pages: int = 1


def expected(source: bytes, contract: ImageContract, rules: ServerRules) -> Expected | None:
    """What is to be expected of `source`, from its header; None for a PDF, which has no size before it is drawn.

    All pages are counted like the first. Raises ItemError of stage prepare, and image_rejected.
    """
    if is_pdf(source):
        return None
    with opened(source) as picture, reading():
        pages = page_count(picture, source, contract, rules)
        return _sent(*swapped(picture.size, orientation_of(picture)), contract, pages)


def assumed(contract: ImageContract) -> Expected:
    """What is to be expected of a picture that nobody has looked at: it is taken for a photo."""
    return _sent(*PHOTO, contract, 1)


def typical_tokens(contract: ImageContract) -> int:
    """Tokens of such a picture, those of an unknown family by a formula like most. The same for equal contracts."""
    photo = assumed(contract)
    return image_tokens(LIKE_MOST, photo.width, photo.height) if photo.tokens is None else photo.tokens


def _sent(width: int, height: int, contract: ImageContract, pages: int) -> Expected:
    sent = sent_size(width, height, contract)
    tokens = None if contract.family is None else pages * image_tokens(contract.family, *sent)
    return Expected(*sent, tokens, pages)
