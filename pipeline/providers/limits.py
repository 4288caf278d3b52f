"""A server's stated limits on pictures, held before anything is sent and paid for."""

from __future__ import annotations

from pipeline.core.errors import ItemError
from pipeline.core.pictures import LinkedImage, PreparedImage
from pipeline.providers.dialect import Dialect


def check_images(dialect: Dialect, images: tuple[PreparedImage | LinkedImage, ...], *, inline_only: bool) -> None:
    """Raises ItemError image_rejected when the server would refuse these pictures.

    How large a picture behind an address may be is looked at when its address is chosen (`FetchRule`).
    """
    name, most, longest = dialect.name, dialect.max_images, dialect.max_base64_bytes
    if most is not None and len(images) > most:
        raise ItemError("image_rejected", f"{len(images)} pictures in one request; {name} takes {most}")
    encoded = 0
    for image in images:
        if isinstance(image, LinkedImage):
            if inline_only or dialect.fetches is None:
                raise ItemError("image_rejected", f"{name} takes no picture by its address: {image.shown}")
        elif image.mime not in dialect.reads:
            known = ", ".join(sorted(dialect.reads))
            raise ItemError("image_rejected", f"a picture of type {image.mime}; {name} takes {known}")
        else:
            encoded += (len(image.data) + 2) // 3 * 4
    if longest is not None and encoded >= longest:
        raise ItemError("image_rejected", f"{encoded:,} base64 characters of pictures; {name} takes under {longest:,}")
