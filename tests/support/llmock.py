"""llmock, an independent judge of a client's retries, as a child process.

It keeps real token buckets, sends Retry-After and `x-ratelimit-*`, and grades what the client did with them. A limit
of `rpm` requests a minute is a bucket that holds a minute's worth. It runs inside a small process of ours, which
gives it a listening socket and ends it when its parent is gone; run by hand:

    python -m tests.support.llmock --rpm 40
"""

import argparse
import json
import socket
import sys
from typing import Any, cast
from urllib.request import Request, urlopen

from tests.support.child import Child, end_with_stdin, leave


class LLMock(Child):
    """A running llmock; `rpm` and `tpm` are requests and tokens (prompt estimate + max_tokens) per minute and key.

    The key is the bearer token, so that one server can be asked by several clients with a quota each.
    """

    def __init__(self, rpm: int | None = None, tpm: int | None = None, *, context_window: int | None = None) -> None:
        limits = {"rpm": rpm, "tpm": tpm, "context-window": context_window}
        super().__init__(
            "tests.support.llmock",
            [part for name, limit in limits.items() if limit is not None for part in (f"--{name}", str(limit))],
        )

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT/v1`."""
        return cast("str", self.hello["base_url"])

    def script(self, *behaviors: dict[str, Any]) -> None:
        """Queue what it does to requests to come, each the first that fits: `{"type": "fail", "status": 500}`.

        `times` of None is for good; `match` says which requests (`{"model": "..."}`); a failure may have a
        `retry_after` in seconds. llmock/scenarios.py of 0.2.2 has them all.
        """
        url = self.base_url.removesuffix("/v1") + "/_llmock/scenario"
        asked = Request(url, json.dumps({"behaviors": behaviors}).encode(), method="POST")  # noqa: S310 - loopback
        with urlopen(asked, timeout=10):  # noqa: S310 - loopback
            return

    def verdict(self) -> dict[str, Any]:
        """What it thinks of its clients: `passed`, `calls`, `attempts`, `errors`, `warnings`, `findings`.

        A finding has a `severity` (error, warning), a `code` (`retry_after_ignored`, `retried_non_retryable`,
        `retry_storm`, `no_backoff`, ...), a `title` and the numbers of its `requests`.
        """
        url = self.base_url.removesuffix("/v1") + "/_llmock/verdict"
        with urlopen(url, timeout=10) as answer:  # noqa: S310 - loopback
            return cast("dict[str, Any]", json.load(answer))


def main() -> None:
    """Serve until stdin closes or the time is up; prints one JSON line with base_url once it listens."""
    import uvicorn
    from llmock.main import create_app
    from llmock.ratelimit import LimitSettings

    parser = argparse.ArgumentParser(prog="python -m tests.support.llmock", description=__doc__)
    parser.add_argument("--rpm", type=int)
    parser.add_argument("--tpm", type=int)
    parser.add_argument("--context-window", type=int)
    parser.add_argument("--max-seconds", type=float, default=600.0)
    options = parser.parse_args()
    end_with_stdin(leave, options.max_seconds)
    limits = LimitSettings(rpm=options.rpm, tpm=options.tpm, context_window=options.context_window)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(limits=limits), log_level="warning", lifespan="off"))
        sys.stdout.write(json.dumps({"base_url": f"http://127.0.0.1:{listening.getsockname()[1]}/v1"}) + "\n")
        sys.stdout.flush()
        server.run(sockets=[listening])  # the socket listens already: a client that comes early waits in its queue


if __name__ == "__main__":
    main()
