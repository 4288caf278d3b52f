"""Whether an answer ends in a loop: a model that says the same again and again until its tokens are used up.

A cut answer that repeats itself was most likely never going to end. A complete one was ended by the model, so only what
no page would hold counts: dot leaders, rules and repeated rows of a table are legitimate. The thresholds are set
against the generated loops, tables and lists of `tests/tasks/loops.py`.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

_WINDOW = 12_000
"""Characters at the end of an answer in which a loop is looked for: a loop, once entered, is not left again."""
_SHORTEST_LOOP = 150
"""Characters: `_is_degenerate` takes nothing shorter for a loop."""
_MAX_UNIT = 1500
"""Characters: the longest passage whose repetition is noticed."""
_BLANKS = 200
"""Blanks and line ends in a row that only a server which holds a model to a grammar makes it write."""
_SEPARATED = re.compile(r"[|\t;,\"]")
"""What stands between the cells of a table or the items of a list: these may well be equal."""
_SENTENCES = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_NUMBER = re.compile(r"\d+")


class _Run(NamedTuple):
    """How a text ends: `unit`, said `times` times over `length` characters."""

    unit: str
    times: int
    length: int


def find_loop(text: str, *, cut: bool) -> str | None:
    """The passage that `text` repeats to its end without stopping, or None. `cut`: the answer was not complete."""
    if cut and len(text) - len(text.rstrip()) >= _BLANKS:
        return text[-1]
    text = text.strip()
    if len(text) < _SHORTEST_LOOP:
        return None
    tail = text[-_WINDOW:]
    if not cut:
        tail = tail.rstrip('"}]) \r\n\t.')  # what closes an answer after its loop
    if (run := _run(tail, cut=cut)) is not None:
        return run.unit
    return (_counting(tail) or _shuffled(tail)) if cut else None


def _run(tail: str, *, cut: bool) -> _Run | None:
    """The degenerate repetition that the tail ends in."""
    ending, end = tail[-8:], len(tail)
    period = 0
    while True:
        at = tail.rfind(ending, max(0, end - _MAX_UNIT - len(ending)), end - period - 1)
        if at < 0:
            return None
        period = end - len(ending) - at
        unit = tail[end - period :]
        times = 1
        while (times + 1) * period <= end and tail.startswith(unit, end - (times + 1) * period):
            times += 1
        run = _Run(unit, times, times * period)
        if _is_degenerate(run, cut=cut):
            return run
        if times > 1:  # within what repeats, only multiples of this period repeat at all (Fine and Wilf)
            period = run.length - period


def _is_degenerate(run: _Run, *, cut: bool) -> bool:
    unit, times, length = run
    if times < 3 or length < _SHORTEST_LOOP:
        return False  # by far the most
    letters = sum(character.isalpha() for character in unit)
    separated = _SEPARATED.search(unit) is not None
    if not cut:
        if not letters:
            return False
        if "\n" in unit or (separated and len(unit) >= 30):
            return times >= 50 and length >= 1500
        return times >= (80 if separated else 30) and length >= (600 if separated else 150)
    if not letters:
        if not any(character.isdigit() for character in unit):
            return times >= 10 and length >= 1000  # rules, leaders, blanks to fill in
        return times >= 40 and length >= (1500 if "\n" in unit else 500)
    if separated or letters * 2 < len(unit):
        return times >= 12 and length >= 200
    return length >= 200 and times >= (10 if len(unit) < 40 else 5 if len(unit) < 250 else 3)


def _counting(tail: str) -> str | None:
    """A sentence said again and again with nothing new in it but a number that counts up."""
    run = _longest(_NUMBER.sub("0", tail))
    if run is None or run.times < 12 or run.length < 400 or not _is_sentence(run.unit):
        return None
    each = run.unit.count("0")
    if each not in (1, 2):  # days and amounts of a bank statement count up, too
        return None
    # The last of them may be cut.
    numbers = [int(number[:18]) for number in _NUMBER.findall(tail)[-each * (run.times - 1) : -each]]
    for place in range(each):
        column = numbers[place::each]
        if len({after - before for before, after in pairwise(column)}) > 1:
            return None
    return run.unit


def _longest(tail: str) -> _Run | None:
    """The shortest unit that the tail repeats to its end at least twice."""
    ending, end = tail[-24:], len(tail)
    at = tail.rfind(ending, max(0, end - _MAX_UNIT - len(ending)), end - 1)
    if at < 0:
        return None
    period = end - len(ending) - at
    unit = tail[end - period :]
    times = 1
    while (times + 1) * period <= end and tail.startswith(unit, end - (times + 1) * period):
        times += 1
    return _Run(unit, times, times * period)


def _shuffled(tail: str) -> str | None:
    """One of the few sentences that an answer says over and over in any order."""
    said = [" ".join(piece.split()) for piece in _SENTENCES.split(tail)][-26:-1]  # the last may be cut
    if len(said) == 25 and len(set(said)) <= 4 and all(_is_sentence(piece) for piece in said):
        return said[-1]
    return None


def _is_sentence(text: str) -> bool:
    """Whether this is prose rather than the row of a table, an item of a list or a line of a form."""
    letters = sum(character.isalpha() for character in text)
    return letters >= 20 and letters * 2 >= len(text) and len(text.split()) >= 4 and "|" not in text
