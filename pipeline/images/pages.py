"""The pages of a document, one at a time: of a TIFF its pages, of an animation (GIF, PNG, WebP, AVIF) its frames.

The second picture of an MPO is no page: it is a preview, a depth map or the other eye.
"""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image, ImageFile

from pipeline.core.errors import ItemError
from pipeline.core.types import ImageContract
from pipeline.images.inspect import check_size
from pipeline.images.pillow import reading
from pipeline.images.rules import ServerRules

MAX_PAGES = 200
"""Pages of one document that are ever sent in one request, whatever the server takes."""

_PAGED = frozenset({"TIFF", "GIF", "PNG", "WEBP", "AVIF"})

_COUNTED = 2000
"""Pages up to which a TIFF's are counted: Pillow's way of counting takes the square of their number."""


def page_count(picture: ImageFile.ImageFile, contract: ImageContract, rules: ServerRules) -> int:
    """How many pages of `picture` are to be sent. Nothing is decoded.

    Raises ItemError: image_rejected when there are more than the server or this house takes, unreadable, truncated.
    """
    if contract.pages == "first":
        return 1
    return check_count(_counted(picture), rules)


def check_count(pages: int, rules: ServerRules) -> int:
    """`pages` of a document, if that many are taken. Raises ItemError image_rejected."""
    limit = MAX_PAGES if rules.max_images is None else min(rules.max_images, MAX_PAGES)
    if pages > limit:
        found = f"more than {_COUNTED}" if pages > _COUNTED else str(pages)
        raise ItemError(
            "image_rejected",
            f'this has {found} pages; at most {limit} go into one request: split it, or set images.pages = "first"',
        )
    return pages


def pages(picture: ImageFile.ImageFile, count: int) -> Iterator[Image.Image]:
    """The first `count` pages, not yet decoded; each is good until the next is asked for.

    Raises ItemError: whatever `inspect` raises for a size, unreadable, truncated.
    """
    for number in range(count):
        if number > 0:
            with reading():
                picture.info.pop("icc_profile", None)  # a TIFF's page without one would keep its predecessor's
                picture.seek(number)
            check_size(*picture.size)
        yield picture


def _counted(picture: ImageFile.ImageFile) -> int:
    if picture.format not in _PAGED:
        return 1
    with reading():
        if picture.format == "TIFF":
            try:
                picture.seek(_COUNTED)
            except EOFError:
                picture.seek(0)
            else:
                return _COUNTED + 1
        return int(getattr(picture, "n_frames", 1))
