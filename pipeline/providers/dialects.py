"""What each kind of server accepts. Adding one is one entry in `DIALECTS`.

Every entry names its sources and their date; limits are checked before anything is sent. Vendors change them: what a
server refuses all the same is told by `errors.py`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from pipeline.core.pictures import FetchRule
from pipeline.providers.dialect import Affinity, Dialect, media

_USUAL: Final = frozenset({"model", "messages", "temperature", "seed", "response_format", "frequency_penalty"})
_OPENAI_LIMITS: Final = tuple(
    f"x-ratelimit-{what}-{unit}" for what in ("limit", "remaining", "reset") for unit in ("requests", "tokens")
)

DIALECTS: Final[dict[str, Dialect]] = {
    dialect.name: dialect
    for dialect in (
        # 30 images and less than 10 MB of base64 in a request; an address is fetched within 1.5 s and up to 5 MB, and a
        # redirect is reported to be refused. Without streaming more than 4,096 max_tokens is refused. Prompts that are
        # too long are by default answered with fewer tokens than asked for; an error is honest. Usage comes in the last
        # chunk unasked, cached tokens of a stream only with perf_metrics_in_response.
        Dialect(
            name="fireworks",
            source="docs.fireworks.ai: vision guide, prompt caching, error codes; fireworks-ai 1.2.30; 2026-11-22",
            met=False,
            base_url="https://api.fireworks.ai/inference/v1",
            api_key_env="FIREWORKS_API_KEY",
            fields=_USUAL
            | {
                *("prompt", "images", "max_tokens", "stream", "perf_metrics_in_response"),
                *("context_length_exceeded_behavior", "prompt_cache_key", "repetition_penalty"),
            },
            reads=media("png jpeg gif bmp tiff x-portable-pixmap"),
            max_images=30,
            max_base64_bytes=10_000_000,
            fetches=FetchRule(media("png jpeg gif bmp tiff x-portable-pixmap"), 5_000_000, 1.5),
            stream_above=4096,
            penalty=("repetition_penalty", 1.15),
            extra=MappingProxyType({"context_length_exceeded_behavior": "error"}),
            completions="image_list",
            affinity=Affinity("prompt_cache_key", "x-session-affinity"),
            tells_cached="usage, else header fireworks-cached-prompt-tokens, else perf_metrics of a stream",
            rate_headers=tuple(
                f"x-ratelimit-limit-tokens-{name}" for name in ("prompt", "cache-adjusted-prompt", "generated")
            ),
        ),
        # 1,500 images and 512 MB in a request. Reasoning models refuse the older field max_tokens. An animated GIF is
        # refused and a header does not tell it from another. How long a fetch may take, and how large a picture may be,
        # is not said; these are guesses on the safe side. From GPT-5.6 on writing to the cache costs: see prices.toml.
        Dialect(
            name="openai",
            source="developers.openai.com: images and vision, prompt caching, error codes; openai 3.54.0; 2026-11-22",
            met=False,
            base_url="https://api.openai.com/v1",
            api_key_env="OPENAI_API_KEY",
            fields=_USUAL | {"max_completion_tokens", "stream", "stream_options", "prompt_cache_key"},
            reads=media("png jpeg webp gif"),
            max_images=1500,
            max_base64_bytes=512_000_000,
            fetches=FetchRule(media("png jpeg webp"), 20_000_000, 5.0, redirects=True),
            max_tokens_field="max_completion_tokens",
            affinity=Affinity("prompt_cache_key"),
            rate_headers=_OPENAI_LIMITS,
        ),
        # The port is that of `vllm serve`. It fetches within 5 s (VLLM_IMAGE_FETCH_TIMEOUT) up to 256 MB and follows
        # redirects. Fields that it does not know it ignores without a word.
        Dialect(
            name="vllm",
            source="vllm 0.33.0, source; answers of 0.32.0 on a CPU, seen by hand; 2026-11-22",
            met=False,
            base_url="http://127.0.0.1:8000/v1",
            fields=_USUAL | {"max_tokens", "stream", "stream_options", "repetition_penalty"},
            reads=media("png jpeg gif webp bmp tiff avif x-portable-pixmap"),
            fetches=FetchRule(media("png jpeg gif webp bmp tiff avif"), 256_000_000, 5.0, redirects=True, private=True),
            penalty=("repetition_penalty", 1.15),
            tells_cached="usage, when started with --enable-prompt-tokens-details",
        ),
        # A fetch may take 3 s in all and 64 MB, with up to five redirects; whatever goes wrong is told as a 400.
        Dialect(
            name="sglang",
            source="sglang 0.5.23, source; 2026-11-22",
            met=False,
            base_url="http://127.0.0.1:30000/v1",
            fields=_USUAL | {"max_tokens", "stream", "stream_options", "repetition_penalty"},
            reads=media("png jpeg gif webp bmp tiff x-portable-pixmap"),
            fetches=FetchRule(media("png jpeg gif webp bmp tiff"), 64_000_000, 3.0, redirects=True, private=True),
            penalty=("repetition_penalty", 1.15),
            tells_cached="usage, when started with --enable-cache-report",
        ),
        # The port is that of `llama-server`, which fetches within 10 s and 10 MB, and reads what stb_image does. Only
        # its own /completion takes pictures with a prompt, and enforces `json_schema` there (/v1/completions wants a
        # plain text): observed on xllamacpp 2026.10, which is llama.cpp 11549.
        Dialect(
            name="llamacpp",
            source="llama.cpp tools/server, docs and source, 2026; answers of build 11549; 2026-11-25",
            met=True,
            base_url="http://127.0.0.1:8080/v1",
            fields=_USUAL
            | {"prompt", "max_tokens", "n_predict", "json_schema", "stream", "stream_options", "repeat_penalty"},
            reads=media("png jpeg gif bmp"),
            fetches=FetchRule(media("png jpeg gif bmp"), 10_000_000, 10.0, private=True),
            penalty=("repeat_penalty", 1.15),
            completions="media_marker",
            tells_cached="usage, or timings.cache_n of /completion",
        ),
        # Addresses are refused, other types too. A prompt beyond OLLAMA_CONTEXT_LENGTH is cut without a word.
        Dialect(
            name="ollama",
            source="github.com/ollama/ollama: docs/api/openai-compatibility.mdx, openai/openai.go of 2026-08-21",
            met=False,
            base_url="http://127.0.0.1:11434/v1",
            fields=_USUAL | {"max_tokens", "stream", "stream_options"},
            reads=media("jpeg png webp"),
            tells_cached="nowhere",
        ),
        # A proxy: what is behind it decides, so only what all of them take is sent. It refuses fields that the provider
        # behind does not know, but makes its Fireworks route's x-session-affinity of a session id, which is a header.
        Dialect(
            name="litellm",
            source="litellm 1.109.1, source; answers of 1.106.2 in front of llama.cpp, seen by hand; 2026-11-22",
            met=False,
            base_url="http://127.0.0.1:4000/v1",
            fields=_USUAL | {"max_tokens", "stream", "stream_options"},
            affinity=Affinity(header="x-litellm-session-id"),
            tells_cached="usage, else the header of the server behind it with llm_provider- in front",
            rate_headers=tuple(f"llm_provider-{name}" for name in _OPENAI_LIMITS),
            prices_itself=True,
        ),
        Dialect(
            name="generic",
            source="what the servers above have in common",
            met=True,
            fields=_USUAL | {"max_tokens"},
            reads=media("png jpeg gif webp bmp tiff"),
        ),
        Dialect(
            name="embedded",
            source="pipeline/embedded",
            met=True,
            fields=(_USUAL - {"frequency_penalty"}) | {"max_tokens"},
            max_base64_bytes=64_000_000,
            penalty=None,
            tells_cached="nowhere",
        ),
    )
}
