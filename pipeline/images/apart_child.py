"""The program of a child that decodes for a run: `python -m pipeline.images.apart_child MIB`, pictures over its pipes.

It ends when its stdin closes, or at the latest when a picture's time is up, so it dies with its parent whatever kills
that. Its limits are set before the first picture: MIB of address space, no core, no file written.
"""

from __future__ import annotations

import gc
import os
import re
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from PIL import AvifImagePlugin

from pipeline.core.errors import ItemError
from pipeline.images import apart_wire as wire
from pipeline.images.prepare import prepared

_OPEN_FILES = 64
"""Pipes, a library, a font at a time."""

_OUT_OF_MEMORY = re.compile(r"(out of|insufficient|allocate|not enough) memory|memory allocation|malloc", re.IGNORECASE)
"""How codecs say it that raise something else."""


def main() -> None:
    """Answer until stdin closes."""
    requests, answers = sys.stdin.buffer, _private_stdout()
    _confine(int(sys.argv[1]) << 20)
    _write(answers, wire.framed({}))  # imports went well
    gc.freeze()
    try:
        while _answer_one(requests, answers):
            gc.collect()  # Pillow ties knots around pixels, and the next picture may be long in coming
    except MemoryError:
        os._exit(wire.EXHAUSTED)


def _answer_one(requests: BinaryIO, answers: BinaryIO) -> bool:
    """Nothing of one picture is held while the next is read. False when there is no next."""
    received = wire.read_frame(requests)
    if received is not None:
        _write(answers, _answer(*received))
    return received is not None


def _answer(header: dict[str, Any], source: bytes) -> tuple[bytes, ...]:
    contract, rules, cpu_s, wall_s = wire.read_job(header)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    signal.setitimer(signal.ITIMER_REAL, wall_s)
    try:
        return wire.pages(prepared(source, contract, rules))
    except ItemError as error:
        if _memory_ran_out(error):
            raise MemoryError from error
        return wire.failure(error)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _memory_ran_out(error: BaseException) -> bool:
    """Whether a failure comes from an allocation that was refused."""
    cause: BaseException | None = error.__cause__
    while cause is not None:
        if isinstance(cause, MemoryError) or _OUT_OF_MEMORY.search(str(cause)):
            return True
        cause = cause.__cause__
    return False


def _private_stdout() -> BinaryIO:
    """The pipe to the parent; what codecs print goes nowhere."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return answers


def _write(answers: BinaryIO, buffers: tuple[bytes, ...]) -> None:
    answers.writelines(buffers)
    answers.flush()


def _confine(memory: int) -> None:
    # Nothing catches what the clocks send: their limits hold inside a codec too, where no Python runs.
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    # A thread reserves far more address space than it uses, and their number would depend on the machine.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    limits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, _OPEN_FILES)]
    if sys.platform == "linux":  # elsewhere it is refused or means nothing
        limits.append((resource.RLIMIT_AS, memory))
        # Where the machine itself runs out of memory, the kernel is to end this process and not the run.
        with suppress(OSError):  # some containers do not let it be written
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    for limit, wanted in limits:
        most = resource.getrlimit(limit)[1]
        lowered = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(limit, (lowered, lowered))


if __name__ == "__main__":
    main()
