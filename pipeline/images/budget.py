"""Bytes in flight: one weighted budget, first come first served, for raw and encoded pictures.

Invariants: a grant never brings the sum over the limit, unless nothing at all was held (a picture larger than the
whole budget goes alone). Nobody overtakes the waiter in front, however small. Only a resize may run up a debt, which
the next takers wait for. Belongs to one event loop; not for use from threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio
import anyio.lowlevel


class ByteHold:
    """Bytes held by one picture; implements the port `Hold`."""

    def __init__(self, move: Callable[[int], None], weight: int) -> None:
        self._move = move
        self._weight = weight

    def resize(self, weight: int) -> None:
        """Hold `weight` bytes from now on. Never waits, so growing may exceed the limit.

        Raises ValueError for a negative weight.
        """
        if weight < 0:
            raise ValueError(f"a hold of {weight} bytes")
        self._move(weight - self._weight)
        self._weight = weight

    def give(self, weight: int) -> None:
        """Give back `weight` of the held bytes. Giving 0 is harmless; every other call counts.

        Raises ValueError when that is negative or more than is still held, and then changes nothing.
        """
        if not 0 <= weight <= self._weight:
            raise ValueError(f"{weight} bytes given back of {self._weight} held")
        self.resize(self._weight - weight)


class _Waiter:
    """One taker in the queue."""

    def __init__(self, weight: int) -> None:
        self.weight = weight
        self.granted = anyio.Event()


class ByteBudget:
    """The port `Budget` over `limit` bytes. Raises ValueError for a limit under 1."""

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"a budget of {limit} bytes")
        self.limit = limit
        self._held = 0
        self._waiters: deque[_Waiter] = deque()

    @property
    def held(self) -> int:
        """Bytes held now; over the limit only by a lone large picture or by resizes."""
        return self._held

    async def take(self, weight: int) -> ByteHold:
        """Wait until `weight` bytes are free and hold them. A cancelled wait holds nothing and blocks nobody.

        Raises ValueError for a negative weight.
        """
        if weight < 0:
            raise ValueError(f"a hold of {weight} bytes")
        await anyio.lowlevel.checkpoint_if_cancelled()
        waiter = _Waiter(weight)
        self._waiters.append(waiter)
        self._grant()
        if not waiter.granted.is_set():
            try:
                await waiter.granted.wait()
            except anyio.get_cancelled_exc_class():
                # The grant may have come between the cancellation and now: then it is given back.
                if waiter.granted.is_set():
                    self._move(-weight)
                else:
                    self._waiters.remove(waiter)
                    self._grant()
                raise
        return ByteHold(self._move, weight)

    def _move(self, weight: int) -> None:
        """Change the sum by `weight` bytes and let in who fits now."""
        self._held += weight
        self._grant()

    def _grant(self) -> None:
        while self._waiters and (self._held == 0 or self._held + self._waiters[0].weight <= self.limit):
            waiter = self._waiters.popleft()
            self._held += waiter.weight
            waiter.granted.set()
