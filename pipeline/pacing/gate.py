"""One gate for all requests to a server: closed after a refusal or an outage, reopened by one canary.

    open ──refused, unreachable──> closed until a time ──time over, one goes──> canary out ──answered──> open
                                        ^                                          │  └─ended without outcome: next one
                                        └──────────────refused, unreachable────────┘

Without the canary everybody who waited would be sent at once, into a server that has just said that it is full.
Requests sent before the gate closed still come back while the canary is out. Their answers prove nothing: until they
are through, the gate opens when the canary itself has ended and there was an answer.
"""

from __future__ import annotations

from typing import Final

import anyio

QUOTA_WAIT_S: Final = (0.5, 8.0)
OUTAGE_WAIT_S: Final = (1.0, 30.0)
"""First and longest wait in seconds; doubled each time the canary fails."""


class Gate:
    """Times are seconds on the event loop's clock. One task at a time may be in `wait` or `enter`.

    An outcome is reported before `leave`, or after it without anything awaited in between.
    """

    def __init__(self) -> None:
        self._closed_until: float | None = None
        self._quota_wait, self._outage_wait = QUOTA_WAIT_S[0], OUTAGE_WAIT_S[0]
        self._out: set[object] = set()
        self._canary: object | None = None
        self._trying = False
        self._answer_seen = False
        self._changed = anyio.Event()

    async def wait(self) -> None:
        """Wait until a request may be sent."""
        while self._closed_until is not None:
            if anyio.current_time() < self._closed_until:
                await anyio.sleep_until(self._closed_until)
            elif self._canary is not None:
                await self._changed.wait()
            else:
                return

    async def enter(self, owner: object) -> None:
        """Wait until a request may be sent, and count it as sent; the first after a closure is the canary."""
        await self.wait()
        # Nothing is awaited from here on: whoever is counted comes back through `leave`.
        self._out.add(owner)
        if self._closed_until is not None:
            self._canary, self._trying, self._answer_seen = owner, True, False

    def leave(self, owner: object) -> None:
        """The request has ended. A canary without an outcome makes room for the next one."""
        self._out.discard(owner)
        if owner is self._canary:
            if self._answer_seen:
                self._open()
            else:
                self._canary = None  # still trying: its outcome may follow at once
                self._wake()

    def answered(self) -> None:
        """An answer came; opens the gate when it can only be the canary's."""
        if not self._trying:
            return
        if self._canary is None or len(self._out) == 1:
            self._open()
        else:
            self._answer_seen = True

    def refused(self, retry_after: float | None) -> None:
        """A 429: closed for `retry_after` seconds, or for a wait that doubles as long as canaries are refused."""
        if self._trying:
            self._quota_wait = min(2 * self._quota_wait, QUOTA_WAIT_S[1])
            retry_after = max(retry_after or 0.0, self._quota_wait)
        self._close(self._quota_wait if retry_after is None else retry_after)

    def unreachable(self, retry_after: float | None = None) -> None:
        """No connection, or overload: closed for a wait that doubles as long as canaries fail, or longer if asked."""
        if self._trying:
            self._outage_wait = min(2 * self._outage_wait, OUTAGE_WAIT_S[1])
        self._close(max(retry_after or 0.0, self._outage_wait))

    def _close(self, seconds: float) -> None:
        # Several requests of one moment are refused together: the longest wait counts, and nothing doubles.
        self._closed_until = max(self._closed_until or 0.0, anyio.current_time() + seconds)
        self._reset()

    def _open(self) -> None:
        self._closed_until = None
        self._quota_wait, self._outage_wait = QUOTA_WAIT_S[0], OUTAGE_WAIT_S[0]
        self._reset()

    def _reset(self) -> None:
        self._canary, self._trying, self._answer_seen = None, False, False
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
