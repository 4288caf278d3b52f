"""What a server takes of pictures, as far as preparing them has to know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerRules:
    """`accepts` names the formats (Pillow's names) that the server takes as they are.

    `max_base64_bytes` bounds all pictures of a request together, in base64 characters, `max_images` their number; None
    is no bound.
    """

    accepts: frozenset[str]
    max_base64_bytes: int | None = None
    max_images: int | None = None
