"""An event loop whose clock jumps to the next timer, so that `anyio.sleep(3600)` takes no time.

`loop.time()`, `anyio.current_time()` and everything built on them (timeouts, aiolimiter) see virtual seconds from 0;
`time.monotonic()` and `time.time()` stay real. When nothing is ready the loop would block until its next timer;
this one moves its clock there instead, after making sure that nothing real can still happen before:

* Work in threads (`anyio.to_thread`, `asyncio.to_thread`, `run_in_executor`) is waited for in real time, however
  long it takes up to `patience`; virtual time stands still meanwhile.
* While sockets or pipes are registered, the loop listens to them for `socket_patience` real seconds before each
  jump. A peer in the same loop or on loopback answers within that; a peer that takes longer meets a clock that has
  already moved on (its client may time out in virtual time). An idle kept-alive connection costs that wait on every
  jump, so simulations of many timers should have no sockets.

Limits: a worker thread that calls back with `anyio.from_thread` and waits there for a virtual timer stands still
together with the clock; so does a loop that waits for something that never comes. Both end after `patience` real
seconds with `StuckError`. A plain `threading.Thread` is not seen: the clock does not wait for it.
"""

import asyncio
import math
import selectors
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack

import anyio
from anyio._backends._asyncio import WorkerThread

T = TypeVar("T")
Args = TypeVarTuple("Args")

STILL_TURNS = 200  # so many turns in a row without a wait take no virtual time
TURN_S = 1e-9  # and every further one so many virtual seconds
_POLL = 0.001  # real seconds between looks at busy threads


class StuckError(RuntimeError):
    """Nothing happened for `patience` real seconds, and no timer could be jumped to."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A selector loop with a clock of its own; see the module for what it waits for in real time.

    `start` is the first reading of the clock in virtual seconds; `socket_patience` and `patience` are real seconds.
    `jumps` counts how often the clock was moved.
    """

    def __init__(self, start: float = 0.0, *, socket_patience: float = 0.02, patience: float = 30.0) -> None:
        self._now = start
        self._executing = 0
        self._turns = 0
        self.jumps = 0
        self._socket_patience = socket_patience
        self._patience = patience
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Args]], T], *args: *Args
    ) -> asyncio.Future[T]:
        """As usual; the clock stands still until the work is done."""
        future = super().run_in_executor(executor, func, *args)
        self._executing += 1
        future.add_done_callback(self._executed)
        return future

    def _executed(self, _: asyncio.Future[Any]) -> None:
        self._executing -= 1

    def _threads_busy(self) -> bool:
        # A worker counts until it has marked its item done, which is just after it has reported to the loop.
        return self._executing > 0 or any(
            isinstance(thread, WorkerThread) and thread.loop is self and thread.queue.unfinished_tasks
            for thread in threading.enumerate()
        )

    def _wait(self, select: Callable[[float | None], list[Any]], timeout: float | None, registered: int) -> list[Any]:
        """Wait for something real, or move the clock by `timeout` virtual seconds when nothing real is to come."""
        ready = select(0)
        if ready or (timeout is not None and timeout <= 0):
            self._turns += 1
            if self._turns > STILL_TURNS:
                # Turns of a real loop take time: a timer that rounding set to "now" must not be due for ever.
                self._now += TURN_S
            return ready
        self._turns = 0
        give_up_at = time.monotonic() + self._patience
        while self._threads_busy():
            ready = select(_POLL)
            if ready:
                return ready
            if time.monotonic() > give_up_at:
                raise StuckError(f"a worker thread has been busy for {self._patience} s")
        if timeout is None or self._next_timer_is_never():
            return self._wait_for_ever(select)
        # One more look: a thread may have reported between the first look and the count.
        ready = select(self._socket_patience if registered > 1 else 0)  # 1: the loop's own wake-up pipe
        if not ready:
            self._now += timeout
            self.jumps += 1
        return ready

    def _next_timer_is_never(self) -> bool:
        # `anyio.sleep_forever` sets a timer at infinity; the loop has dropped cancelled timers before it asks.
        return bool(self._scheduled) and math.isinf(self._scheduled[0].when())  # type: ignore[attr-defined]

    def _wait_for_ever(self, select: Callable[[float | None], list[Any]]) -> list[Any]:
        ready = select(self._patience)
        if not ready:
            raise StuckError(f"nothing happened for {self._patience} s, and no timer is set")
        return ready


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return self._loop._wait(super().select, timeout, len(self.get_map()))


def run_virtual(
    function: Callable[[Unpack[Args]], Awaitable[T]],
    *args: *Args,
    start: float = 0.0,
    socket_patience: float = 0.02,
    patience: float = 30.0,
) -> T:
    """Run an async function to its end in virtual time and return its result; its errors come through as they are."""

    def new_loop() -> VirtualTimeLoop:
        return VirtualTimeLoop(start, socket_patience=socket_patience, patience=patience)

    return anyio.run(function, *args, backend="asyncio", backend_options={"loop_factory": new_loop})
