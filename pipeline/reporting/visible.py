"""Text of strangers for a page: what would be invisible, or would turn the text around it, is written out."""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 4_000
"""Characters of one text on a page; a person who wants more of it opens the output."""

_INVISIBLE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls other than tab and newline
    "\u200b\u2060\ufeff"  # without width and without a use; joiners and marks of direction are part of scripts
    "\u202a-\u202e\u2066-\u2069"  # embeddings, overrides and isolates: they reorder what stands beside them
    "\ufffe\uffff\ud800-\udfff"  # no characters; surrogates cannot even be written as UTF-8
    "]"
)


def visible(text: str) -> str:
    """`text` with such characters as ⟨U+202E⟩. It can be encoded, and holds nothing that a parser of HTML replaces."""
    return _INVISIBLE.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def shortened(text: str) -> str:
    """At most the first `LONGEST` characters, and how many more there are."""
    more = len(text) - LONGEST
    return text if more <= 0 else f"{text[:LONGEST]} … and {more:,} more characters"
