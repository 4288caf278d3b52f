"""Which family a model belongs to, by its name."""

from __future__ import annotations

import re
from typing import Final

_ANYWHERE: Final = (
    (r"qwen-?2([.p]5)?-?vl", "qwen2.5-vl"),
    (r"qwen-?3(-?vl|[.p][5-9])", "qwen3-vl"),
    (r"kimi-k(2[.p][5-9]|3)", "kimi-k2.5"),
    (r"minimax-m3", "minimax-m3"),
    (r"glm-(4[.p]\d+v|5[.p]3-flash)", "glm-4v"),
    (r"gemma-?3(?!-?n|[-:](1b|270m))", "gemma-3"),
    (r"gemma-?4", "gemma-4"),
    (r"internvl-?[23]([._]5)?", "internvl"),
    (r"llama-?4", "llama-4"),
    (r"pixtral-12b", "pixtral"),
    (r"mistral-small-(3[.p][12]|2503|2506)", "mistral-3"),
)
"""Names of open models stand within others': a fine-tuned one is called after what it was made from."""

_AT_THE_BEGINNING: Final = (
    (r"gpt-(4\.1|5|5\.4)-mini", "gpt-5-mini"),
    (r"gpt-(4\.1|5|5\.4)-nano", "gpt-5-nano"),
    (r"o4-mini", "o4-mini"),
    (r"gpt-4o-mini(?!-(audio|realtime|transcribe|tts))", "gpt-4o-mini"),
    (r"(chat)?gpt-4o(?!-(mini|audio|realtime|transcribe))", "gpt-4o"),
    (r"gpt-4\.[15]", "gpt-4o"),
    (r"gpt-5(?!\.)", "gpt-5"),
    (r"gpt-5\.2", "gpt-5.2"),
    (r"gpt-5\.4", "gpt-5.4"),
    (r"gpt-5\.5", "gpt-5.5"),
    (r"gpt-5\.6", "gpt-5.6"),
    (r"o[13](?!-mini)", "o1"),
)

_PATTERNS: Final = tuple(
    (re.compile(start + pattern + r"(?!\d)"), family)
    for start, patterns in ((r"(?:.*[^a-z0-9])?", _ANYWHERE), ("", _AT_THE_BEGINNING))
    for pattern, family in patterns
)


def family_of(model: str) -> str | None:
    """The name in `FAMILIES` for a model id, as a provider, a hub, LiteLLM or Ollama writes it; None if not known.

    A deployment's name is free, so a name that is not known says nothing about the model.
    """
    name = model.lower().partition("#")[0].rpartition("/")[2].removeprefix("ft:")
    return next((family for pattern, family in _PATTERNS if pattern.match(name)), None)
