"""What a request asks, in facts that fit into a small file: hashes instead of pictures and of most of the words."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Annotated, Any, Final

import orjson
import pybase64
from pydantic import BaseModel, ConfigDict, Field

from pipeline.providers.wire import quoted
from pipeline.storage.urls import public_url

BEGINNING: Final = 60
"""Characters of a text that are kept to tell it by. They may be a row's own words, as an answer may be about them."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in hexadecimal digits."""

_LINK = re.compile(rb'(?<=\{"url":)"https?:[^"]*"|(?<="images":\[)"https?:[^"]*"')
"""A picture's address as `chat` and `completions` write it; in the words of a question its quotes are escaped."""
_DATA = re.compile(r"data:([^;,]*);base64,")
_QUESTION: Final = frozenset({"model", "messages", "prompt", "images"})


class Kept(BaseModel):
    """Base of everything that stands in a cassette: no member may be missing, wrong or unknown."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Text(Kept):
    """One text of a question, and how it begins."""

    sha256: Digest
    begins: str


class Picture(Kept):
    """One picture of a question: `sha256` of its own bytes, or the `address` that is sent, without its secrets.

    `mime` is None where the request does not tell it.
    """

    sha256: Digest | None = None
    bytes: int | None = None
    mime: str | None = None
    address: str | None = None


class Asked(Kept):
    """A request. `sampling` is everything in it but the question; of a member that is no plain value the hash."""

    sha256: Digest
    model: str
    texts: tuple[Text, ...]
    pictures: tuple[Picture, ...]
    sampling: dict[str, str | int | float | bool | None]


def request_sha256(body: bytes) -> str:
    """The name of a request: the hash of its body, in which an address stands without what signs it.

    It is the column request_sha256, but for a picture that was fetched here and then sent by its address: the column
    is of the question with the picture itself.
    """
    return hashlib.sha256(_LINK.sub(_shown, body)).hexdigest()


def asked(body: bytes) -> Asked:
    """The facts of a body that a `Server` has rendered."""
    value = orjson.loads(body)
    parts = list(_messages(value.get("messages", ()))) + list(_prompt(value))
    return Asked(
        sha256=request_sha256(body),
        model=value["model"],
        texts=tuple(
            Text(sha256=_sha256(part.encode()), begins=" ".join(part[:BEGINNING].split()))
            for is_picture, part in parts
            if not is_picture
        ),
        pictures=tuple(_picture(part) for is_picture, part in parts if is_picture),
        sampling={name: _plain(member) for name, member in value.items() if name not in _QUESTION},
    )


def _shown(address: re.Match[bytes]) -> bytes:
    return quoted(public_url(orjson.loads(address[0])))


def _messages(messages: Any) -> Iterator[tuple[bool, str]]:
    """Whether it is a picture, and the text or the picture's address or base64; of a chat."""
    for message in messages:
        content = message["content"]
        if isinstance(content, str):
            yield False, content
            continue
        for part in content:
            yield (True, part["image_url"]["url"]) if "image_url" in part else (False, part["text"])


def _prompt(value: Any) -> Iterator[tuple[bool, str]]:
    """The same, of either form of a completion."""
    prompt, images = value.get("prompt"), value.get("images", ())
    if isinstance(prompt, dict):
        prompt, images = prompt["prompt_string"], prompt.get("multimodal_data", ())
    if prompt is not None:
        yield False, prompt
    for image in images:
        yield True, image


def _picture(sent: str) -> Picture:
    if sent.startswith(("https:", "http:")):
        return Picture(address=public_url(sent))
    inline = _DATA.match(sent)
    data = pybase64.b64decode(sent[inline.end() :] if inline else sent)
    return Picture(sha256=_sha256(data), bytes=len(data), mime=inline[1] if inline else None)


def _plain(member: Any) -> str | int | float | bool | None:
    if isinstance(member, dict | list):
        return "sha256 " + _sha256(orjson.dumps(member, option=orjson.OPT_SORT_KEYS))
    plain: str | int | float | bool | None = member
    return plain


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
