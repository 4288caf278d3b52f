"""A headless Chromium, driven over the DevTools protocol: what a page does in it, and what it tries to.

The protocol: chromedevtools.github.io/devtools-protocol, 2026-11.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import IO, Any

import pytest

LIFE_S = 120.0
"""Seconds that a browser lives at most: whoever waits for it then is told that it is gone."""

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",  # containers run as root and give no namespaces; it opens nothing but our own page
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-pipe",
)


_ON_ITS_PIPES = 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1'
"""The protocol goes over descriptors 3 and 4."""


class Page:
    """One tab.

    `requests` are the addresses that it asked for, `dialogs` what it wanted to say, `complaints` what the console would
    show: errors, and what its policy refused.
    """

    def __init__(self, to: IO[bytes], answers: IO[bytes]) -> None:
        self._to = to
        self._answers = answers
        self._number = 0
        self._session: dict[str, str] = {}
        self._loaded = False
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self.complaints: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def open(self, path: Path, width: int = 1200) -> None:
        """Show a file, and wait until it is loaded."""
        self._loaded = False
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Page.navigate", url=path.as_uri())
        while not self._loaded:
            self._next()

    def value(self, script: str) -> Any:
        """What an expression of JavaScript gives, awaited if it is a promise."""
        given = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in given, given
        return given["result"].get("value")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol and its result."""
        number = self._send(method, parameters)
        while (message := self._next()).get("id") != number:
            pass
        assert "error" not in message, message
        return dict(message["result"])

    def _send(self, method: str, parameters: dict[str, Any]) -> int:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **self._session}
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        return self._number

    def _next(self) -> dict[str, Any]:
        received = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser has ended"
            received += byte
        message: dict[str, Any] = json.loads(received)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, event: str | None, told: dict[str, Any]) -> None:
        match event:
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            case "Page.javascriptDialogOpening":
                self.dialogs.append(told["message"])
                self._send("Page.handleJavaScriptDialog", {"accept": True})
            case "Runtime.exceptionThrown":
                self.complaints.append(str(told["exceptionDetails"]))
            case "Log.entryAdded":
                self.complaints.append(told["entry"]["text"])


@contextmanager
def browser() -> Iterator[Page]:
    """A page of a Chromium that lives as long as the block. Skips the test where there is none, except in CI."""
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if program is None:
        reason = f"none of {', '.join(_NAMES)} is installed"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}, and CI has to look at the page")
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            ["sh", "-c", _ON_ITS_PIPES, "sh", program, *_OPTIONS, f"--user-data-dir={profile}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": profile},
            start_new_session=True,
        )
        end = Timer(LIFE_S, os.killpg, (process.pid, signal.SIGKILL))
        end.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            yield Page(process.stdin, process.stdout)
        finally:
            end.cancel()
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
