"""What is to be known of one kind of server before it is asked; `dialects.py` holds the table of all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from pipeline.core.pictures import FetchRule
from pipeline.core.types import Prompt, Scalar

SAFE_FORMATS: Final = frozenset({"JPEG", "PNG"})
"""Read by every server tried. WebP fails on llama.cpp and is not on Fireworks' list; TIFF and BMP fail on OpenAI."""

SAFE_MEDIA: Final = frozenset({"image/jpeg", "image/png"})

_IMAGES_FIRST = re.compile(r"llama-?v?3[.p]2-?(?:\d+b-)?vision", re.IGNORECASE)
"""Llama 3.2 Vision as Fireworks, the hub and Ollama write its name."""


def wants_images_first(model: str) -> bool:
    """Whether a model, wherever it is served, takes pictures only before the text (Fireworks' guide, 2026-11-22)."""
    return bool(_IMAGES_FIRST.search(model))


def images_first(prompt: Prompt) -> bool:
    """Whether its pictures go before its text: it asks so, or its model takes them in no other way."""
    return prompt.image_first or wants_images_first(prompt.fixed.model)


class Affinity(NamedTuple):
    """Where a request says which cache it wants to meet: a field of the body, a header."""

    field: str | None = None
    header: str | None = None


NO_AFFINITY: Final = Affinity()


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of server. None: no limit, nothing of the kind, or nothing to choose by default.

    `source` says where the entry is from and when; `met` whether our tests have met the real server.

    `fields` are the body fields that may be sent, whatever is asked for; `max_tokens_field` is one of them,
    `stream_above` the tokens above which an answer is only given as a stream, `penalty` what an answer that ended in a
    loop is asked again with, `extra` are fields sent with every request. `completions` is the form in which a prompt
    template carries pictures.

    `accepts` holds Pillow's names of the picture formats that are sent as they are, `reads` the media types that the
    server takes; `max_base64_bytes` counts base64 characters over all pictures of a request; `fetches` tells which
    pictures may be sent by their address.

    `affinity` is how requests are kept together. `tells_cached` says where cached tokens are reported, `rate_headers`
    where limits; `prices_itself` that an answer may come with its price.
    """

    name: str
    source: str
    met: bool
    fields: frozenset[str]
    base_url: str | None = None
    api_key_env: str | None = None
    accepts: frozenset[str] = SAFE_FORMATS
    reads: frozenset[str] = SAFE_MEDIA
    max_images: int | None = None
    max_base64_bytes: int | None = None
    fetches: FetchRule | None = None
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    stream_above: int | None = None
    penalty: tuple[str, float] | None = ("frequency_penalty", 0.5)
    extra: Mapping[str, Scalar] = field(default_factory=lambda: MappingProxyType({}))
    completions: Literal["image_list", "media_marker"] | None = None
    affinity: Affinity = NO_AFFINITY
    tells_cached: str = "usage.prompt_tokens_details.cached_tokens"
    rate_headers: tuple[str, ...] = ()
    prices_itself: bool = False


def media(names: str) -> frozenset[str]:
    """Media types of pictures by the words behind the slash."""
    return frozenset(f"image/{name}" for name in names.split())
