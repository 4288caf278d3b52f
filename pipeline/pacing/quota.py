"""Requests per minute, evenly spaced: no burst at the start and none after a pause.

Own arithmetic, not aiolimiter 1.3: there a waiter whose rounded wake-up time comes one unit in the last place early is
rescheduled for the same instant, for ever when the clock does not move between two looks, as in simulated time.
"""

from __future__ import annotations

from typing import Final

import anyio

CATCH_UP_S: Final = 0.25
"""How far behind its turn a request may be and still count as punctual: timers ring late, pauses are not made up."""


class Quota:
    """`per_minute` requests, the first at once, each further one 60 / per_minute seconds after the turn before it.

    For one task at a time, which is then also the one whose turn comes first.
    """

    def __init__(self, per_minute: float) -> None:
        self._interval_s = 60.0 / per_minute
        self._next_turn: float | None = None

    async def take(self) -> None:
        """Wait for the next turn. Cancelling takes none."""
        now = anyio.current_time()
        turn = now if self._next_turn is None else max(self._next_turn, now - CATCH_UP_S)
        if turn > now:
            await anyio.sleep_until(turn)
        self._next_turn = turn + self._interval_s
