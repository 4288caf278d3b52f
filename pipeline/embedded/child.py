"""Runs the embedded server as a child process for as long as a run needs it.

The child ends when its stdin closes, so it dies with its parent whatever kills that.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import Process

from pipeline.core.errors import ServerError

START_S = 180.0
"""How long loading the models may take on a slow disk, in seconds."""


@asynccontextmanager
async def running_server(died: Callable[[ServerError], None]) -> AsyncIterator[str]:
    """The base URL of a server that is ready to answer; `died` is told when it ends too early.

    Raises ServerError when it cannot be started; the server has then said why on stderr.
    """
    # A session of its own: Ctrl-C at the terminal drains the run, which still needs its server.
    async with await anyio.open_process(
        [sys.executable, "-m", "pipeline.embedded", "--parent-stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None,
        start_new_session=True,
    ) as process:
        base_url = await _ready(process)
        async with anyio.create_task_group() as watching:
            watching.start_soon(_watch, process, died)
            try:
                yield base_url
            finally:
                watching.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await _end(process)


async def _ready(process: Process) -> str:
    if process.stdout is None:
        raise AssertionError
    line = b""
    with anyio.move_on_after(START_S):
        async for chunk in process.stdout:
            line += chunk
            if b"\n" in line:
                address: str = json.loads(line)["base_url"]
                return address
    process.kill()
    raise ServerError("The embedded server did not start; what it said stands above.")


async def _watch(process: Process, died: Callable[[ServerError], None]) -> None:
    code = await process.wait()
    died(ServerError(f"The embedded server ended with code {code} during the run. Run the same command again."))


async def _end(process: Process) -> None:
    if process.stdin is not None:
        await process.stdin.aclose()
    with anyio.move_on_after(10):
        await process.wait()
        return
    process.kill()
    await process.wait()
