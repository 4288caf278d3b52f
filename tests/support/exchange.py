"""What passes between a client and the fake server: one `Request` in, one `Reply` out.

A request is never parsed as JSON: the picture, the model and any marker are found with `bytes.find`, and only
when somebody asks, so that the fake costs less than any client that is measured against it.
"""

import hashlib
import json
import time
from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

DATA_URI = b";base64,"
Cut = Literal["whole", "unanswered", "middle", "after"]


@dataclass
class Request:
    """One complete HTTP request, as it lay on the wire.

    `number` counts from 1 in the order in which requests were complete; `received_at` is the server loop's clock in
    seconds (monotonic; virtual on a virtual loop); header names are lower case. `request_id` is unique over all
    servers and goes out in the answer.
    """

    number: int
    request_id: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    received_at: float

    @cached_property
    def image_base64(self) -> bytes:
        """The base64 payload of the first data URI; empty when the request has none."""
        images = self.images_base64(1)
        return images[0] if images else b""

    @cached_property
    def image_base64_sha256(self) -> str:
        """Hex digest of the payload as sent; empty when the request has no picture."""
        return hashlib.sha256(self.image_base64).hexdigest() if self.image_base64 else ""

    @cached_property
    def image_sha256(self) -> str:
        """Hex digest of the first picture's own bytes, that is of the decoded payload; empty when there is none."""
        return hashlib.sha256(a2b_base64(self.image_base64)).hexdigest() if self.image_base64 else ""

    @cached_property
    def image(self) -> bytes:
        """The first picture's own bytes."""
        return a2b_base64(self.image_base64)

    @cached_property
    def body_sha256(self) -> str:
        """Hex digest of the body as sent."""
        return hashlib.sha256(self.body).hexdigest()

    @cached_property
    def model(self) -> str:
        """The value of the first `"model"` field; empty when there is none."""
        return self.between(b'"', b'"', start=self._value_at(b'"model"')).decode() if b'"model"' in self.body else ""

    def images_base64(self, at_most: int = 1000) -> list[bytes]:
        """The base64 payloads of the data URIs, in order (`\\/`, as some encoders write, is undone)."""
        found: list[bytes] = []
        at = self.body.find(DATA_URI)
        while at >= 0 and len(found) < at_most:
            end = self.body.find(b'"', at)
            payload = self.body[at + len(DATA_URI) : end if end >= 0 else len(self.body)]
            found.append(payload.replace(b"\\/", b"/") if b"\\" in payload else payload)
            at = self.body.find(DATA_URI, end) if end >= 0 else -1
        return found

    def has(self, marker: str | bytes) -> bool:
        """Whether the body holds this text (as the client's encoder wrote it: mind `\\u` escapes)."""
        return (marker.encode() if isinstance(marker, str) else marker) in self.body

    def between(self, before: bytes, after: bytes, start: int = 0) -> bytes:
        """The bytes between two markers, for a key that a test put into the prompt; empty when not there."""
        at = self.body.find(before, start)
        end = self.body.find(after, at + len(before)) if at >= 0 else -1
        return self.body[at + len(before) : end] if end >= 0 else b""

    def field(self, name: str) -> Any:
        """The value of the last member of this name, parsed alone; None when there is none.

        Only the value is parsed, not the whole body; meant for small members behind the messages.
        """
        at = self.body.rfind(f'"{name}"'.encode())
        if at < 0:
            return None
        text = self.body[self._value_at(f'"{name}"'.encode(), at) :].decode().lstrip()
        return json.JSONDecoder(strict=False).raw_decode(text)[0]

    def _value_at(self, quoted_name: bytes, start: int = 0) -> int:
        return self.body.find(b":", self.body.find(quoted_name, start) + len(quoted_name)) + 1


@dataclass(frozen=True)
class Reply:
    """What the server does with one request.

    `delay` is in seconds before the first byte; `hang` never answers. `cut` drops the connection: without an
    answer, in the middle of the body, or after the whole answer (which promised to keep alive); with `reset` the
    client sees a reset instead of an end. `missing` bytes are promised by content-length and never sent (then the
    connection ends). `drip` sends the body in pieces of so many bytes, so many seconds apart. `note` is added to
    the line in the server's log.
    """

    status: int = 200
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()
    delay: float = 0.0
    hang: bool = False
    cut: Cut = "whole"
    reset: bool = False
    missing: int = 0
    drip: tuple[int, float] | None = None
    note: Mapping[str, Any] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether the client can receive the whole answer."""
        return not self.hang and not self.missing and self.cut in {"whole", "after"}


Script = Callable[[Request], Reply]


@dataclass(frozen=True)
class Usage:
    """Tokens of one answer; `cached` is part of `prompt`; `completion` None is a token per four characters.

    `images` None leaves out what the pictures took.
    """

    prompt: int = 120
    completion: int | None = None
    cached: int = 64
    images: int | None = None

    def as_json(self, content: str) -> dict[str, Any]:
        """The `usage` member of an answer with this content."""
        completion = max(1, len(content) // 4) if self.completion is None else self.completion
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": completion,
            "total_tokens": self.prompt + completion,
            "prompt_tokens_details": {
                "cached_tokens": self.cached,
                **({} if self.images is None else {"image_tokens": self.images}),
            },
        }


def answer(
    request: Request,
    content: str | None,
    *,
    finish_reason: str = "stop",
    usage: Usage | None = None,
    message: Mapping[str, Any] | None = None,
) -> Reply:
    """A 200 with one choice, in the form that the asked path has; `message` adds members to the chat message."""
    counted = (usage or Usage()).as_json(content or "")
    chat = request.path.endswith("/chat/completions")
    said = {"message": {"role": "assistant", "content": content, **(message or {})}} if chat else {"text": content}
    body = {
        "id": request.request_id,
        "object": "chat.completion" if chat else "text_completion",
        "created": int(time.time()),
        "model": request.model,
        "choices": [{"index": 0, **said, "finish_reason": finish_reason}],
        "usage": counted,
    }
    return Reply(body=json.dumps(body).encode(), note={"usage": counted, "content": content})


def with_headers(reply: Reply, headers: Mapping[str, str]) -> Reply:
    """The same reply with more headers."""
    return replace(reply, headers=[*reply.headers, *headers.items()])
