"""One attempt at a server: the request goes out once; a whole reply comes back, or a CallError says why none did."""

from __future__ import annotations

from typing import Final

import httpx

from pipeline.core.errors import CallError
from pipeline.core.types import Reply
from pipeline.providers.complaint import fit, keyless, without_key, without_signatures
from pipeline.providers.wire import mended

UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
"""Nothing went out, so nothing can have been billed. After every other error of httpx something may have been."""

_ANSWERS: Final = (b'"choices"', b'"stop_type"')
"""Without one of these a body is no answer: of OpenAI's API, of llama.cpp's own /completion."""


async def attempt(transport: httpx.AsyncBaseTransport, request: httpx.Request, secret: str | None) -> Reply:
    """The reply, of any status. Raises CallError timeout or connection when no whole one came."""
    try:
        response = await transport.handle_async_request(request)
        content = await response.aread()
    except httpx.RequestError as error:
        kind = "timeout" if isinstance(error, httpx.TimeoutException) else "connection"
        reached = not isinstance(error, UNSENT)
        raise CallError(kind, fit(mended(str(error)), secret), reached=reached) from error
    # Whatever a server echoes goes into the journal and the output; the key must not.
    content = without_key(content, secret)
    if not response.is_success or not any(sign in content for sign in _ANSWERS):
        content = without_signatures(content)  # an error, also under status 200; answers stay as they came
    headers = {name: keyless(value, secret) for name, value in response.headers.items()}
    return Reply(response.status_code, headers, content)
