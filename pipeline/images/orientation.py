"""Which way up a picture is stored, and how it is set upright."""

from __future__ import annotations

from PIL import ExifTags, Image, ImageFile

from pipeline.images.pillow import DEFECTS

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


def orientation_of(picture: Image.Image) -> int:
    """The EXIF orientation that is still to be applied, 1 to 8; 1 where none can be read.

    Broken metadata is not a broken picture. Nothing is decoded: of a PNG only what stands before its pixels is seen
    until it is loaded. A TIFF always says 1, because Pillow reports its upright size and turns it while loading.
    """
    if picture.format == "TIFF":
        return 1
    try:
        # Not the method that PNG overrides: that one decodes, and takes a defect of the pixels for one of the metadata.
        found = Image.Image.getexif(picture).get(ExifTags.Base.Orientation)
    except DEFECTS:
        return 1
    return found if found in _TURNS else 1


def turns_in_pillow(picture: ImageFile.ImageFile) -> bool:
    """Whether loading this picture makes a turned copy of it (TIFF)."""
    try:
        return picture.format == "TIFF" and picture.getexif().get(ExifTags.Base.Orientation) in _TURNS
    except DEFECTS:
        return False


def swapped(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height of a stored picture once upright, or the other way round."""
    return (size[1], size[0]) if orientation >= 5 else size


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """`picture`, stored with `orientation`, as it is meant to be seen."""
    turn = _TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)
