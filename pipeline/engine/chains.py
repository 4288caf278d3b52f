"""Which questions go back to back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from itertools import groupby

import anyio

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


class Lanes:
    """At most `concurrency` chains under way, so that nobody else's request comes between two of one.

    There are more workers than slots. Each would ask the first question of its chain, and the second would stand in
    line behind all of those: by then the server has long put another picture in the place of this one.
    """

    def __init__(self, concurrency: int) -> None:
        self._lanes = anyio.CapacityLimiter(concurrency)

    def of(self, chain: Chain) -> AbstractAsyncContextManager[None]:
        """Wait for a lane, and hold it; a question that stands alone needs none."""
        return self._lanes if len(chain) > 1 else nullcontext()
