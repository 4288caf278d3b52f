"""Bytes in flight: one weighted budget, first come first served, for raw, decoded and encoded pictures.

Invariants: a grant never brings the sum over the limit, unless nobody works with what is held (a picture larger than
the whole budget goes alone). Nobody overtakes the waiter in front, however small. Whoever holds bytes and needs more to
decode them goes before the newcomers, and does not count as working while it waits: holders that wait for each other
let one of them through. Only a resize may run up a debt, which the next ones wait for. Belongs to one event loop; not
for use from threads.
"""

from __future__ import annotations

from collections import deque

import anyio
import anyio.lowlevel


class ByteHold:
    """Bytes held by one picture; implements the port `Hold`."""

    def __init__(self, budget: ByteBudget, weight: int) -> None:
        self._budget = budget
        self._weight = weight

    async def grow(self, weight: int) -> None:
        """Wait until at least `weight` bytes are held. A cancelled wait changes nothing."""
        if weight > self._weight:
            await self._budget.wait_for(_Waiter(weight - self._weight, idle=self._weight))
            self._weight = weight

    def resize(self, weight: int) -> None:
        """Hold `weight` bytes from now on. Never waits, so growing may exceed the limit.

        Raises ValueError for a negative weight.
        """
        if weight < 0:
            raise ValueError(f"a hold of {weight} bytes")
        self._budget.move(weight - self._weight)
        self._weight = weight

    def add(self, weight: int) -> None:
        """Hold `weight` bytes more from now on. Never waits, so the sum may exceed the limit."""
        self.resize(self._weight + weight)

    def give(self, weight: int) -> None:
        """Give back `weight` of the held bytes. Giving 0 is harmless; every other call counts.

        Raises ValueError when that is negative or more than is still held, and then changes nothing.
        """
        if not 0 <= weight <= self._weight:
            raise ValueError(f"{weight} bytes given back of {self._weight} held")
        self.resize(self._weight - weight)


class _Waiter:
    """One who waits for `weight` bytes while `idle` bytes of his lie still: None for a newcomer."""

    def __init__(self, weight: int, idle: int | None = None) -> None:
        self.weight = weight
        self.idle = idle
        self.granted = anyio.Event()


class ByteBudget:
    """The port `Budget` over `limit` bytes. Raises ValueError for a limit under 1."""

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"a budget of {limit} bytes")
        self.limit = limit
        self._held = self._idle = 0
        self._growers: deque[_Waiter] = deque()
        self._newcomers: deque[_Waiter] = deque()

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
        await self.wait_for(_Waiter(weight))
        return ByteHold(self, weight)

    async def wait_for(self, waiter: _Waiter) -> None:
        """Let this one wait for its turn; its bytes are held when this returns. For `ByteHold`."""
        await anyio.lowlevel.checkpoint_if_cancelled()
        line = self._newcomers if waiter.idle is None else self._growers
        line.append(waiter)
        self._idle += waiter.idle or 0
        self._grant()
        if not waiter.granted.is_set():
            try:
                await waiter.granted.wait()
            except anyio.get_cancelled_exc_class():
                # The grant may have come between the cancellation and now: then it is given back.
                if waiter.granted.is_set():
                    self.move(-waiter.weight)
                else:
                    line.remove(waiter)
                    self._idle -= waiter.idle or 0
                    self._grant()
                raise

    def move(self, weight: int) -> None:
        """Change the sum by `weight` bytes and let in who fits now. For `ByteHold`."""
        self._held += weight
        self._grant()

    def _grant(self) -> None:
        while line := self._growers or self._newcomers:
            nobody_works = self._held == self._idle
            if not nobody_works and self._held + line[0].weight > self.limit:
                return
            waiter = line.popleft()
            self._idle -= waiter.idle or 0
            self._held += waiter.weight
            waiter.granted.set()
