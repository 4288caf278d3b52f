"""What a run may spend: when it is spent, nothing more is asked; what is on the wire is still paid for and kept."""

from __future__ import annotations

from dataclasses import replace

from pipeline.core.errors import ServerError
from pipeline.core.outcomes import Spent
from pipeline.engine.shutdown import Stop


class Purse:
    """`most_usd` over the output's life (None: no bound), of which `spent_usd` were spent by earlier runs."""

    def __init__(self, most_usd: float | None, spent_usd: float, stop: Stop) -> None:
        self._most_usd = most_usd
        self._spent_usd = spent_usd
        self._stop = stop

    def pay(self, before: Spent, after: Spent) -> None:
        """An answer has changed what a row has used up. Drains the run when the bound is reached.

        An answer whose price nobody can tell ends the run: the bound could not be kept.
        """
        if self._most_usd is None or after == replace(before, attempts=after.attempts):
            return
        if after.cost_usd is None:
            self._stop.fail(
                ServerError(
                    "The server does not say how many tokens its answers took, so run.max_cost_usd cannot be kept. "
                    "Take the setting away, or choose a server that counts. What was answered is kept."
                )
            )
            return
        self._spent_usd += after.cost_usd - (before.cost_usd or 0.0)
        if self._spent_usd >= self._most_usd:
            self._stop.out_of_money()
