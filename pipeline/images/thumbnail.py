"""Small pictures for a page that a person reads."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image

from pipeline.core.errors import ItemError
from pipeline.core.pictures import ImageContract
from pipeline.images.apart import Apart
from pipeline.images.preparer import ImagePreparer
from pipeline.images.rules import ServerRules

_CONTRACT: Final = ImageContract(max_side=160)
_NOTHING_PASSES: Final = ServerRules(accepts=frozenset())
"""Every picture is drawn anew: what is shown holds none of the source's bytes."""

_QUALITY: Final = 70


def thumbnail(source: bytes, apart: Apart) -> bytes | None:
    """The first page of `source` as a JPEG: upright, in sRGB, on white, at most 160 pixels on the longest side.

    What may explode is decoded by `apart`. None where it cannot be shown: no picture, damaged, too large, too thin.
    Blocking, CPU-bound. Raises RunError when no child can be started.
    """
    try:
        (image,) = ImagePreparer(_NOTHING_PASSES, apart, apart).prepare(source, _CONTRACT)
    except ItemError:
        return None
    out = io.BytesIO()
    with Image.open(io.BytesIO(image.data)) as picture:  # our own encoder's bytes
        picture.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()
