"""The rate in virtual time: all of the quota, and never a burst."""

from __future__ import annotations

from itertools import pairwise

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.pacing.quota import CATCH_UP_S, Quota
from tests.support.virtual_time import run_virtual


def turns(per_minute: float, pauses: list[float]) -> list[float]:
    """When requests get their turn, in virtual seconds; before each the caller is busy for its pause."""

    async def take() -> list[float]:
        quota, times = Quota(per_minute), []
        for pause in pauses:
            await anyio.sleep(pause)
            await quota.take()
            times.append(anyio.current_time())
        return times

    return run_virtual(take)


def most_within(times: list[float], window: float) -> int:
    """The largest number of turns in any half-open window of so many seconds."""
    most = first = 0
    for last, time in enumerate(times):
        while times[first] <= time - window + 1e-9:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize("per_minute", [7, 40, 599, 600, 1234.5, 6000])
def test_the_first_goes_at_once_and_the_others_are_evenly_spaced(per_minute: float) -> None:
    times = turns(per_minute, [0.0] * 50)
    assert times[0] == 0.0
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([60 / per_minute] * 49)


def test_timers_that_ring_late_lose_nothing() -> None:
    times = turns(600, [0.0, 0.19] * 500)
    assert len(times) == 1000
    assert times[-1] == pytest.approx(99.9, abs=CATCH_UP_S)


def test_a_pause_is_not_made_up_for() -> None:
    times = turns(600, [0.0] * 10 + [60.0] + [0.0] * 100)
    assert most_within(times[10:], 1.0) <= 10 * (1 + CATCH_UP_S) + 1


@settings(max_examples=30, deadline=None)
@given(st.floats(1, 5000), st.lists(st.floats(0, 3) | st.just(0.0), min_size=2, max_size=300))
def test_no_window_ever_holds_more_than_its_share(per_minute: float, pauses: list[float]) -> None:
    times = turns(per_minute, pauses)
    for window in (1.0, 10.0, 60.0):
        assert most_within(times, window) <= per_minute / 60 * (window + CATCH_UP_S) + 2


def test_a_cancelled_wait_takes_no_turn() -> None:
    async def take() -> float:
        quota = Quota(60)
        await quota.take()
        for _ in range(5):
            with anyio.move_on_after(0.1):
                await quota.take()
        await quota.take()
        return anyio.current_time()

    assert run_virtual(take) == pytest.approx(1.0)
