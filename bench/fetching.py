"""Fetches N objects, so many at once, as a run does or with the bare client; what comes is thrown away.

python -m bench.fetching ours|bare N CONCURRENCY     the environment says where s3://bench/ lies
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable

import anyio

from pipeline.images.budget import ByteBudget
from pipeline.storage.links import LinkingWeb
from pipeline.storage.objects import ObjectFetcher
from pipeline.storage.routes import Routes
from pipeline.storage.web import WebFetcher

BYTES = 200_000
_BYTES_IN_FLIGHT = 64 * 2**20


async def _ours(n: int, concurrency: int) -> None:
    budget = ByteBudget(_BYTES_IN_FLIGHT)
    async with WebFetcher() as web:
        routes = Routes(LinkingWeb(web, web, None), ObjectFetcher())

        async def fetch(number: int) -> int:
            hold = await budget.take(0)
            download = await routes.fetch(f"s3://bench/pictures/{number:06}.jpg", hold.grow)
            hold.resize(0)
            return len(download.data)

        await _all(fetch, n, concurrency)


async def _bare(n: int, concurrency: int) -> None:
    import obstore
    from obstore.store import S3Store

    store = S3Store("bench", client_options={"allow_http": True})

    async def fetch(number: int) -> int:
        result = await obstore.get_async(store, f"pictures/{number:06}.jpg")
        return len(bytes(await result.bytes_async()))

    await _all(fetch, n, concurrency)


async def _all(fetch: Callable[[int], Awaitable[int]], n: int, concurrency: int) -> None:
    left = iter(range(n))

    async def work() -> None:
        for number in left:
            if (size := await fetch(number)) != BYTES:
                raise SystemExit(f"object {number} has {size} bytes")

    async with anyio.create_task_group() as group:
        for _ in range(concurrency):
            group.start_soon(work)


if __name__ == "__main__":
    anyio.run({"ours": _ours, "bare": _bare}[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3]))
    # Python's own way out now and then aborts: a thread of obstore still lets go of the last answer (0.12, 3.11).
    os._exit(0)
