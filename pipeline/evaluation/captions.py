"""How good a caption is: close to one of the reference captions, and naming what the picture shows.

`chrf` is chrF++ (sacrebleu: character 6-grams, word bigrams, beta 2) against the reference it is closest to, from 0
to 1. `keywords` is the share named of what the label says a caption names (`subject`, `subjects`), and where it says
nothing, of the content words of all reference captions: words of more than two characters, or of any in a script
without case, that are no English function words. The facts of `must_contain` are a metric of their own.

A word is named where it stands as a word of its own, without regard to case, also in its regular English plural.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from sacrebleu.metrics.chrf import CHRF

from pipeline.evaluation.text import folded, normalise

_CHRF = CHRF(word_order=2)
_MARKS = string.punctuation + "“”„‘’«»‹›–—…·।、。，：；！？「」『』（）"
"""What is taken off the ends of words."""
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    and are but can for had has her him his how its not off one our out she the too two was who you
        about above across after against along also among around been before behind below beneath beside between
    both down each from have here into itself just like more most near only onto other over same several some
    such than that their them then there these they this those through toward towards under until upon very what
    when where which while whose will with within without your
    """,
    )
)


def chrf(references: Sequence[str], caption: str) -> float:
    """chrF++ against the closest of the references, from 0 to 1."""
    given = normalise(caption)
    return max(float(_CHRF.sentence_score(given, [normalise(one)]).score) for one in references) / 100


def keywords(subjects: Sequence[Sequence[str]], captions: Sequence[str], caption: str) -> float | None:
    """The share of the keywords that a caption names; None where the label gives none."""
    wanted = [tuple(names) for names in subjects] or [(word,) for word in _content_words(captions)]
    if not wanted:
        return None
    within = folded(caption)
    return sum(any(_names(word, within) for word in names) for names in wanted) / len(wanted)


def _content_words(captions: Sequence[str]) -> list[str]:
    words = {word.strip(_MARKS) for caption in captions for word in folded(caption).split()}
    content = words - _FUNCTION_WORDS - {""}
    return sorted(word for word in content if len(word) > 2 or word.upper() == word.lower())


def _names(word: str, within: str) -> bool:
    wanted = folded(word)
    if any(character.upper() == character.lower() and character.isalpha() for character in wanted):
        return wanted in within  # scripts without case need not part words
    plural = f"{re.escape(wanted[:-1])}ies|" if wanted.endswith("y") else ""
    return re.search(rf"(?<!\w)(?:{plural}{re.escape(wanted)}(?:s|es)?)(?!\w)", within) is not None
