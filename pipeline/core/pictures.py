"""A picture on its way: how a task wants it, what was fetched, and what is sent. All are frozen, sizes in pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class LinkedImage:
    """A picture that is sent by its address: the server fetches it. `shown` is the address without its secrets."""

    url: str = field(repr=False)
    shown: str


@dataclass(frozen=True, slots=True)
class Download:
    """A picture from the web; `link` is set when the server that is asked could fetch it itself."""

    data: bytes = field(repr=False)
    link: LinkedImage | None = None


@dataclass(frozen=True, slots=True)
class FetchRule:
    """What a server fetches itself: pictures of these media types, of at most `max_bytes`, come within `seconds`.

    `redirects` tells that it follows them, `private` that it may stand where private addresses can be reached.
    """

    media_types: frozenset[str]
    max_bytes: int
    seconds: float
    redirects: bool = False
    private: bool = False


@dataclass(frozen=True, slots=True)
class ImageContract:
    """How a task wants its pictures sent.

    `max_side` bounds the longest side in pixels, `max_tokens` what one picture may cost in tokens by the formula of the
    model's `family`; None is no bound, or a family that is not known. `pages` "all" sends every page of a document.
    """

    max_side: int | None
    max_tokens: int | None = None
    family: str | None = None
    pages: Literal["first", "all"] = "first"


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """The picture as it is sent: `width` x `height` of the upright source, `sent_width` x `sent_height` going out.

    `tokens` is what it is expected to cost by its model's formula, None where none is known.
    """

    data: bytes
    mime: str
    width: int
    height: int
    sent_width: int
    sent_height: int
    tokens: int | None = None
