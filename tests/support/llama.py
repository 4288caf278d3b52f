"""llama.cpp's own HTTP server over a tiny random model, as a child process: the real wire, real picture decoding.

It enforces `json_schema`, reports `cached_tokens`, refuses WebP, accepts a truncated JPEG, ignores the model name.
Run by hand, over a folder that is filled when it is empty:

    python -m tests.support.llama FOLDER
"""

import argparse
import json
import sys
import threading
import time
from pathlib import Path
from typing import cast
from urllib.error import URLError
from urllib.request import urlopen

from tests.support.child import Child, end_with_stdin, leave
from tests.support.tiny_model import write_model

_START_SECONDS = 30.0
_LOOK_EVERY = 0.05  # seconds between looks at a server that is loading


class Llama(Child):
    """A running llama.cpp over the model in `folder`, with `slots` requests at a time; ready when entered.

    Without `memory` it knows only the last prompt of each slot; otherwise it keeps earlier ones in memory too.
    """

    def __init__(self, folder: Path, *, slots: int = 2, memory: bool = True) -> None:
        options = [str(folder), "--slots", str(slots), *([] if memory else ["--no-memory"])]
        super().__init__("tests.support.llama", options, patience=_START_SECONDS + 5)

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT/v1`."""
        return cast("str", self.hello["base_url"])


def main() -> None:
    """Serve until stdin closes or the time is up; prints one JSON line with base_url once /health says ok."""
    import xllamacpp  # type: ignore[import-untyped]

    parser = argparse.ArgumentParser(prog="python -m tests.support.llama", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slots", type=int, default=2, help="requests at a time")
    parser.add_argument("--no-memory", action="store_true", help="keep no prompt but the last of each slot")
    parser.add_argument("--max-seconds", type=float, default=900.0)
    options = parser.parse_args()
    end_with_stdin(leave, options.max_seconds)
    text, vision = options.folder / "text.gguf", options.folder / "vision.gguf"
    if not vision.exists():
        write_model(options.folder)

    settings = xllamacpp.CommonParams()
    settings.hostnames, settings.port = ["127.0.0.1"], 0
    settings.model.path, settings.mmproj.path = str(text), str(vision)
    settings.model_alias = {"tiny"}
    settings.n_ctx, settings.n_parallel, settings.n_batch = 8192, options.slots, 2048
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    if options.no_memory:
        settings.cache_ram_mib = 0
    settings.endpoint_metrics = True
    settings.warmup = False
    server = xllamacpp.Server(settings)
    address = server.listening_address
    _wait_until_ready(f"{address}/health")
    sys.stdout.write(json.dumps({"base_url": f"{address}/v1"}) + "\n")
    sys.stdout.flush()
    threading.Event().wait()


def _wait_until_ready(health: str) -> None:
    give_up_at = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urlopen(health, timeout=1):  # noqa: S310 - loopback
                return
        except (URLError, TimeoutError):  # refused, or 503 while it loads
            if time.monotonic() > give_up_at:
                raise
        time.sleep(_LOOK_EVERY)


if __name__ == "__main__":
    main()
