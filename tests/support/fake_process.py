"""The fake server as a process of its own: it outlives a killed client, and its CPU is not the client's.

with FakeProcess(latency=0.05, log=tmp_path / "answers.jsonl") as server:
    run_the_client(server.base_url)
lines = read_log(tmp_path / "answers.jsonl")
"""

import argparse
import importlib
import json
import sys
import threading
from pathlib import Path
from typing import Any, cast
from urllib.request import urlopen

from tests.support import scripts
from tests.support.child import Child, end_with_stdin
from tests.support.exchange import Script
from tests.support.fake_server import FakeServer


class FakeProcess(Child):
    """`python -m tests.support.fake_server`, with its options as keywords (`fail_share=0.1` is `--fail-share 0.1`).

    `script="tests.crash.scripts:flaky"` names a function without parameters that makes a script.
    """

    def __init__(self, *, patience: float = 30.0, **options: Any) -> None:
        given = [(f"--{name.replace('_', '-')}", str(value)) for name, value in options.items() if value is not None]
        super().__init__("tests.support.fake_server", [part for pair in given for part in pair], patience=patience)

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT/v1`."""
        return cast("str", self.hello["base_url"])

    def stats(self) -> dict[str, Any]:
        """The server's counters and the CPU seconds of its process."""
        with urlopen(self.base_url.removesuffix("/v1") + "/stats", timeout=10) as answer:  # noqa: S310 - loopback
            return cast("dict[str, Any]", json.load(answer))


def main(arguments: list[str] | None = None) -> None:
    """Serve until stdin closes or the time is up; prints one JSON line with base_url and pid when ready."""
    options = _parser().parse_args(arguments)
    ended = threading.Event()
    end_with_stdin(ended.set, options.max_seconds)
    with FakeServer(
        _script(options), log=options.log, port=options.port, keep=False, hashes=options.hashes == "yes"
    ) as server:
        sys.stdout.write(json.dumps({"base_url": server.base_url}) + "\n")
        sys.stdout.flush()
        ended.wait()


def _script(options: argparse.Namespace) -> Script:
    if options.script:
        module, _, name = options.script.partition(":")
        script = cast("Script", getattr(importlib.import_module(module), name)())
    else:
        script = scripts.text(options.text) if options.text else scripts.caption()
    if options.fail_share:
        script = scripts.sometimes(options.fail_share, scripts.error(options.fail_status), script, seed=options.seed)
    if options.latency and options.sigma:
        script = scripts.lognormal(script, options.latency, options.sigma, options.seed)
    elif options.latency:
        script = scripts.delayed(script, options.latency)
    if options.drop_share:
        script = scripts.sometimes(options.drop_share, scripts.drop(), script, seed=options.seed + 1)
    if options.rpm:
        script = scripts.quota(options.rpm, script, burst=options.burst)
    return script


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.support.fake_server", description=__doc__)
    parser.add_argument("--script", help="module:function that makes a script")
    parser.add_argument("--text", help="a fixed answer, the cheapest (default: one that depends on the picture)")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds; the median when --sigma is given")
    parser.add_argument("--sigma", type=float, default=0.0, help="spread of a log-normal latency")
    parser.add_argument("--fail-share", type=float, default=0.0, help="share of requests that fail")
    parser.add_argument("--fail-status", type=int, default=503, help="with this status")
    parser.add_argument("--drop-share", type=float, default=0.0, help="share of requests cut off unanswered, at once")
    parser.add_argument("--rpm", type=float, default=0.0, help="requests per minute before 429")
    parser.add_argument("--burst", type=float, default=1.0, help="requests the quota's bucket holds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, help="file to which the log is appended")
    parser.add_argument("--hashes", choices=("yes", "no"), default="yes", help="of pictures and bodies, in the log")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--max-seconds", type=float, default=600.0, help="end in any case after this time")
    return parser
