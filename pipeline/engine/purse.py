"""What a run may spend: when it is spent, nothing more is asked; what is on the wire is still paid for and kept."""

from __future__ import annotations

from typing import Final

from pipeline.core.errors import ServerError
from pipeline.engine.settle import Reading
from pipeline.engine.shutdown import Stop

GAPS: Final = 5
"""So many answers in a row whose price nobody can tell show that a bound cannot be kept; fewer are a server's slips."""


class Purse:
    """`most_usd` over the output's life (None: no bound), of which `spent_usd` were spent by earlier runs."""

    def __init__(self, most_usd: float | None, spent_usd: float, stop: Stop) -> None:
        self._most_usd = most_usd
        self._spent_usd = spent_usd
        self._stop = stop
        self._dearest_usd: float | None = None
        self._gaps = 0
        self._owed = 0
        """Answers without a price that came before any with one."""

    def pay(self, reading: Reading, model: str) -> None:
        """A reply of this model has been read. Drains the run when the bound is reached.

        An answer whose price nobody can tell is charged as the dearest so far, those before the first price as soon as
        there is one; a row of them ends the run. What was broken off without a price is not charged.
        """
        if self._most_usd is None:
            return
        cost_usd = reading.cost_usd
        if cost_usd is None:
            if reading.error is not None:
                return
            self._gaps += 1
            if self._gaps == GAPS:
                self._stop.fail(_cannot_be_kept(reading, model))
            self._owed += 1
        else:
            self._gaps = 0
            self._dearest_usd = max(cost_usd, self._dearest_usd or 0.0)
            self._spent_usd += cost_usd
        if self._dearest_usd is not None:
            self._spent_usd += self._owed * self._dearest_usd
            self._owed = 0
        if self._spent_usd >= self._most_usd:
            self._stop.out_of_money()


def _cannot_be_kept(reading: Reading, model: str) -> ServerError:
    usage = reading.completion.usage
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return ServerError(
            f"The server did not say how many tokens its last {GAPS} answers took, so run.max_cost_usd cannot be kept. "
            "Take the setting away, or choose a server that counts. What was answered is kept."
        )
    return ServerError(
        f"The last {GAPS} answers came without a price, and none is known for {model}, so run.max_cost_usd cannot be "
        "kept. Name the price in provider.prices, or take the setting away. What was answered is kept."
    )
