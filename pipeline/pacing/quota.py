"""Requests per minute by aiolimiter: evenly spaced, with no burst at the start and none after a pause.

An `AsyncLimiter(60, 60)` would admit twice its rate in the first minute, and its rate cannot be changed later. So the
limiter leaks one second of credit a second, and a request costs as many seconds as its rate asks for.
"""

from __future__ import annotations

from typing import Final

from aiolimiter import AsyncLimiter

CATCH_UP_S: Final = 0.25
"""Seconds of credit that a late request may catch up: timers ring late, pauses are not made up for."""


class Quota:
    """`per_minute` requests, the first at once, each further one 60 / per_minute seconds after the one before it.

    For one task at a time, which is then also the one whose turn comes first.
    """

    def __init__(self, per_minute: float) -> None:
        self._cost_s = 60.0 / per_minute
        self._owed_s = CATCH_UP_S  # an empty limiter is full of credit: the first request pays it off at once
        self._limiter = AsyncLimiter(CATCH_UP_S, CATCH_UP_S)

    async def take(self) -> None:
        """Wait for the next turn: until the one before it is paid off. Cancelling takes none."""
        while self._owed_s > 0:
            # A cost over the limiter's whole credit is paid in slices; what was paid stays paid.
            slice_s = min(self._owed_s, CATCH_UP_S)
            await self._limiter.acquire(slice_s)
            self._owed_s -= slice_s
        self._owed_s = self._cost_s
