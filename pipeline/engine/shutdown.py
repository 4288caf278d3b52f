"""How a run ends early: a drain keeps the calls in flight, an abort gives them up. Both leave it resumable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from pipeline.core.errors import RunError

GRACE_S = 60.0
"""How long a drain waits for the calls in flight before it becomes an abort."""


class Stop:
    """One run's way to an early end. Belongs to the event loop's thread."""

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self.grace_s = grace_s
        self.draining = False
        self.error: RunError | None = None
        """Why the run stops, when it is not a person's wish."""
        self.budget_reached = False
        """Whether it stops because what it may cost is spent."""
        self._waits: set[anyio.CancelScope] = set()
        self._calls: set[anyio.CancelScope] = set()
        self._parts: set[Stop] = set()

    def drain(self) -> None:
        """Take nothing new, let the calls in flight finish, commit."""
        if self.draining:
            return
        self.draining = True
        for scope in self._waits:
            scope.cancel()
        for scope in self._calls:
            scope.deadline = anyio.current_time() + self.grace_s
        for part in self._parts:
            part.drain()

    def abort(self) -> None:
        """Give up the calls in flight too, commit what was answered."""
        self.drain()
        for scope in self._calls:
            scope.cancel()
        for part in self._parts:
            part.abort()

    def fail(self, error: RunError) -> None:
        """Drain because the run cannot go on; the first reason is the one that is told."""
        self.error = self.error or error
        self.drain()

    def out_of_money(self) -> None:
        """Drain because what the run may cost is spent."""
        self.budget_reached = True
        self.drain()

    def signalled(self) -> None:
        """A person or a scheduler asked to stop: the first time politely, the second time at once."""
        if self.draining:
            self.abort()
        else:
            self.drain()

    @contextmanager
    def part(self) -> Iterator[Stop]:
        """A stop for something that this run does first: what ends the run ends it too, but not the other way round."""
        stop = Stop(self.grace_s)
        if self.draining:
            stop.drain()
        self._parts.add(stop)
        try:
            yield stop
        finally:
            self._parts.discard(stop)

    @contextmanager
    def waiting(self) -> Iterator[anyio.CancelScope]:
        """Inside, nothing is in flight: a drain ends the wait at once. `cancelled_caught` tells whether it did."""
        with self._registered(self._waits) as scope:
            if self.draining:
                scope.cancel()
            yield scope

    @contextmanager
    def calling(self) -> Iterator[anyio.CancelScope]:
        """Inside, calls are in flight: a drain limits the time, an abort ends it."""
        with self._registered(self._calls) as scope:
            yield scope

    @contextmanager
    def _registered(self, scopes: set[anyio.CancelScope]) -> Iterator[anyio.CancelScope]:
        with anyio.CancelScope() as scope:
            scopes.add(scope)
            try:
                yield scope
            finally:
                scopes.discard(scope)
