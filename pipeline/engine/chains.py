"""Which questions go back to back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from pipeline.engine.questions import Question

Chain = tuple[Question, ...]
"""Questions that one worker asks one after the other: each finds what the one before has left in the server's cache."""


def chains(questions: Iterable[Question]) -> Iterator[Chain]:
    """Neighbours that begin with the same picture together, every other question alone."""
    for shared, group in groupby(questions, _beginning):
        if shared is None:
            yield from ((question,) for question in group)
        else:
            yield tuple(group)


def _beginning(question: Question) -> tuple[object, ...] | None:
    if not question.prompt.image_first:
        return None
    return (question.prompt.fixed.model, *question.prompt.images)
