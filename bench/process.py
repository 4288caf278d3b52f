"""Runs a command and tells what its whole process tree has cost: CPU by the kernel's accounts, memory by samples.

Linux: processes are pinned to cores, and memory is read from /proc.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_EVERY_S = 0.02
_PAGE = os.sysconf("SC_PAGE_SIZE")


class BrokenError(Exception):
    """A measured command did not do what was measured."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds (user and system), the largest sum of resident bytes, and when it was started (monotonic clock)."""

    cpu_s: float
    peak_bytes: int
    started_at: float
    seconds: float


def cores() -> tuple[int, int]:
    """A core for the server and one for the client; the same one where there is no other."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def pin(chosen: set[int]) -> None:
    """Keep this process, and what it starts, on these cores."""
    os.sched_setaffinity(0, chosen)


def measured(command: Sequence[str], chosen: set[int] | None = None) -> Cost:
    """Run to the end, on these cores if given. Raises BrokenError with its output when it fails."""
    with tempfile.TemporaryFile() as output:
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=None if chosen is None else lambda: pin(chosen),  # noqa: PLW1509 - this process has one thread
        )
        peak = 0
        while True:
            peak = max(peak, _resident(process.pid))
            # Not waitid or poll: only this call tells the usage of the process and of all that it waited for.
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            time.sleep(_EVERY_S)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            said = output.read().decode(errors="replace")[-3000:]
            raise BrokenError(f"{' '.join(command)} ended with {process.returncode}:\n{said}")
    return Cost(usage.ru_utime + usage.ru_stime, peak, started, seconds)


def printed(command: Sequence[str]) -> dict[str, Any]:
    """Run to the end; what it prints last is JSON. Raises BrokenError with its output when it fails."""
    ended = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise BrokenError(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def peak_bytes() -> int:
    """The most memory that this process has held since its exec, however short the moment was."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024


def _resident(pid: int) -> int:
    """Resident bytes of a process and all below it, 0 for one that has ended.

    `ru_maxrss` will not do: until its exec a child counts as large as whoever started it.
    """
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        threads = Path(f"/proc/{pid}/task").iterdir()
        children = [(thread / "children").read_text().split() for thread in threads]
    except (OSError, IndexError):
        return 0
    return pages * _PAGE + sum(_resident(int(child)) for found in children for child in found)
