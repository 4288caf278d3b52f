"""What a connection that fails means, where a test cannot bring the failure about by itself."""

from __future__ import annotations

import ssl
from typing import Any, cast

import aiohttp
import httpx
import pytest

from pipeline.storage.web_errors import PassingError, failure

KEY = cast("Any", None)  # aiohttp's own description of the connection; not read


def after(error: httpx.TransportError, cause: BaseException | None) -> httpx.TransportError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind", "again", "words"),
    [
        (
            after(
                httpx.ConnectError("https://h/?token=SECRET"),
                aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError(1, "SECRET")),
            ),
            "fetch_failed",
            False,
            "the certificate of its host is not valid",
        ),
        (httpx.ConnectTimeout("SECRET"), "fetch_timeout", True, "no connection within 10 s"),
        (
            after(httpx.ConnectError("SECRET"), aiohttp.ClientConnectorError(KEY, OSError(113, "No route to host"))),
            "fetch_failed",
            True,
            "no connection (No route to host)",
        ),
        (
            httpx.ReadError("SECRET"),
            "fetch_failed",
            True,
            "the connection broke, or what came is not whole or not HTTP",
        ),
    ],
)
def test_a_failed_connection(error: httpx.TransportError, kind: str, again: bool, words: str) -> None:
    failed = failure(error, "https://h/")
    assert (failed.kind, failed.message) == (kind, f"cannot fetch https://h/: {words}")
    assert isinstance(failed, PassingError) == again
