"""The least that a client can do: post bodies made beforehand.

python -m bench.raw_client URL FOLDER N CONCURRENCY
"""

from __future__ import annotations

import asyncio
import base64
import sys
from itertools import islice
from pathlib import Path

import aiohttp

_BODIES = 64
"""Made at the start, whatever N is, so that their cost is part of the start-up that is taken off."""
_WORDS = "Write a caption for the picture in one or two sentences. Say only what can be seen. " * 12


async def _post(url: str, bodies: list[bytes], n: int, concurrency: int) -> None:
    left = iter(range(n))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def work() -> None:
            for index in left:
                body = bodies[index % len(bodies)]
                async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
                    if response.status != 200 or not await response.read():
                        raise SystemExit(f"status {response.status}")

        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work())


def _body(picture: Path) -> bytes:
    url = b'{"type":"image_url","image_url":{"url":"data:image/jpeg;base64,' + base64.b64encode(picture.read_bytes())
    words = b'{"model":"bench","messages":[{"role":"user","content":[{"type":"text","text":"' + _WORDS.encode()
    return words + b'"},' + url + b'"}}]}],"temperature":0}'


if __name__ == "__main__":
    base_url, folder, n, concurrency = sys.argv[1:]
    bodies = [_body(path) for path in islice(sorted(Path(folder).iterdir()), _BODIES)]
    asyncio.run(_post(f"{base_url}/chat/completions", bodies, int(n), int(concurrency)))
