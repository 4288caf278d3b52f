"""Who sends next, and when: one line, then the gate, a slot and the rate, in this order.

The line is first come, first served, and only its head waits for the rest. The rate comes last, directly before the
send: a token taken earlier would be sent late and in a clump with others.
"""

from __future__ import annotations

import anyio

from pipeline.pacing.gate import Gate
from pipeline.pacing.quota import Quota


class Admission:
    """At most `concurrency` requests at once and `requests_per_minute` (None: no limit); implements the port Pacer.

    For one server, account and model. An owner is any hashable object, for one attempt at a time; `answered`, `refused`
    or `unreachable` is called before its `release`, or directly after it.
    """

    def __init__(self, concurrency: int, requests_per_minute: float | None) -> None:
        self._line = anyio.Lock(fast_acquire=True)
        self._slots = anyio.CapacityLimiter(concurrency)
        self._quota = None if requests_per_minute is None else Quota(requests_per_minute)
        self._gate = Gate()

    async def acquire(self, owner: object) -> None:
        """Wait, first come first served, for the shared gate, a slot and the rate. Cancelling gives all back."""
        async with self._line:
            await self._gate.wait()
            await self._slots.acquire_on_behalf_of(owner)
            try:
                if self._quota is not None:
                    await self._quota.take()
                # It may have closed while the slot and the rate were waited for.
                await self._gate.enter(owner)
            except BaseException:
                self._slots.release_on_behalf_of(owner)
                raise

    def release(self, owner: object) -> None:
        """Give the slot back; the attempt is over."""
        self._gate.leave(owner)
        self._slots.release_on_behalf_of(owner)

    def answered(self) -> None:
        """The server answered a request of this run."""
        self._gate.answered()

    def refused(self, retry_after: float | None) -> None:
        """The server said 429: nobody sends for `retry_after` seconds, or for a growing wait."""
        self._gate.refused(retry_after)

    def unreachable(self, retry_after: float | None = None) -> None:
        """The server is down or overloaded: nobody sends for a growing wait or `retry_after` seconds, then one."""
        self._gate.unreachable(retry_after)
