"""The first request of a prefix goes alone: those behind it find the prefix in the server's cache.

Sent together, as many requests as there are slots would each be billed, and computed, without a cache.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from pipeline.core.types import RowId
from pipeline.engine.questions import Question

WORTH_CHARACTERS = 1024
"""Of fixed text: servers cache from some hundred tokens on, and a shorter prefix costs less than waiting."""
PATIENCE_S = 30.0
"""Nobody waits longer for another's request."""


@dataclass(slots=True)
class _Turn:
    row: RowId
    over: anyio.Event = field(default_factory=anyio.Event)
    warm: bool = False


class Warming:
    """`wanted` is False for a server without a cache."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self._turns: dict[tuple[str, str | None], _Turn] = {}

    async def wait(self, question: Question) -> None:
        """Wait while the first request of the same prefix is out. Nothing may be held but the question."""
        if not self._pays(question):
            return
        prefix = self._prefix(question)
        with anyio.move_on_after(PATIENCE_S):
            while (turn := self._turns.get(prefix)) is not None and not turn.warm and turn.row != question.row:
                await turn.over.wait()
            if turn is None:
                self._turns[prefix] = _Turn(question.row)

    def over(self, question: Question, *, answered: bool) -> None:
        """An attempt has ended; the next one leads where it was the first and was not answered."""
        turn = self._turns.get(self._prefix(question))
        if turn is None or turn.warm or not (answered or turn.row == question.row):
            return
        if answered:
            turn.warm = True
        else:
            del self._turns[self._prefix(question)]
        turn.over.set()

    def _pays(self, question: Question) -> bool:
        # Questions that begin with their picture are asked back to back instead.
        fixed = question.prompt.fixed
        long_enough = len(fixed.system) + len(fixed.instructions) >= WORTH_CHARACTERS
        return self._wanted and long_enough and not question.prompt.image_first

    @staticmethod
    def _prefix(question: Question) -> tuple[str, str | None]:
        return f"{question.prompt.fixed.model} {question.prompt.fixed.sha256}", question.route
