"""Answers one chat completion request (OpenAI's wire format, read 2026-11-23) with the embedded models."""

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.embedded.caption import compose
from pipeline.embedded.colours import main_colours
from pipeline.embedded.inference import AT_ONCE
from pipeline.embedded.labels import Labeller
from pipeline.embedded.moderation import Moderator, labels_asked, verdict
from pipeline.embedded.objects import open_detector
from pipeline.embedded.pictures import Picture, PictureError, open_picture
from pipeline.embedded.text import Reader

SERVED = {
    "embedded/caption": "embedded/tags",  # what writes captions names tags; it is no vision-language model and says so
    "embedded/tags": "embedded/tags",
    "embedded/ocr": "embedded/ocr",
    "embedded/moderate": "embedded/moderate",
}
"""Model asked for -> model named in the answer."""


class RequestError(Exception):
    """A request that is answered with an error: HTTP status, message, and OpenAI's `param` and `code`."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code


class Models:
    """Every model, loaded; `answer` may be called from many threads.

    Pictures are decoded and looked at by `AT_ONCE` threads of our own, in the order of arrival, so that pixels in
    memory are bounded however many connections there are.
    """

    def __init__(self) -> None:
        self._labeller, self._detector, self._moderator = Labeller(), open_detector(), Moderator()
        self._reader = Reader()
        self._lookers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="looker")
        self._tasks: dict[str, Callable[[Iterator[Picture], dict[str, Any]], str]] = {
            "embedded/tags": self._caption,
            "embedded/ocr": self._ocr,
            "embedded/moderate": self._moderate,
        }

    def answer(self, request: object) -> dict[str, Any]:
        """The chat completion for a decoded request body. Raises RequestError if it cannot be answered."""
        if not isinstance(request, dict):
            raise RequestError(400, "the body is not a JSON object")
        served = _served(request)
        text, urls = _parts(request)
        content = self._lookers.submit(self._look, served, urls, request).result()
        return _completion(served, content, prompt_words=len(text.split()))

    def close(self) -> None:
        """Drops what is still queued; what is being looked at is finished."""
        self._lookers.shutdown(wait=False, cancel_futures=True)

    def _look(self, served: str, urls: list[str], request: dict[str, Any]) -> str:
        try:
            # One page is decoded at a time.
            return self._tasks[served]((open_picture(url) for url in urls), request)
        except PictureError as error:
            raise RequestError(400, str(error), "messages", "invalid_image") from error

    def _caption(self, pages: Iterator[Picture], _request: dict[str, Any]) -> str:
        captions = [self._describe(page) for page in pages]
        if len(captions) == 1:
            return captions[0]
        return "\n".join(f"Page {number}: {caption}" for number, caption in enumerate(captions, start=1))

    def _describe(self, picture: Picture) -> str:
        objects = [found.name for found in self._detector.find(picture.upright)] if self._detector else []
        label = self._labeller.label(picture.upright)
        return compose(objects, label, main_colours(picture.upright), self._reader.read(picture.upright))

    def _ocr(self, pages: Iterator[Picture], _request: dict[str, Any]) -> str:
        read = ["\n".join(self._reader.read(page.upright).lines) for page in pages]
        text = "\n\n".join(lines for lines in read if lines)
        return f"language: und\n\n{text}" if text else "language: none"

    def _moderate(self, pages: Iterator[Picture], request: dict[str, Any]) -> str:
        return verdict(max(self._moderator.score(page.received) for page in pages), labels_asked(request))


def _served(request: dict[str, Any]) -> str:
    model = request.get("model")
    if not isinstance(model, str):
        raise RequestError(400, "'model' is missing or not a string", "model")
    if model not in SERVED:
        known = ", ".join(sorted(SERVED))
        raise RequestError(404, f"the model {model!r} does not exist; there are {known}", "model", "model_not_found")
    for option, plain in (("stream", False), ("n", 1)):
        if request.get(option) not in (None, plain):
            raise RequestError(400, f"this server answers only with {option!r} = {plain}", option)
    return SERVED[model]


def _parts(request: dict[str, Any]) -> tuple[str, list[str]]:
    """The text of all messages, and the URLs of the images, one at least."""
    messages = request.get("messages")
    if not isinstance(messages, list):
        raise RequestError(400, "'messages' is missing or not a list", "messages")
    texts: list[str] = []
    urls: list[str] = []
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(parts, list):
            raise RequestError(400, "a message needs 'content': a string or a list of parts", "messages")
        for part in parts:
            _sort_part(part, texts, urls)
    if not urls:
        raise RequestError(400, "the request holds no image", "messages")
    return "\n".join(texts), urls


def _sort_part(part: object, texts: list[str], urls: list[str]) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    value = part.get(kind) if isinstance(part, dict) and kind in ("text", "image_url") else None
    if kind == "text" and isinstance(value, str):
        texts.append(value)
        return
    url = value.get("url") if isinstance(value, dict) else value
    if kind != "image_url" or not isinstance(url, str):
        raise RequestError(400, "a content part is neither a text nor an image_url with a url", "messages")
    urls.append(url)


def _completion(served: str, content: str, *, prompt_words: int) -> dict[str, Any]:
    """The response body. These models have no tokens: usage counts the words between spaces, the picture as none."""
    words = len(content.split())
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": served,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": prompt_words,
            "completion_tokens": words,
            "total_tokens": prompt_words + words,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }
