"""What it means for a picture when the web does not give it: from a status or a broken connection to a failure kind.

404, 410                        not_found
401, 403, 451                   forbidden
429 and 5xx                     fetch_failed, after repeats
every other status but 200, 203 fetch_failed, at once: a next run may find it mended
"""

from __future__ import annotations

from typing import Final

import aiohttp
import httpx

from pipeline.core.errors import ItemError
from pipeline.storage.errand import PassingError
from pipeline.storage.http import CONNECT_S
from pipeline.storage.local import reason

WHOLE: Final = {200, 203}
"""Statuses whose body is what was asked for."""

_REFUSED: Final = {401, 403, 451}
_GONE: Final = {404, 410}


def refused(status: int, shown: str) -> ItemError:
    """The failure for an answer of this status; `shown` is the address as a message may have it."""
    if status in _GONE:
        return ItemError("not_found", f"there is nothing at {shown}: it answers {status}", status)
    if status in _REFUSED:
        return ItemError(
            "forbidden",
            f"{shown} answers {status}: it wants a login, or its signature is wrong or over; list an open address",
            status,
        )
    return ItemError("fetch_failed", f"{shown} answers {status} and no picture", status)


def failure(error: httpx.TransportError, shown: str) -> ItemError:
    """The failure for an attempt that got no whole answer; a PassingError if another attempt makes sense.

    aiohttp's own words are left out: they quote addresses with all that is in them.
    """
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return ItemError("fetch_failed", f"cannot fetch {shown}: the certificate of its host is not valid")
    if isinstance(error, httpx.ConnectTimeout):
        return PassingError("fetch_timeout", f"cannot fetch {shown}: no connection within {CONNECT_S:g} s")
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        words = "its host could not be looked up"
    elif isinstance(cause, aiohttp.ClientConnectorSSLError):
        words = "no TLS connection came about"
    elif isinstance(cause, aiohttp.ClientConnectorError):
        words = f"no connection ({reason(cause.os_error)})"
    else:
        words = "the connection broke, or what came is not whole or not HTTP"
    return PassingError("fetch_failed", f"cannot fetch {shown}: {words}")
