"""A server in a child process: started, told to end by closing its stdin, ended by its id if it does not listen.

The child prints one JSON line when it serves. It ends when its stdin closes, and so also when its parent dies in
whatever way; `end_with_stdin` is the child's half of that.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]


class Child:
    """A process of `python -m MODULE ARGUMENTS` from the project's folder, ready when entered.

    `hello` is the JSON line that it printed first. Raises RuntimeError with its stderr when it ends or stays silent
    for `patience` seconds before that.
    """

    def __init__(self, module: str, arguments: Sequence[str] = (), *, patience: float = 30.0) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._patience = patience
        self.hello: dict[str, Any] = {}
        self.process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._errors = _Drain(self.process.stderr.read1)  # type: ignore[attr-defined]
        overdue = threading.Timer(self._patience, self.process.kill)
        overdue.daemon = True
        overdue.start()
        line = self.process.stdout.readline()
        overdue.cancel()
        overdue.join()
        if not line:
            self.close()
            raise RuntimeError(f"{self._command} did not start: {self._errors.text()}")
        self.hello = json.loads(line)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def stderr(self) -> str:
        """What the process wrote to stderr so far (the last 100,000 bytes)."""
        return self._errors.text()

    def close(self, patience: float = 5.0) -> int:
        """Close its stdin and wait; kill it when it has not ended after `patience` seconds. Its exit code."""
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.close()
        try:
            code = process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        self._errors.join()
        process.stdout.close()
        process.stderr.close()
        return code


class _Drain:
    """Reads a pipe to its end in a thread, so that the writer never blocks."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._kept = b""
        self._thread = threading.Thread(target=self._run, name="drain of a child's stderr", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while piece := self._read(65536):
            self._kept = (self._kept + piece)[-100_000:]

    def text(self) -> str:
        return self._kept.decode(errors="replace")

    def join(self) -> None:
        self._thread.join(5)


def end_with_stdin(end: Callable[[], None], max_seconds: float) -> None:
    """In the child: call `end` once stdin closes or after `max_seconds`, from a thread of its own."""
    once = threading.Lock()

    def finish() -> None:
        if once.acquire(blocking=False):
            end()

    def watch() -> None:
        while os.read(0, 4096):
            pass
        finish()

    timer = threading.Timer(max_seconds, finish)
    timer.daemon = True
    timer.start()
    threading.Thread(target=watch, name="stdin", daemon=True).start()


def leave() -> None:
    """End this process at once, as an `end` for servers that cannot be stopped."""
    os._exit(0)
