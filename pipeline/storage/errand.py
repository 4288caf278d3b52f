"""One picture to be fetched from elsewhere, repeats included: until when, how often, and who is asked for memory."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import anyio

from pipeline.core.errors import ItemError

DEADLINE_S: Final = 60.0
ATTEMPTS: Final = 3
FIRST_WAIT_S: Final = 0.5
"""Before the second attempt up to so long, at random; doubled for each further one."""

Reserve = Callable[[int], Awaitable[None]]


class PassingError(ItemError):
    """An attempt failed in a way that the next one may not."""


@dataclass(frozen=True, slots=True)
class Errand:
    """The clock runs over all attempts together."""

    clock: anyio.CancelScope
    reserve: Reserve | None

    async def hold(self, size: int) -> None:
        """Wait until `size` bytes may be held. That wait is nobody's slowness, so the clock stands still."""
        if self.reserve is None:
            return
        left, self.clock.deadline = self.clock.deadline - anyio.current_time(), math.inf
        await self.reserve(size)
        self.clock.deadline = anyio.current_time() + left
