"""A run's end of one child that decodes: starts it, asks it, ends it.

Both pipes are read and written by one thread, which looks up five times a second, and after every piece that went
through, whether it should give up.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.images.apart_wire import MAX_HEADER, SIZES

_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PYTHONHOME")
"""All that Python and fonts need of the environment. API keys stay here."""

_LOOK_UP_S = 0.2
_CHUNK = 1 << 20
_START_S = 120.0
"""Seconds that starting may take: a tenth of one on an idle machine."""


class ChildEndedError(Exception):
    """A child gave no answer. `status` is how it ended, as `Popen.returncode` has it; None if it took too long."""

    def __init__(self, status: int | None) -> None:
        super().__init__(status)
        self.status = status


class Child:
    """One running child; belongs to one thread at a time.

    Raises OSError when it cannot be started, ChildEndedError when it does not get as far as its first word.
    """

    def __init__(self, memory_mib: int, mind: Callable[[], None]) -> None:
        # A session of its own: Ctrl-C at the terminal drains the run, it does not spoil a verdict. -P: never the
        # folder that happens to be the current one.
        command = [sys.executable, "-P", "-m", "pipeline.images.apart_child", str(memory_mib)]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libtiff warns there
            env=_environment(),
            bufsize=0,
            start_new_session=True,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        self._mind = mind
        try:
            self.ask((), _START_S, 0)
        except BaseException:
            self.end()
            raise

    def ask(self, request: Sequence[bytes], wall_s: float, most: int) -> tuple[bytes, memoryview]:
        """Header and body of the answer, whose body has at most `most` bytes.

        `mind` is called now and then, and what it raises ends the wait. Raises ChildEndedError when no answer came
        within `wall_s` seconds, or ever will; whatever is raised, the child is of no further use.
        """
        until = time.monotonic() + wall_s
        for buffer in request:
            self._send(memoryview(buffer), until)
        header_bytes, body_bytes = SIZES.unpack(self._receive(SIZES.size, until))
        if header_bytes > MAX_HEADER or body_bytes > most:
            raise ChildEndedError(self._last_status())
        header = bytes(self._receive(header_bytes, until))
        return header, self._receive(body_bytes, until)

    def end(self) -> None:
        """End it at once and leave nothing of it."""
        self._last_status()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _send(self, left: memoryview, until: float) -> None:
        while left:
            self._await(self._to, select.POLLOUT, until)
            try:
                left = left[os.write(self._to, left[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise ChildEndedError(self._last_status()) from None

    def _receive(self, size: int, until: float) -> memoryview:
        received = memoryview(bytearray(size))
        left = received
        while left:
            self._await(self._from, select.POLLIN, until)
            count = os.readv(self._from, [left[:_CHUNK]])
            if count == 0:
                raise ChildEndedError(self._last_status())
            left = left[count:]
        return received

    def _await(self, pipe: int, event: int, until: float) -> None:
        waiting = select.poll()
        waiting.register(pipe, event)
        ready: list[tuple[int, int]] = []
        while not ready:
            ready = waiting.poll(_LOOK_UP_S * 1000)
            self._mind()
            if time.monotonic() > until:
                raise ChildEndedError(None)

    def _last_status(self) -> int:
        """How it ended. One that closed its pipe and lives on is ended; it cannot change how a dying one dies."""
        self._process.kill()
        return self._process.wait()


def _environment() -> dict[str, str]:
    """What the child sees: it imports from where this process does, and nothing else of it."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed, "PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)}
