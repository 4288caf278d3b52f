"""From source bytes to the pictures that are sent: upright, 8-bit sRGB or grey, no larger than asked, whole, bare.

A picture that is all that already goes out as it is, without its metadata and without being decoded. Everything else is
encoded again, deterministically: the same source gives the same bytes, which is what a server's image cache goes by.
"""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image, ImageFile

from pipeline.core.errors import ItemError
from pipeline.core.pictures import ImageContract, PreparedImage
from pipeline.images import tokens
from pipeline.images.bands import drawn
from pipeline.images.checksums import check_sums
from pipeline.images.colour import in_srgb, is_srgb
from pipeline.images.encode import encoded
from pipeline.images.flatten import true_transparency
from pipeline.images.inspect import opened
from pipeline.images.orientation import orientation_of, swapped, upright
from pipeline.images.pages import page_count, pages
from pipeline.images.passing import bare
from pipeline.images.pdf import is_pdf, page_images
from pipeline.images.pillow import reading
from pipeline.images.rules import ServerRules
from pipeline.images.sizing import sent_size, stored_target


def prepared(source: bytes, contract: ImageContract, rules: ServerRules) -> tuple[PreparedImage, ...]:
    """The pages of `source` as the contract wants them, in order, at least one; never enlarged.

    Bytes in, bytes out: it runs as well in another process. Raises ItemError of stage prepare, and image_rejected when
    the server takes fewer pages or no encoding fits its byte limit. One bad page fails the whole document.
    """
    if is_pdf(source):
        count, drawn_pages = page_images(source, contract, rules)
        return tuple(prepared_pages(drawn_pages, count, contract, rules))
    with opened(source) as picture:
        count = page_count(picture, source, contract, rules)
        if count == 1 and (image := _passed(picture, source, contract, rules)):
            return (image,)
        if picture.format == "PNG":
            check_sums(source, all_frames=contract.pages == "all")
        return tuple(prepared_pages(pages(picture, count), count, contract, rules))


def prepared_pages(
    found: Iterator[Image.Image], count: int, contract: ImageContract, rules: ServerRules
) -> Iterator[PreparedImage]:
    """The `count` pages of a document, each opened or drawn, one at a time. Raises ItemError, naming the page."""
    left = rules.max_base64_bytes
    for number in range(1, count + 1):
        # What a page leaves of its share goes to those behind it.
        max_bytes = None if left is None else _decoded_bytes(left // (count - number + 1))
        try:
            image = _redrawn(next(found), contract, max_bytes)
        except ItemError as error:
            if count == 1:
                raise
            raise ItemError(error.kind, f"page {number} of {count}: {error.message}") from error
        if left is not None:
            left -= -(-len(image.data) // 3) * 4
        yield image


def _passed(
    picture: ImageFile.ImageFile, source: bytes, contract: ImageContract, rules: ServerRules
) -> PreparedImage | None:
    """The picture as it came, without its metadata, if that is all the contract asks for."""
    size = picture.size
    if picture.format not in rules.accepts or picture.mode not in ("RGB", "L") or sent_size(*size, contract) != size:
        return None
    data = bare(source, picture.format)
    if data is None or (rules.max_base64_bytes is not None and len(data) > _decoded_bytes(rules.max_base64_bytes)):
        return None
    with reading():
        # Only now: Pillow keeps what it finds, and a PNG that is not plain may say more behind its pixels.
        if orientation_of(picture) != 1 or not is_srgb(picture.info.get("icc_profile"), picture.mode):
            return None
    return _image(data, Image.MIME[picture.format], size, size, contract)


def _redrawn(picture: Image.Image, contract: ImageContract, max_bytes: int | None) -> PreparedImage:
    """One page, decoded, drawn and encoded again."""
    name = picture.format
    with reading():
        if isinstance(picture, ImageFile.ImageFile):
            true_transparency(picture)
        if name == "PNG":
            picture.load()  # its EXIF may follow the pixels
        orientation = orientation_of(picture)
        size = swapped(picture.size, orientation)
        target = stored_target(picture, contract)
        profile = picture.info.get("icc_profile")
        # Only a JPEG can: it decodes to the smallest 1/2, 1/4 or 1/8 that is no smaller than this.
        picture.draft(None, target)
        picture.load()
        final = upright(in_srgb(drawn(picture, target), profile), orientation)
    data, mime, sent = encoded(final, name, max_bytes)
    return _image(data, mime, size, sent, contract)


def _image(
    data: bytes, mime: str, size: tuple[int, int], sent: tuple[int, int], contract: ImageContract
) -> PreparedImage:
    cost = None if contract.family is None else tokens.image_tokens(contract.family, *sent)
    return PreparedImage(data, mime, *size, *sent, cost)


def _decoded_bytes(base64_characters: int) -> int:
    """How many bytes have at most that many characters in base64."""
    return base64_characters // 4 * 3
