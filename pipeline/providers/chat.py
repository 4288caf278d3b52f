"""A request for a chat completion, as bytes.

A body is built of pieces, so that its beginning is the same for every row of a task and a server's prefix cache can use
it; base64 is joined as bytes and needs no JSON encoding:

    text first     head (model, system message, instructions), context, pictures, question, tail
    image first    model, pictures, instructions (the system's first), context, question, tail

The row's own question comes after the pictures in both; the tail says how to answer.
"""

from __future__ import annotations

from typing import Final

import orjson
import pybase64

from pipeline.core.pictures import LinkedImage, PreparedImage
from pipeline.core.types import FixedPrompt, Prompt, Repair
from pipeline.providers.dialect import Dialect, images_first
from pipeline.providers.limits import check_images
from pipeline.providers.repairs import correction, corrects_form
from pipeline.providers.sampling import answer_fields
from pipeline.providers.wire import quoted

PATH: Final = "/chat/completions"


class Chat:
    """Renders requests of one dialect; what is the same for every row is encoded once."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._heads: dict[tuple[str, str, str], bytes] = {}
        self._tails: dict[tuple[object, ...], bytes] = {}

    def render(self, prompt: Prompt, repair: Repair | None) -> bytes:
        """The body; the same bytes for the same arguments. Raises ItemError for pictures that the server refuses."""
        fixed = prompt.fixed
        corrected = repair if repair is not None and corrects_form(repair) else None
        images = () if corrected else prompt.images
        check_images(self._dialect, images, inline_only=False)
        image_first = images_first(prompt)
        context = [] if prompt.context is None or corrected else [prompt.context]
        last = [correction(corrected)] if corrected else [] if prompt.question is None else [prompt.question]
        if image_first:
            instructions = f"{fixed.system}\n\n{fixed.instructions}" if fixed.system else fixed.instructions
            body = [b'{"model":', quoted(fixed.model), b',"messages":[{"role":"user","content":[']
            parts = [*map(_picture, images), *map(_text, (instructions, *context, *last))]
        else:
            body = [self._head(fixed)]
            parts = [*map(_text, context), *map(_picture, images), *map(_text, last)]
        for number, part in enumerate(parts):
            body += part if image_first and not number else (b",", *part)
        body.append(self._tail(fixed, repair))
        return b"".join(body)

    def _head(self, fixed: FixedPrompt) -> bytes:
        key = (fixed.model, fixed.system, fixed.instructions)
        head = self._heads.get(key)
        if head is None:
            system = b'{"role":"system","content":' + quoted(fixed.system) + b"}," if fixed.system else b""
            start = b'{"model":' + quoted(fixed.model) + b',"messages":[' + system
            head = start + b'{"role":"user","content":[' + b"".join(_text(fixed.instructions))
            self._heads[key] = head
        return head

    def _tail(self, fixed: FixedPrompt, repair: Repair | None) -> bytes:
        # A schema cannot be hashed; the prompt's hash stands for it.
        key: tuple[object, ...] = (fixed.sha256, fixed.task, fixed.max_tokens, fixed.temperature, fixed.seed)
        if repair is not None:
            key += (repair.number, repair.kind, corrects_form(repair))
        tail = self._tails.get(key)
        if tail is None:
            fields = answer_fields(self._dialect, fixed, repair)
            tail = self._tails[key] = b"]}]," + orjson.dumps(fields)[1:]
        return tail


def _text(text: str) -> tuple[bytes, ...]:
    return b'{"type":"text","text":', quoted(text), b"}"


def _picture(image: PreparedImage | LinkedImage) -> tuple[bytes, ...]:
    address = (quoted(image.url),) if isinstance(image, LinkedImage) else (b'"', *data_uri(image), b'"')
    return b'{"type":"image_url","image_url":{"url":', *address, b"}}"


def data_uri(image: PreparedImage) -> tuple[bytes, ...]:
    """The picture as an address that holds it, in pieces; needs no quoting in JSON."""
    return b"data:", image.mime.encode(), b";base64,", pybase64.b64encode(image.data)
