"""Two texts side by side: which words of each, or which characters of a word, are not in the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Final

import regex  # type: ignore[import-untyped]  # it ships no types

from pipeline.reporting.visible import LONGEST

_CONTEXT: Final = 300
"""Characters that are shown of what both have before the first and behind the last difference."""

_ALIKE: Final = 0.6
"""How alike two words are from which on their characters are compared."""

_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_WORD = regex.compile(rf"{_UNSPACED}\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}]--{_UNSPACED}]+|\s+|\X", regex.V1)
"""A word; a character where a script puts no spaces between words."""

_CHARACTER = regex.compile(r"\X", regex.V1)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a text. `changed`: the other text has something else there, or nothing."""

    text: str
    changed: bool = False


Pieces = tuple[Piece, ...]


def differences(before: str, after: str) -> tuple[Pieces, Pieces]:
    """Both texts in pieces. Of what they have in common at both ends only the context is kept, and so it says.

    At most `LONGEST` characters of what lies between are compared; the rest is counted.
    """
    head = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))
    most = min(len(before), len(after)) - head
    ends = zip(reversed(before), reversed(after), strict=False)
    tail = min(most, sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ends)))
    start, stop = max(0, head - _CONTEXT), max(0, tail - _CONTEXT)
    left, right = (text[start : len(text) - stop] for text in (before, after))
    old, new = _compared(_WORD.findall(left[:LONGEST]), _WORD.findall(right[:LONGEST]))
    return _framed(old, start, len(left), stop), _framed(new, start, len(right), stop)


def _framed(pieces: Sequence[Piece], start: int, length: int, stop: int) -> Pieces:
    framed = [Piece(f"… {start:,} equal characters … ")] if start else []
    framed += pieces
    if length > LONGEST:
        framed.append(Piece(f" … and {length - LONGEST:,} more characters, not compared"))
    if stop:
        framed.append(Piece(f" … {stop:,} equal characters …"))
    return tuple(framed)


def _compared(before: Sequence[str], after: Sequence[str]) -> tuple[list[Piece], list[Piece]]:
    old: list[Piece] = []
    new: list[Piece] = []
    for tag, a, b, c, d in SequenceMatcher(None, before, after).get_opcodes():
        left, right = before[a:b], after[c:d]
        if tag == "equal":
            old.append(Piece("".join(left)))
            new.append(Piece("".join(right)))
        elif len(left) == len(right) == 1 and (inside := _inside(left[0], right[0])):
            old += inside[0]
            new += inside[1]
        else:
            old += _changed(left)
            new += _changed(right)
    return old, new


def _inside(before: str, after: str) -> tuple[list[Piece], list[Piece]] | None:
    """Two words by their characters, if they are alike."""
    left, right = _CHARACTER.findall(before), _CHARACTER.findall(after)
    if min(len(left), len(right)) < 2 or SequenceMatcher(None, left, right).ratio() < _ALIKE:
        return None
    return _compared(left, right)


def _changed(tokens: Sequence[str]) -> list[Piece]:
    """A line break that came or went has a sign, being invisible otherwise."""
    return [Piece("".join(tokens).replace("\n", "↵\n"), changed=True)] if tokens else []
