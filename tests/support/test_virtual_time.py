"""Virtual time: no waiting, the right order, and real work waited for."""

import asyncio
import threading
import time

import anyio
import httpx
import pytest
from aiolimiter import AsyncLimiter

from tests.support import scripts
from tests.support.ask import chat_body
from tests.support.fake_server import FakeServer
from tests.support.virtual_time import StuckError, run_virtual


def test_sleeps_take_no_time_and_keep_their_order() -> None:
    woken: list[tuple[float, float]] = []

    async def sleeper(seconds: float) -> None:
        await anyio.sleep(seconds)
        woken.append((seconds, anyio.current_time()))

    async def main() -> float:
        async with anyio.create_task_group() as tasks:
            for seconds in (7200.25, 3600, 0.5, 200_000, 10):
                tasks.start_soon(sleeper, seconds)
        with anyio.move_on_after(5) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        return anyio.current_time()

    began = time.monotonic()
    assert run_virtual(main) == 200_005
    assert time.monotonic() - began < 1
    assert woken == [(seconds, seconds) for seconds in (0.5, 10, 3600, 7200.25, 200_000)]


def test_limiters_see_the_virtual_clock() -> None:
    async def main() -> float:
        limiter = AsyncLimiter(1, 60)
        for _ in range(4):
            async with limiter:
                pass
        return anyio.current_time()

    assert run_virtual(main) == pytest.approx(180)
    assert run_virtual(main, start=1000) == pytest.approx(1180)


def test_clock_stands_still_while_threads_work() -> None:
    order: list[str] = []

    def work(name: str) -> None:
        threading.Event().wait(0.05)
        order.append(name)

    async def sleeper() -> None:
        await anyio.sleep(0.001)
        order.append("timer")

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sleeper)
            tasks.start_soon(anyio.to_thread.run_sync, work, "anyio")
            tasks.start_soon(asyncio.to_thread, work, "asyncio")
        for _ in range(50):
            before = anyio.current_time()
            await anyio.to_thread.run_sync(int)
            assert anyio.current_time() == before
            await anyio.sleep(1)

    run_virtual(main)
    assert order[-1] == "timer"
    assert len(order) == 3


def test_sockets_are_listened_to_before_a_jump() -> None:
    async def main() -> float:
        slow = scripts.delayed(scripts.text("x"), 3600)
        async with FakeServer(slow) as server, httpx.AsyncClient(timeout=4000, trust_env=False) as client:
            reply = await client.post(f"{server.base_url}/chat/completions", json=chat_body())
            assert reply.status_code == 200
            assert server.requests[0].received_at == 0
            return anyio.current_time()

    assert run_virtual(main) == 3600


def test_waiting_for_nothing_is_an_error() -> None:
    with pytest.raises(StuckError):
        run_virtual(anyio.sleep_forever, patience=0.05)


def test_a_thread_that_waits_for_the_clock_is_an_error() -> None:
    async def main() -> None:
        await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(anyio.sleep, 1))

    with pytest.raises(StuckError):
        run_virtual(main, patience=0.05)
