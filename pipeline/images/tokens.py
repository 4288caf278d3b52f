"""What a picture costs in tokens by its model's own formula."""

from __future__ import annotations


def image_tokens(family: str, width: int, height: int) -> int:
    """Tokens of a picture of `width` x `height` pixels."""
    raise NotImplementedError(family, width, height)


def fitted(family: str, width: int, height: int, max_tokens: int) -> tuple[int, int]:
    """The largest size on the family's grid that costs at most `max_tokens`; never enlarged."""
    raise NotImplementedError(family, width, height, max_tokens)
