"""The whole admission in virtual time: a server's view of a crowd of workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.ports import Pacer
from pipeline.pacing.admission import Admission
from tests.support.virtual_time import run_virtual

LATENCY = 1.0
Verdict = str | float | None
"""What the server says: "ok", "down", a Retry-After in seconds, or None for a 429 without one."""


class Crowd:
    """`workers` tasks that send, wait for the latency and report, over and over, for so many virtual seconds."""

    def __init__(self, pacer: Pacer, workers: int, verdict: Callable[[float], Verdict]) -> None:
        self.pacer, self.workers, self.verdict = pacer, workers, verdict
        self.sent: list[float] = []
        self.at_once = self.most_at_once = 0

    async def run(self, seconds: float) -> list[float]:
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as group:
                for _ in range(self.workers):
                    group.start_soon(self._work)
        return self.sent

    @contextmanager
    def _counted(self) -> Iterator[float]:
        now = anyio.current_time()
        self.sent.append(now)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield now
        finally:
            self.at_once -= 1

    async def _work(self) -> None:
        owner = object()
        while True:
            await self.pacer.acquire(owner)
            try:
                with self._counted() as sent_at:
                    await anyio.sleep(LATENCY)
                    self._report(self.verdict(sent_at))
            finally:
                self.pacer.release(owner)

    def _report(self, verdict: Verdict) -> None:
        if verdict == "ok":
            self.pacer.answered()
        elif verdict == "down":
            self.pacer.unreachable()
        else:
            assert not isinstance(verdict, str)
            self.pacer.refused(verdict)


def crowd(
    seconds: float, verdict: Callable[[float], Verdict], workers: int = 20, rate: float | None = None
) -> list[float]:
    """When requests were sent, in virtual seconds."""
    return run_virtual(Crowd(Admission(workers, rate), workers, verdict).run, seconds)


def ok(_: float) -> Verdict:
    return "ok"


def within(times: list[float], start: float, end: float) -> list[float]:
    return [time for time in times if start <= time < end]


def test_ten_minutes_at_600_a_minute_use_the_quota_and_no_more() -> None:
    times = crowd(600, ok, workers=40, rate=600)
    assert len(times) == pytest.approx(6000, rel=0.01)
    for window in (1, 10, 60):
        counts = [len(within(times, start, start + window)) for start in range(600)]
        assert max(counts) <= 10 * window + 1
        assert counts[0] <= 10 * window + 1  # no opening burst


def test_never_more_at_once_than_slots() -> None:
    admitted = Crowd(Admission(7, None), 50, ok)
    run_virtual(admitted.run, 10)
    assert admitted.most_at_once == 7


def test_first_come_first_served() -> None:
    async def queue() -> list[int]:
        pacer, order = Admission(2, 600), list[int]()

        async def wait(number: int) -> None:
            await pacer.acquire(number)
            order.append(number)
            await anyio.sleep(0.05)
            pacer.answered()
            pacer.release(number)

        async with anyio.create_task_group() as group:
            for number in range(30):
                group.start_soon(wait, number)
        return order

    assert run_virtual(queue) == list(range(30))


def test_everybody_honours_retry_after() -> None:
    times = crowd(30, lambda sent_at: 7.0 if 5.0 <= sent_at < 6.0 else "ok")
    # Refused at 6, those sent until then come back until 7: closed until 13 at least, then one, then everybody.
    assert within(times, 6.0001, 13.0) == []
    after = within(times, 13.0, 30.0)
    assert len(within(after, after[0], after[0] + LATENCY)) == 1
    assert len(within(after, after[0] + LATENCY, after[0] + 2 * LATENCY)) == 20


def test_a_server_that_is_down_may_ask_for_longer_than_we_would_wait() -> None:
    async def reopened(asked: float | None) -> float:
        pacer = Admission(2, None)
        await pacer.acquire("first")
        pacer.unreachable(asked)
        pacer.release("first")
        await pacer.acquire("second")
        return anyio.current_time()

    assert run_virtual(lambda: reopened(20.0)) == run_virtual(lambda: reopened(None)) + 19.0
    assert run_virtual(lambda: reopened(0.2)) == run_virtual(lambda: reopened(None))


def test_a_minute_of_refusals_costs_one_request_at_a_time() -> None:
    times = crowd(120, lambda sent_at: None if sent_at < 60 else "ok")
    refused = within(times, 0, 60)
    assert len(within(refused, 0, 0.5)) == 20
    canaries = refused[20:]
    gaps = [later - earlier - LATENCY for earlier, later in pairwise(canaries)]
    assert gaps == pytest.approx([1.0, 2.0, 4.0] + [8.0] * (len(gaps) - 3))
    assert canaries[0] == pytest.approx(LATENCY + 0.5)
    assert len(canaries) <= 10
    recovered = within(times, 60, 120)
    assert len(within(recovered, recovered[0], recovered[0] + LATENCY)) == 1
    assert len(within(recovered, recovered[0] + 1, recovered[0] + 2)) == 20
    assert recovered[-1] > 118  # back at full width: no slot was lost


def test_canaries_refused_again_and_again_wait_longer_than_a_retry_after_that_is_too_short() -> None:
    times = crowd(60, lambda _: 0.1)[20:]
    gaps = [later - earlier - LATENCY for earlier, later in pairwise(times)]
    assert gaps[:4] == pytest.approx([1.0, 2.0, 4.0, 8.0])


def test_after_an_outage_one_goes_first() -> None:
    times = crowd(200, lambda sent_at: "down" if 10 <= sent_at < 100 else "ok")
    # Everybody sent at 10 fails at 11: canaries follow 1, 2, 4, 8, 16, 30, ... seconds after the failure before.
    canaries = within(times, 10.5, 100)
    assert canaries == pytest.approx([12, 15, 20, 29, 46, 77])
    back = within(times, 100, 200)
    assert back[0] == pytest.approx(77 + LATENCY + 30)
    assert len(within(back, back[0], back[0] + LATENCY)) == 1
    assert len(within(back, back[0] + LATENCY, back[0] + 2 * LATENCY)) == 20


def test_a_new_closure_begins_with_the_shortest_wait_again() -> None:
    times = crowd(100, lambda sent_at: None if sent_at < 20 or 60 <= sent_at < 61 else "ok")
    first_after = within(times, 61.5, 100)[0]
    assert first_after == pytest.approx(within(times, 60, 61)[-1] + LATENCY + 0.5)


def test_answers_to_requests_sent_before_the_closure_do_not_open_the_gate() -> None:
    async def scene() -> list[str]:
        pacer, log = Admission(10, None), list[str]()

        async def send(name: str, latency: float, report: Callable[[], None]) -> None:
            await pacer.acquire(name)
            log.append(f"{name} sent at {anyio.current_time():g}")
            await anyio.sleep(latency)
            report()
            pacer.release(name)

        async with anyio.create_task_group() as group:
            group.start_soon(send, "refused", 1, lambda: pacer.refused(2))
            for number in range(5):
                group.start_soon(send, f"slow{number}", 3.5 + number, pacer.answered)
            await anyio.sleep(1.5)
            group.start_soon(send, "canary", 10, pacer.answered)
            group.start_soon(send, "next", 1, pacer.answered)
            group.start_soon(send, "last", 1, pacer.answered)
        return log[6:]

    assert run_virtual(scene) == ["canary sent at 3", "next sent at 13", "last sent at 13"]


def test_an_outcome_may_be_reported_directly_after_the_release() -> None:
    async def scene() -> list[float]:
        pacer, times = Admission(10, None), list[float]()
        for outcome in (pacer.refused, pacer.refused, pacer.refused, None):
            await pacer.acquire("one")
            times.append(anyio.current_time())
            pacer.release("one")
            if outcome is None:
                pacer.answered()
            else:
                outcome(None)
        await pacer.acquire("two")
        await pacer.acquire("three")  # open: nobody waits for anybody
        return [*times, anyio.current_time()]

    assert run_virtual(scene) == pytest.approx([0, 0.5, 1.5, 3.5, 3.5])


@pytest.mark.parametrize("how", ["released", "cancelled while waiting"])
def test_a_canary_without_an_outcome_makes_room_for_the_next(how: str) -> None:
    async def scene() -> float:
        pacer = Admission(1, 60)
        await pacer.acquire("first")
        pacer.refused(5)
        pacer.release("first")
        if how == "released":
            await pacer.acquire("canary")
            pacer.release("canary")
        else:
            with anyio.move_on_after(3):
                await pacer.acquire("canary")
        with anyio.fail_after(60):
            await pacer.acquire("second canary")
            pacer.answered()
            pacer.release("second canary")
            for number in range(3):
                await pacer.acquire(number)
                pacer.release(number)
        return anyio.current_time()

    assert run_virtual(scene) < 15


def test_a_gate_that_closes_while_the_rate_is_waited_for_is_seen() -> None:
    async def scene() -> float:
        pacer = Admission(5, 6)  # a turn every 10 s
        await pacer.acquire("first")
        async with anyio.create_task_group() as group:
            group.start_soon(pacer.acquire, "second")
            await anyio.sleep(9)
            pacer.refused(30)
        return anyio.current_time()

    assert run_virtual(scene) == pytest.approx(39)


QUARTERS = st.integers(0, 60).map(lambda number: number / 4)  # coarse, so that things happen at the same instant
STEPS = st.lists(
    st.tuples(
        QUARTERS,  # when the worker comes
        QUARTERS,  # how long its request takes
        st.none() | QUARTERS,  # when it is cancelled, after it came
        st.sampled_from(["ok", "ok", "down", "refused", "none"]),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.integers(1, 4), st.none() | st.sampled_from([20.0, 60.0, 240.0, 333.0]))
def test_cancelling_anywhere_leaks_no_slot_and_blocks_nobody(
    steps: list[tuple[float, float, float | None, str]], slots: int, rate: float | None
) -> None:
    async def scene() -> None:
        pacer = Admission(slots, rate)
        running = most = 0

        async def work(come: float, busy: float, cancel: float | None, outcome: str) -> None:
            nonlocal running, most
            owner = object()
            await anyio.sleep(come)
            with anyio.move_on_after(1e9 if cancel is None else cancel):
                await pacer.acquire(owner)
                running += 1
                most = max(most, running)
                try:
                    await anyio.sleep(busy)
                    report = {"ok": pacer.answered, "down": pacer.unreachable, "refused": lambda: pacer.refused(None)}
                    report.get(outcome, lambda: None)()
                finally:
                    running -= 1
                    pacer.release(owner)

        async with anyio.create_task_group() as group:
            for step in steps:
                group.start_soon(work, *step)
        assert most <= slots
        # Every slot can be had again, once the gate is open.
        with anyio.fail_after(120):
            await pacer.acquire("opener")
            pacer.answered()
            pacer.release("opener")
            for number in range(slots):
                await pacer.acquire(number)

    run_virtual(scene)
