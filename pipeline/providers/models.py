"""Which models a server says that it has: GET `base_url`/models, as OpenAI, vLLM, SGLang, llama.cpp, Ollama, LiteLLM
and Fireworks answer it (2026-11-22).
"""

from __future__ import annotations

from typing import Final

import httpx

from pipeline.core.errors import CallError
from pipeline.core.types import Reply
from pipeline.providers.complaint import fit, without_key
from pipeline.providers.wire import mended, parsed

CONNECT_S: Final = 5.0
TOTAL_S: Final = 15.0


async def ask_for_models(transport: httpx.AsyncBaseTransport, base_url: str, api_key: str | None) -> Reply:
    """The server's answer, whatever its status. Raises CallError timeout or connection when none came in 15 s."""
    headers = {"accept": "application/json", **({"authorization": f"Bearer {api_key}"} if api_key else {})}
    request = httpx.Request(
        "GET",
        base_url.rstrip("/") + "/models",
        headers=headers,
        extensions={"timeout": {"connect": CONNECT_S, "read": TOTAL_S}},
    )
    try:
        response = await transport.handle_async_request(request)
        body = await response.aread()
    except httpx.RequestError as error:
        reached = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol)
        kind = "timeout" if isinstance(error, httpx.TimeoutException) else "connection"
        raise CallError(kind, fit(mended(str(error)), api_key), reached=reached) from error
    return Reply(response.status_code, dict(response.headers), without_key(body, api_key))


def listed_models(body: bytes) -> list[str] | None:
    """The names in such an answer, None when it holds no list of them."""
    try:
        value = parsed(body)
    except ValueError:
        return None
    entries = value.get("data") if isinstance(value, dict) else value
    if not isinstance(entries, list):
        return None
    return [entry["id"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]
