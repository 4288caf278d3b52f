"""What each kind of server accepts. Adding one is one entry in `DIALECTS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from pipeline.core.pictures import FetchRule
from pipeline.core.types import Scalar

SAFE_FORMATS: Final = frozenset({"JPEG", "PNG"})
"""Read by every server tried. WebP fails on llama.cpp and is not on Fireworks' list; TIFF and BMP fail on OpenAI."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of server.

    `accepts` holds Pillow's names of the picture formats that are sent as they are; `max_base64_bytes` counts base64
    characters over all pictures of a request; `max_tokens_cap` bounds the answer, in tokens; `extra` are body fields
    sent with every request; `fetches` tells which pictures may be sent by their address. None: no limit, or nothing to
    choose by default.
    """

    name: str
    base_url: str | None = None
    api_key_env: str | None = None
    accepts: frozenset[str] = SAFE_FORMATS
    max_images: int | None = None
    max_base64_bytes: int | None = None
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    max_tokens_cap: int | None = None
    extra: Mapping[str, Scalar] = field(default_factory=lambda: MappingProxyType({}))
    fetches: FetchRule | None = None
    prices_itself: bool = False
    """Whether it says with every answer what it costs."""


def _media(names: str) -> frozenset[str]:
    return frozenset(f"image/{name}" for name in names.split())


DIALECTS: Final[dict[str, Dialect]] = {
    dialect.name: dialect
    for dialect in (
        # docs.fireworks.ai, "Querying vision-language models" and API reference, 2026-11-22: 30 images and less than
        # 10 MB of base64 in a request. Without streaming more than 4,096 max_tokens is refused. Prompts that are too
        # long are by default answered with fewer tokens than asked for; an error is honest.
        Dialect(
            name="fireworks",
            base_url="https://api.fireworks.ai/inference/v1",
            api_key_env="FIREWORKS_API_KEY",
            max_images=30,
            max_base64_bytes=10_000_000,
            max_tokens_cap=4096,
            extra=MappingProxyType({"context_length_exceeded_behavior": "error"}),
            # The same pages: an address is fetched within 1.5 s and up to 5 MB; a redirect is reported to be refused.
            fetches=FetchRule(_media("png jpeg gif bmp tiff x-portable-pixmap"), 5_000_000, 1.5),
        ),
        # developers.openai.com, guide "Images and vision", 2026-11-22: 1,500 images and 512 MB in a request. Reasoning
        # models refuse the older field max_tokens.
        Dialect(
            name="openai",
            base_url="https://api.openai.com/v1",
            api_key_env="OPENAI_API_KEY",
            max_images=1500,
            max_base64_bytes=512_000_000,
            max_tokens_field="max_completion_tokens",
            # An animated GIF is refused and a header does not tell it from another. How long a fetch may take, and how
            # large a picture may be, is not said; these are guesses on the safe side.
            fetches=FetchRule(_media("png jpeg webp"), 20_000_000, 5.0, redirects=True),
        ),
        # The ports are those that `vllm serve` (0.33) and `llama-server` (2026) listen on unless told otherwise.
        # vLLM fetches within 5 s (VLLM_IMAGE_FETCH_TIMEOUT) up to 256 MB and follows redirects; llama-server takes 10 s
        # and 10 MB, and reads what stb_image does.
        Dialect(
            name="vllm",
            base_url="http://127.0.0.1:8000/v1",
            fetches=FetchRule(
                _media("png jpeg gif webp bmp tiff avif"), 256_000_000, 5.0, redirects=True, private=True
            ),
        ),
        Dialect(
            name="llamacpp",
            base_url="http://127.0.0.1:8080/v1",
            fetches=FetchRule(_media("png jpeg gif bmp"), 10_000_000, 10.0, private=True),
        ),
        Dialect(name="generic"),
        Dialect(name="embedded", max_base64_bytes=64_000_000),
    )
}
