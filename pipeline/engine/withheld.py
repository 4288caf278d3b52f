"""Refusals kept back while no row was answered: should the configuration be to blame, their rows stay to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pipeline.core.errors import CallError, ItemError
from pipeline.core.outcomes import Life, Outcome
from pipeline.core.types import Facts, RowId
from pipeline.engine.breaker import Breaker, every_row_refused
from pipeline.engine.events import Events
from pipeline.engine.shutdown import Stop

MOST = 50
"""Refusals kept back at most, all of them small: enough to see whether the words repeat."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One request made: where the question stands, and why it is not answered (with an error's body)."""

    life: Life
    error: CallError | None = None
    body: bytes = b""


class _Refusal(NamedTuple):
    """In the order in which `Events.ended` takes it."""

    row: RowId
    facts: Facts
    error: ItemError
    life: Life
    attempts: int
    body: bytes


class Withheld:
    """Without pictures, and only so many: words that differ from row to row are about the rows."""

    def __init__(self, breaker: Breaker, events: Events, stop: Stop) -> None:
        self._breaker = breaker
        self._events = events
        self._stop = stop
        self._refusals: list[_Refusal] = []

    def take(self, row: RowId, facts: Facts, tried: Tried, attempts: int) -> bool:
        """Keep a refusal back, if it may yet turn out to be the configuration's: not that of a repair."""
        error = tried.error
        if error is None or tried.life.spent.answers or not self._breaker.suspects(error):
            return False
        if self._breaker.has_answered or len(self._refusals) >= MOST:
            return False
        self._refusals.append(_Refusal(row, facts, error, tried.life, attempts, tried.body))
        return True

    def released(self, *, proven: bool) -> list[Outcome]:
        """The refusals kept back, journaled now: calling is over and nothing stopped the run, so they are the rows'.

        Unless they are all there is: several bad requests in the same words, none answered, and the output not
        `proven` by an earlier answer. Then the configuration is to blame; the run stops, its rows stay to do.
        """
        refusals, self._refusals = self._refusals, []
        words = {refused.error.message for refused in refusals}
        unclear = all(refused.error.kind == "bad_request" for refused in refusals)
        if not (proven or self._breaker.has_answered) and len(refusals) > 1 and len(words) == 1 and unclear:
            self._stop.fail(every_row_refused(len(refusals), words.pop()))
            return []
        return [self._events.ended(*refused) for refused in refusals]
