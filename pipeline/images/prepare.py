"""From source bytes to the picture that is sent: upright, 8-bit RGB or L, no larger than asked, whole.

A picture that is all that already goes out byte for byte. Everything else is encoded again, deterministically: the
same source gives the same bytes, which is what a server's image cache goes by.
"""

from __future__ import annotations

import io

from PIL import ExifTags, Image, ImageFile

from pipeline.core.errors import ItemError
from pipeline.core.types import ImageContract, PreparedImage
from pipeline.images.flatten import flattened
from pipeline.images.inspect import inspect, opened
from pipeline.images.pillow import DEFECTS, MAX_PIXELS, reading
from pipeline.images.rules import ServerRules

_LOSSLESS = frozenset({"PNG", "GIF", "BMP", "TIFF", "PPM"})
"""Source formats whose edges JPEG would blur for the first time."""

_FEW_COLOURS = 256
_SMALL = 256 * 256
"""Pixels up to which PNG costs next to nothing."""

_QUALITIES = (90, 80, 70, 55)
_SHRINK = 0.8
_SMALLEST = 64
"""Pixels on the longest side: below that a byte limit leaves nothing worth asking about."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation (EXIF 2.32, tag 0x0112) to the turn that sets the picture upright."""


class ImagePreparer:
    """The port `Preparer`; safe to use from several threads."""

    def __init__(self, rules: ServerRules) -> None:
        self._accepts = rules.accepts
        self._max_bytes = None if rules.max_base64_bytes is None else rules.max_base64_bytes // 4 * 3

    def weigh(self, source: bytes, contract: ImageContract) -> int:
        """Bytes that preparing holds at its peak: Pillow's 4 a pixel. Raises ItemError of stage prepare."""
        del contract
        header = inspect(source)
        return 4 * header.width * header.height

    def prepare(self, source: bytes, contract: ImageContract) -> tuple[PreparedImage, ...]:
        """The picture as the contract wants it, never enlarged. Blocking, CPU-bound.

        Raises ItemError of stage prepare, and image_rejected when no encoding fits the byte limit.
        """
        max_side = contract.max_side or MAX_PIXELS
        with opened(source) as picture:
            with reading():
                orientation = _orientation(picture)
                width, height = picture.size
                passes = self._goes_as_it_is(picture, source, max_side, orientation)
                drawn = None if passes else _redrawn(picture, max_side, orientation)
            if orientation >= 5 and picture.format != "TIFF":
                width, height = height, width
            if drawn is None:
                data, mime, sent = source, Image.MIME[picture.format or ""], (width, height)
            else:
                data, mime, sent = self._encoded(drawn, lossless=picture.format in _LOSSLESS)
        return (PreparedImage(data, mime, width, height, *sent),)

    def _goes_as_it_is(self, picture: ImageFile.ImageFile, source: bytes, max_side: int, orientation: int) -> bool:
        """Whether `source` can be sent unchanged. If so it has been decoded once: servers take torn files silently."""
        fits = (
            picture.format in self._accepts
            and picture.mode in ("RGB", "L")
            and "transparency" not in picture.info
            and orientation == 1
            and max(picture.size) <= max_side
            and (self._max_bytes is None or len(source) <= self._max_bytes)
            and not getattr(picture, "is_animated", False)
            and (picture.format != "PNG" or source.endswith(b"IEND\xaeB`\x82"))
        )
        if fits:
            # A JPEG is read to its end at any scale, and an eighth of the size in grey costs least.
            picture.draft("L", (1, 1))
            picture.load()
        return fits

    def _encoded(self, picture: Image.Image, *, lossless: bool) -> tuple[bytes, str, tuple[int, int]]:
        """Bytes, mime and width x height. Raises ItemError image_rejected when nothing fits the byte limit."""
        picture.info = {}  # encoders copy comments and profiles from here
        size = picture.size
        jpeg = _jpeg(picture, _QUALITIES[0])
        small = size[0] * size[1] <= _SMALL
        if lossless and (small or picture.getcolors(_FEW_COLOURS) is not None):
            png = _png(picture)
            if (small or len(png) <= len(jpeg)) and self._fits(png):
                return png, "image/png", size
        for quality in _QUALITIES[1:]:
            if self._fits(jpeg):
                return jpeg, "image/jpeg", size
            jpeg = _jpeg(picture, quality)
        while not self._fits(jpeg):
            if max(size) * _SHRINK < _SMALLEST:
                raise ItemError("image_rejected", f"no encoding of this picture fits {self._max_bytes} bytes")
            size = (max(1, int(size[0] * _SHRINK)), max(1, int(size[1] * _SHRINK)))
            jpeg = _jpeg(picture.resize(size, Image.Resampling.LANCZOS), _QUALITIES[-1])
        return jpeg, "image/jpeg", size

    def _fits(self, data: bytes) -> bool:
        return self._max_bytes is None or len(data) <= self._max_bytes


def _orientation(picture: ImageFile.ImageFile) -> int:
    """The EXIF orientation, 1 to 8; 1 where none can be read: broken metadata is not a broken picture."""
    if picture.format == "PNG":
        # Its EXIF may follow the pixels, so Pillow would decode them below, where a defect passed for broken metadata;
        # a second load of a broken picture then succeeds.
        picture.load()
    try:
        found = picture.getexif().get(ExifTags.Base.Orientation)
    except DEFECTS:
        return 1
    return found if found in _TURNS else 1


def _redrawn(picture: ImageFile.ImageFile, max_side: int, orientation: int) -> Image.Image:
    """The first frame decoded, in RGB or L, at most `max_side` pixels on a side, upright."""
    width, height = picture.size
    longest = max(width, height)
    if longest > max_side:
        # Only a JPEG can: it decodes to the smallest 1/2, 1/4 or 1/8 that is no smaller than this.
        picture.draft(None, (max(1, width * max_side // longest), max(1, height * max_side // longest)))
    picture.load()
    drawn = flattened(picture)
    if longest > max_side:
        drawn.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    # Pillow turns a TIFF itself while loading.
    turn = None if picture.format == "TIFF" else _TURNS.get(orientation)
    return drawn if turn is None else drawn.transpose(turn)


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    """Baseline JPEG, 4:2:0."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=3)  # on scanned text 6 costs half as much again for 7 % fewer bytes
    return out.getvalue()


def prepared(source: bytes, contract: ImageContract, rules: ServerRules) -> tuple[PreparedImage, ...]:
    """The pages as the contract wants them, in order. Blocking, CPU-bound. Raises ItemError as `ImagePreparer` does."""
    return ImagePreparer(rules).prepare(source, contract)
