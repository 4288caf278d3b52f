"""The real command, made to die at a named moment, be watched, be short of disk, or live with a jumping clock.

    python -m tests.crash.victim --at mid-frame --nth 3 --trace trace.txt -- run job.toml

What stands behind `--` is the command line of vlm-batch.
"""

import argparse
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

from tests.crash.points import POINTS, install, named, set_small
from tests.crash.trace import Recorder


def main(arguments: list[str]) -> None:
    """Patch the product from outside, then be it."""
    at = arguments.index("--")
    options, command = _parser().parse_args(arguments[:at]), arguments[at + 1 :]
    if options.clock_jump:
        _jump(options.clock_jump, random.Random(options.seed))  # first: defaults are bound when modules are imported
    if options.small:
        set_small()
    recorder = Recorder(options.trace) if options.trace else None

    def die() -> None:
        if recorder:
            recorder.note("k")
        os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()

    if options.at:
        point = named(options.at)
        install(point, options.nth or point.nth, die)
    if options.file_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.file_bytes, options.file_bytes))
    from pipeline.cli import main as run

    sys.argv = ["vlm-batch", *command]
    run()


def _jump(seconds: float, chance: random.Random) -> None:
    real, away = time.time, 0.0

    def jumping() -> float:
        nonlocal away
        if chance.random() < 0.1:
            away = chance.uniform(-seconds, seconds)
        return real() + away

    time.time = jumping


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.victim", description=__doc__)
    parser.add_argument("--at", choices=[point.name for point in POINTS], help="die at this point")
    parser.add_argument("--nth", type=int, help="when it is passed for the n-th time")
    parser.add_argument("--trace", type=Path, help="record writes and syncs in this file")
    parser.add_argument("--small", action="store_true", help="small parts, shards and segments")
    parser.add_argument("--file-bytes", type=int, help="no file may grow beyond this")
    parser.add_argument(
        "--clock-jump", type=float, help="the wall clock jumps by up to so many seconds, again and again"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
