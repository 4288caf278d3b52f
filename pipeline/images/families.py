"""What is asked of a family of models: what a picture costs there, and how large it may be for a number of tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Family(ABC):
    """How one family of models counts a picture, in tokens. Sizes are width x height in pixels, at least 1 x 1.

    What is counted is the picture as it arrives, so the server's own resizing is part of the formula. The one or two
    tokens that mark its beginning and end are left out unless a family says otherwise: they do not depend on its size.
    A server refuses sides of more than 200:1 in some families; they are counted here as if it did not.
    """

    __slots__ = ()

    @abstractmethod
    def tokens(self, width: int, height: int) -> int:
        """What the server counts for a picture of this size."""

    @property
    def smallest(self) -> int:
        """The least number of tokens that a picture of any shape can be brought to."""
        return self.tokens(1, 1)

    def fitted(self, width: int, height: int, max_tokens: int) -> tuple[int, int]:
        """This size if it costs at most `max_tokens`, else the largest below it in both sides that does.

        Raises ValueError if `max_tokens` is less than `smallest`.
        """
        if max_tokens < self.smallest:
            raise ValueError(f"a picture costs at least {self.smallest:,} tokens here, more than {max_tokens:,}")
        if self.tokens(width, height) <= max_tokens:
            return width, height
        return self._scaled(width, height, max_tokens)

    @abstractmethod
    def _scaled(self, width: int, height: int, max_tokens: int) -> tuple[int, int]:
        """The largest size that fits, for a picture that does not."""
