"""Whether and when a failed attempt is made again. Pure: no clock, no waiting."""

from __future__ import annotations

import random
from dataclasses import dataclass

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Both bounds hold at once: `attempts` that failed transiently, and `total_seconds` since the first request.

    A row that has spent `lifetime_attempts` requests over all runs is not tried again by the next.
    """

    attempts: int = 6
    total_seconds: float = 900.0
    lifetime_attempts: int = 60

    def allows(self, failed: int, age_s: float) -> bool:
        """Whether a row with `failed` transient failures, first asked `age_s` seconds ago, may be asked again."""
        return failed < self.attempts and age_s < self.total_seconds


def backoff(failed: int, asked_for: float | None, random_source: random.Random) -> float:
    """Seconds to wait after failure number `failed` (from 1): up to a doubling bound, and no less than 0.6 of it.

    So each wait is longer than the one before, whatever the jitter, until the longest is reached. What the server asked
    for by Retry-After is a floor.
    """
    bound = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (failed - 1))
    return max(asked_for or 0.0, random_source.uniform(0.6 * bound, bound))
