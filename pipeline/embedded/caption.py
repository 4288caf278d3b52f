"""Composes one plain sentence out of what the models saw, and nothing else: no actions, no relations, no guesses."""

from collections import Counter
from collections.abc import Sequence

TEXT_LENGTH = 60
"""Characters of the text that a caption quotes at most."""
SURE = 0.5
"""Probability from which on the label is said: likelier right than wrong."""
PAGE_COVER = 0.1
PAGE_LINES = 3
"""A picture without objects is a page if its text has this many lines and covers this share of it."""

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_PLURALS = {
    "bench": "benches",
    "broccoli": "broccoli",
    "bus": "buses",
    "couch": "couches",
    "knife": "knives",
    "mouse": "mice",
    "person": "people",
    "sandwich": "sandwiches",
    "scissors": "scissors",
    "sheep": "sheep",
    "skis": "skis",
    "toothbrush": "toothbrushes",
    "wine glass": "wine glasses",
}
"""COCO names whose plural is not made with an s."""
_NO_ARTICLE = frozenset(
    (
        "binoculars", "broccoli", "carbonara", "chain mail", "chocolate sauce", "coral", "corn", "dough", "espresso",
        "face powder", "guacamole", "hair spray", "hay", "ice cream", "jeans", "lotion", "mashed potato",
        "parallel bars", "red wine", "scissors", "skis", "sunglasses", "sunscreen", "toilet paper", "velvet", "wool",
    )
)  # fmt: skip
"""Names that are plural or cannot be counted."""
_SOUNDED = ("uni", "euro", "one-")
"""Beginnings that are written with a vowel and spoken with a consonant."""


def compose(
    objects: Sequence[str],
    label: tuple[str, float],
    colours: Sequence[str],
    read: tuple[Sequence[str], float],
) -> str:
    """The caption.

    `objects` are COCO names, one for each object; `label` a noun and its probability; `colours` names, the commonest
    first; `read` the lines of text and the share of the picture, 0 to 1, that they cover.
    """
    lines, covered = read
    page = not objects and len(lines) >= PAGE_LINES and covered >= PAGE_COVER
    # Labels were learned from photos; on a page of text they say "web site" or "envelope" to anything.
    things = [] if page else _things(objects, label)
    if things:
        head = f"A photo of {_join(things)}"
    elif lines:
        head = "An image with text"
    else:
        head = "No recognised object"
    quoted = f'; the text reads "{_shorten(lines)}"' if lines else ""
    return f"{head}; mostly {_join(colours)}{quoted}."


def _things(objects: Sequence[str], label: tuple[str, float]) -> list[str]:
    counts = Counter(objects)
    things = [_counted(name, counts[name]) for name in sorted(counts, key=lambda name: (-counts[name], name))]
    noun, probability = label
    if probability >= SURE and noun not in counts:
        things.append(_with_article(noun))
    return things


def _counted(name: str, count: int) -> str:
    if count == 1:
        return _with_article(name)
    number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    return f"{number} {_PLURALS.get(name, name + 's')}"


def _with_article(noun: str) -> str:
    if noun in _NO_ARTICLE:
        return noun
    first = noun.lower()
    vowel = first.startswith(("a", "e", "i", "o", "u", "hour")) and not first.startswith(_SOUNDED)
    return f"{'an' if vowel else 'a'} {noun}"


def _join(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _shorten(lines: Sequence[str]) -> str:
    text = " ".join(" ".join(lines).replace('"', "'").split())
    if len(text) <= TEXT_LENGTH:
        return text
    return text[: TEXT_LENGTH - 1].rsplit(" ", 1)[0].rstrip(" .,;:") + "…"
