"""What an answer says against being read by a model: the header X-Robots-Tag with `noai` or `noimageai`.

Syntax: "Robots meta tag, data-nosnippet, and X-Robots-Tag specifications" (Google Search Central, 2026-11-25); the two
directives are DeviantArt's of 2022-11, which img2dataset obeys as well. A directive may be meant for one robot
("googlebot: noindex, nofollow"); then it binds only that one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

NAME: Final = "vlm-batch"

_FORBIDDING: Final = frozenset({"noai", "noimageai"})
_WITH_VALUE: Final = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


def forbids(values: Iterable[str]) -> str | None:
    """The directive that keeps this program from the answer, if one does; `values` are those of all such headers."""
    for value in values:
        robot = "*"
        for part in value.lower().split(","):
            before, colon, after = part.partition(":")
            directive = part.strip()
            if colon and before.strip() not in _WITH_VALUE:
                robot, directive = before.strip(), after.strip()
            if directive in _FORBIDDING and robot in {"*", NAME}:
                return directive
    return None
