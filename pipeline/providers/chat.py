"""A server's chat completions: request bytes, one attempt, and the completion in an answer.

A body is built of five pieces, so that its beginning is the same for every row and a server's prefix cache can use it:

    head     model, system message, instructions           made once per fixed prompt
    context  this row's quoted columns, if any
    images   data URIs in order, joined as bytes: base64 needs no JSON encoding
    question this row's own, if it brings one
    tail     temperature, seed, token limit, schema        made once per fixed prompt and repair
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import httpx
import orjson
import pybase64

from pipeline.core.errors import CallError, ConfigError, ItemError
from pipeline.core.pictures import LinkedImage, PreparedImage
from pipeline.core.types import Completion, FixedPrompt, Prompt, Repair, Reply, Usage
from pipeline.providers import errors
from pipeline.providers.complaint import complaint, described, fit, without_key, without_signatures
from pipeline.providers.dialects import Dialect
from pipeline.providers.usage import Prices, read_usage
from pipeline.providers.wire import mended, parsed, quoted

REQUEST_IDS: Final = ("x-request-id", "x-fireworks-request-id", "x-litellm-call-id", "cf-ray")
"""Headers that name an answer, most telling first (fireworks-ai 1.2.30, LiteLLM 1.109; 2026-11-22)."""

NO_NOTES: Final[Mapping[str, str]] = MappingProxyType({})
BROKEN_OFF: Final = frozenset({"error", "abort"})
"""Finish reasons of an answer that the server gave up (vLLM 0.33, Fireworks; 2026-11-22)."""


class _Question(NamedTuple):
    """A fixed prompt by its content. The schema cannot be hashed; `sha256` stands for it."""

    model: str
    system: str
    instructions: str
    sha256: str
    task: str
    max_tokens: int
    temperature: float
    seed: int | None


class ChatProvider:
    """One server spoken to by POST `base_url`/chat/completions; implements the port Provider.

    `timeout_s` is the total time for one attempt in seconds. The key goes into the authorization header and nowhere
    else; None sends none. Raises ConfigError for a key that cannot be a header.
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
    ) -> None:
        if api_key is not None and not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
            raise ConfigError(["the API key has spaces, line ends or other characters that no key has"])
        self._dialect = dialect
        self._url = httpx.URL(base_url.rstrip("/") + "/chat/completions")
        self._headers = httpx.Headers({"content-type": "application/json", "accept": "application/json"})
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._secret = api_key
        self._transport = transport
        self._extensions = {"timeout": {"read": timeout_s}}
        self._prices = prices
        self._heads: dict[_Question, bytes] = {}
        self._tails: dict[tuple[_Question, int], bytes] = {}

    def render(self, prompt: Prompt, repair: Repair | None = None) -> bytes:
        """The request body; the same bytes for the same arguments.

        Each repair doubles the token limit, up to the dialect's, and takes the next seed; the head stays.
        Raises ItemError image_rejected when the pictures are more than the dialect takes.
        """
        self._check(prompt.images)
        fixed = prompt.fixed
        number = repair.number if repair else 0
        question = _Question(
            fixed.model,
            fixed.system,
            fixed.instructions,
            fixed.sha256,
            fixed.task,
            fixed.max_tokens,
            fixed.temperature,
            fixed.seed,
        )
        head = self._heads.get(question)
        if head is None:
            head = self._heads[question] = _head(fixed)
        tail = self._tails.get((question, number))
        if tail is None:
            tail = self._tails[question, number] = self._tail(fixed, number)
        parts = [head]
        if prompt.context is not None:
            parts += (b',{"type":"text","text":', quoted(prompt.context), b"}")
        for image in prompt.images:
            if isinstance(image, LinkedImage):
                parts += (b',{"type":"image_url","image_url":{"url":', quoted(image.url), b"}}")
                continue
            parts += (b',{"type":"image_url","image_url":{"url":"data:', image.mime.encode(), b";base64,")
            parts += (pybase64.b64encode(image.data), b'"}}')
        if prompt.question is not None:
            parts += (b',{"type":"text","text":', quoted(prompt.question), b"}")
        parts.append(tail)
        return b"".join(parts)

    def _check(self, images: tuple[PreparedImage | LinkedImage, ...]) -> None:
        name, most, longest = self._dialect.name, self._dialect.max_images, self._dialect.max_base64_bytes
        if most is not None and len(images) > most:
            raise ItemError("image_rejected", f"{len(images)} pictures in one request; {name} takes {most}")
        encoded = sum((len(image.data) + 2) // 3 * 4 for image in images if isinstance(image, PreparedImage))
        if longest is not None and encoded >= longest:
            raise ItemError(
                "image_rejected", f"{encoded:,} base64 characters of pictures; {name} takes under {longest:,}"
            )

    def _tail(self, fixed: FixedPrompt, repair: int) -> bytes:
        cap = self._dialect.max_tokens_cap
        wanted = fixed.max_tokens * 2**repair
        fields: dict[str, Any] = {
            "temperature": fixed.temperature,  # left out, servers take the model's own default
            self._dialect.max_tokens_field: wanted if cap is None else min(wanted, cap),
        }
        if fixed.seed is not None:
            fields["seed"] = fixed.seed + repair
        if fixed.schema is not None:
            schema = {"name": fixed.task, "schema": fixed.schema}
            fields["response_format"] = {"type": "json_schema", "json_schema": schema}
        return b"]}]," + orjson.dumps({**fields, **self._dialect.extra})[1:]

    async def send(self, body: bytes, route: str | None = None) -> Reply:
        """One attempt. Raises CallError timeout or connection when no whole answer came."""
        request = httpx.Request("POST", self._url, headers=self._headers, content=body, extensions=self._extensions)
        try:
            response = await self._transport.handle_async_request(request)
            content = await response.aread()
        except httpx.RequestError as error:
            reached = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol)
            kind = "timeout" if isinstance(error, httpx.TimeoutException) else "connection"
            raise CallError(kind, fit(mended(str(error)), self._secret), reached=reached) from error
        # Whatever a server echoes goes into the journal and the output; the key must not.
        content = without_key(content, self._secret)
        if not response.is_success or b'"choices"' not in content:
            content = without_signatures(content)  # an error, also under status 200; answers stay as they came
        return Reply(response.status_code, dict(response.headers), content)

    def notes(self, reply: Reply) -> Mapping[str, str]:
        """The headers that `read` needs beside the body."""
        del reply
        return {}

    def refusal(self, reply: Reply) -> Exception:
        """What a reply other than 2xx means: a CallError for the row, a ServerError for the whole run."""
        models = tuple(sorted({question.model for question in self._heads}))
        return errors.refusal(reply, errors.Asked(str(self._url), models, self._secret))

    def read(self, body: bytes, notes: Mapping[str, str] = NO_NOTES) -> Completion:
        """The completion in a 2xx body; depends on nothing but the bytes. Raises CallError when there is none.

        Of several choices the first counts. Reasoning text is left out, its tokens are counted.
        """
        try:
            value = parsed(body)
        except ValueError:
            raise self._unusable(body, "the answer is no JSON") from None
        if not isinstance(value, dict):
            raise self._unusable(body, f"the answer is {described(value)}, not a chat completion")
        if value.get("error"):
            raise self._unusable(body, "the server reports an error under status 200")
        choices = value.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(message, dict):
            raise self._unusable(body, "the answer has no choices with a message")
        finish_reason = _text(choice.get("finish_reason"))
        if finish_reason in BROKEN_OFF:
            raise CallError("http_5xx", f"the server broke the answer off: finish_reason {finish_reason}", 200)
        return Completion(
            text=_content(message.get("content")),
            finish_reason=finish_reason,
            refusal=_text(message.get("refusal")),
            served_model=_text(value.get("model")),
            response_id=_text(value.get("id")),
            usage=read_usage(value.get("usage")),
        )

    def request_id(self, reply: Reply) -> str | None:
        """The server's name for this answer, from its headers."""
        return next((reply.headers[name] for name in REQUEST_IDS if reply.headers.get(name)), None)

    def cost(self, model: str, usage: Usage) -> float | None:
        """USD for one answer, None when the model has no known price or the tokens are not known."""
        return self._prices.cost(model, usage)

    def _unusable(self, body: bytes, what: str) -> CallError:
        said = fit(complaint(without_signatures(body)).message, self._secret)
        return CallError("http_5xx", f"{what}: {said}" if said else what, 200)


def _head(fixed: FixedPrompt) -> bytes:
    system = b'{"role":"system","content":' + quoted(fixed.system) + b"}," if fixed.system else b""
    start = b'{"model":' + quoted(fixed.model) + b',"messages":[' + system
    return start + b'{"role":"user","content":[{"type":"text","text":' + quoted(fixed.instructions) + b"}"


def _text(value: object) -> str | None:
    return mended(value) if isinstance(value, str) else None


def _content(content: object) -> str:
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, dict))
        return mended("".join(text for text in texts if isinstance(text, str)))
    return _text(content) or ""
