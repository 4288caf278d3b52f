"""How far a text is from the one that stands on the picture: character and word error rates, and facts told.

Both texts are normalised first: Unicode NFC, every run of white space one blank, none at the ends. Case, punctuation
and diacritics count. In languages written without blanks (`UNSPACED`) all white space is taken out, since where a line
breaks says nothing there, and no words are counted.

A rate is edits (insertions, deletions, substitutions) per character or word of the reference, by jiwer; it exceeds 1
where more was made up than stands there. Where nothing stands there, nothing read is 0 and anything read is 1.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import jiwer

UNSPACED = frozenset({"zh", "ja", "th", "lo", "km", "my", "yue"})
"""Languages whose words no blanks part, by the first part of their codes."""


def normalise(text: str) -> str:
    """NFC, white space collapsed to single blanks, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def folded(text: str) -> str:
    """Normalised, and without regard to case: for facts and keywords."""
    return unicodedata.normalize("NFC", normalise(text).casefold())


def unspaced(languages: Sequence[str]) -> bool:
    """Whether one of these languages is written without blanks."""
    return any(language.lower().replace("_", "-").split("-")[0] in UNSPACED for language in languages)


def cer(reference: str, given: str, languages: Sequence[str] = ()) -> float:
    """The character error rate."""
    reference, given = normalise(reference), normalise(given)
    if unspaced(languages):
        reference, given = reference.replace(" ", ""), given.replace(" ", "")
    if not reference:
        return 1.0 if given else 0.0
    return float(jiwer.cer(reference, given))


def wer(reference: str, given: str) -> float:
    """The word error rate; words are what blanks part."""
    reference, given = normalise(reference), normalise(given)
    if not reference:
        return 1.0 if given else 0.0
    return float(jiwer.wer(reference, given))


def told(facts: Sequence[str], text: str) -> float:
    """The share of facts that stand in a text, without regard to case; facts must not be empty.

    A fact's digit at either end has no further digit beside it: "12" does not stand in "512".
    """
    within = folded(text)
    return sum(_stands(folded(fact), within) for fact in facts) / len(facts)


def _stands(fact: str, within: str) -> bool:
    before = r"(?<!\d)" if re.match(r"\d", fact) else ""
    behind = r"(?!\d)" if re.search(r"\d$", fact) else ""
    return re.search(before + re.escape(fact) + behind, within) is not None
