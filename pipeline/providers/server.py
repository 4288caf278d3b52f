"""One server, as the engine sees it: requests, attempts, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import httpx

from pipeline.core.errors import CallError, ConfigError, ServerError
from pipeline.core.types import Completion, Prompt, Repair, Reply, Usage
from pipeline.providers import chat, errors
from pipeline.providers.affinity import routed
from pipeline.providers.answer import read_answer
from pipeline.providers.attempt import attempt
from pipeline.providers.completions import Completions
from pipeline.providers.dialect import Dialect
from pipeline.providers.media_marker import MediaMarker
from pipeline.providers.usage import NOTED, Prices

Api = Literal["chat", "completions"]

REQUEST_IDS: Final = ("x-request-id", "x-fireworks-request-id", "x-litellm-call-id", "cf-ray")
"""Headers that name an answer, most telling first (fireworks-ai 1.2.30, LiteLLM 1.109; 2026-11-22)."""

NO_NOTES: Final[Mapping[str, str]] = MappingProxyType({})


class Server:
    """One server below `base_url`; implements the port Provider.

    `timeout_s` is the total time for one attempt in seconds. The key goes into the authorization header and nowhere
    else; None sends none. `template` is for `api` completions, which only some dialects have. Raises ConfigError for a
    key that cannot be a header.
    """

    def __init__(
        self,
        dialect: Dialect,
        *,
        base_url: str,
        api_key: str | None,
        transport: httpx.AsyncBaseTransport,
        timeout_s: float,
        prices: Prices,
        api: Api = "chat",
        template: str | None = None,
    ) -> None:
        if api_key is not None and not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
            raise ConfigError(["the API key has spaces, line ends or other characters that no key has"])
        self._dialect = dialect
        self._headers = httpx.Headers({"content-type": "application/json", "accept": "application/json"})
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._secret = api_key
        self._transport = transport
        self._extensions = {"timeout": {"read": timeout_s}}
        self._prices = prices
        self._models: set[str] = set()
        self._marker: MediaMarker | None = None
        root = base_url.rstrip("/")
        if api == "chat":
            self._form: chat.Chat | Completions = chat.Chat(dialect)
            path = root + chat.PATH
        else:
            self._form = Completions(dialect, template)
            path = root + "/completions"
        if api == "completions" and dialect.completions == "media_marker":
            root = root.removesuffix("/v1")
            path = root + "/completion"
            self._marker = MediaMarker(transport, self._request("GET", httpx.URL(root + "/props")), api_key)
        self._url = httpx.URL(path)

    def render(self, prompt: Prompt, repair: Repair | None = None) -> bytes:
        """The request body; the same bytes for the same arguments.

        What a repair asks for is told in `repairs.py`. Raises ItemError image_rejected when the pictures are more than
        the server takes.
        """
        self._models.add(prompt.fixed.model)
        return self._form.render(prompt, repair)

    async def send(self, body: bytes, route: str | None = None) -> Reply:
        """One attempt; requests of one `route` are to meet the same cache.

        Raises CallError timeout or connection when no whole answer came.
        """
        if self._marker is None:
            return await self._attempt(body, route)
        marked = await self._marker.put(body)
        reply = await self._attempt(marked, route)
        if await self._marker.is_stale(marked, reply):
            reply = await self._attempt(await self._marker.put(body), route)
        return reply

    async def _attempt(self, body: bytes, route: str | None) -> Reply:
        body, headers = routed(self._dialect, body, route)
        return await attempt(self._transport, self._request("POST", self._url, headers, body), self._secret)

    def _request(
        self, method: str, url: httpx.URL, headers: Mapping[str, str] = NO_NOTES, body: bytes = b""
    ) -> httpx.Request:
        sent = httpx.Headers([*self._headers.multi_items(), *headers.items()])
        return httpx.Request(method, url, headers=sent, content=body, extensions=self._extensions)

    def notes(self, reply: Reply) -> Mapping[str, str]:
        """The headers that `read` needs beside the body: tokens and a price that the body may not tell."""
        return {name: reply.headers[name] for name in NOTED if name in reply.headers}

    def refusal(self, reply: Reply) -> CallError | ServerError:
        """What a reply other than 2xx means: a CallError for the row, a ServerError for the whole run."""
        return errors.refusal(reply, errors.Asked(str(self._url), tuple(sorted(self._models)), self._secret))

    def read(self, body: bytes, notes: Mapping[str, str] = NO_NOTES) -> Completion:
        """The completion in a 2xx body. Raises CallError when there is none."""
        return read_answer(body, notes, self._secret)

    def request_id(self, reply: Reply) -> str | None:
        """The server's name for this answer, from its headers."""
        return next((reply.headers[name] for name in REQUEST_IDS if reply.headers.get(name)), None)

    def cost(self, model: str, usage: Usage) -> float | None:
        """USD for one answer, None when the model has no known price or the tokens are not known."""
        return self._prices.cost(model, usage)
