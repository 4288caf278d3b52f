"""The pages of a document, one at a time: of a TIFF its pages, of an animation (GIF, PNG, WebP, AVIF) its frames.

The second picture of an MPO is no page: it is a preview, a depth map or the other eye.
"""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image, ImageFile

from pipeline.core.errors import ItemError
from pipeline.core.pictures import ImageContract
from pipeline.images.inspect import MAX_PAGES, check_size
from pipeline.images.pillow import reading
from pipeline.images.rules import ServerRules

_PAGED = frozenset({"TIFF", "GIF", "PNG", "WEBP", "AVIF"})

_COUNTED = 2000
"""Pages up to which a TIFF's are counted: Pillow's way of counting takes the square of their number."""


def page_count(picture: ImageFile.ImageFile, source: bytes, contract: ImageContract, rules: ServerRules) -> int:
    """How many pages of `picture`, opened from `source`, are to be sent. Nothing is decoded.

    Raises ItemError: image_rejected when there are more than the server or this house takes, unreadable, truncated.
    """
    if contract.pages == "first":
        return 1
    return check_count(_counted(picture, source), rules)


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


def _counted(picture: ImageFile.ImageFile, source: bytes) -> int:
    if picture.format not in _PAGED:
        return 1
    if picture.format == "GIF":
        return _gif_frames(source)
    if picture.format == "TIFF":
        return _tiff_pages(picture)
    with reading():
        return int(getattr(picture, "n_frames", 1))


def _tiff_pages(picture: ImageFile.ImageFile) -> int:
    """Pages of a TIFF; more than `_COUNTED` count as one more. Pillow's own count looks at every one of a million."""
    for number in range(1, _COUNTED + 1):
        try:
            if not _has(picture, number):
                return number
        except ItemError as error:
            raise ItemError(error.kind, f"page {number + 1}: {error.message}") from error
    return _COUNTED + 1


def _has(picture: ImageFile.ImageFile, number: int) -> bool:
    """Whether there is a page `number`, from 0; it is then the current one, else the first is."""
    with reading():
        try:
            picture.seek(number)
        except EOFError:
            picture.seek(0)
            return False
        return True


def _gif_frames(source: bytes) -> int:
    """Frames of a GIF (GIF89a, sections 17 to 27), found to be whole: Pillow takes the end of a torn one for its end.

    Raises ItemError: truncated, unreadable.
    """
    try:
        place, frames = 13 + _gif_colours(source[10]), 0
        while (block := source[place]) != 0x3B and frames <= _COUNTED:
            if block == 0x2C:
                frames += 1
                place += 11 + _gif_colours(source[place + 9])
            elif block == 0x21:
                place += 2
            else:
                raise ItemError("unreadable", f"the picture is damaged behind frame {frames}")
            while size := source[place]:
                place += 1 + size
            place += 1
    except IndexError as error:
        raise ItemError("truncated", "the file ends before the picture does: fetch it again") from error
    return frames


def _gif_colours(flags: int) -> int:
    """Bytes of the colour table that these flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
