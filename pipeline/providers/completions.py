"""A request for a completion of a plain prompt with pictures in it, as bytes.

Two servers take one (docs.fireworks.ai, vision guide, 2026-11-22; llama.cpp build 11549, tried 2026-11-25):

    Fireworks    {"prompt": "... <image> ...", "images": ["data:image/jpeg;base64,...", ...], ...}
    llama.cpp    {"prompt": {"prompt_string": "... <__media__> ...", "multimodal_data": ["...", ...]}, ...}

One marker a picture, in order. The template is the model's own chat template, written by hand.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import orjson
import pybase64

from pipeline.core.pictures import LinkedImage, PreparedImage
from pipeline.core.types import Prompt, Repair
from pipeline.providers.chat import data_uri
from pipeline.providers.dialect import Dialect, images_first
from pipeline.providers.limits import check_images
from pipeline.providers.repairs import correction, corrects_form
from pipeline.providers.sampling import answer_fields
from pipeline.providers.wire import quoted

TEXT_FIRST: Final = "{system}\n\n{text}\n{images}\n{question}\n"
IMAGES_FIRST: Final = "{images}\n{system}\n\n{text}\n"
"""Where the configuration has no template: for models that were trained on no other."""

MARKERS: Final = {"image_list": "<image>", "media_marker": "<__media__>"}
_PLACES = re.compile(r"(\{(?:system|images|text|question)\})")


def template_problems(template: str) -> list[str]:
    """What is wrong with a template, one sentence each."""
    places = Counter(_PLACES.findall(template))
    problems = [
        f"{place} must stand in it once, not {places[place]} times"
        for place in ("{images}", "{text}")
        if places[place] != 1
    ]
    problems += [f"{place} may stand in it once" for place in ("{system}", "{question}") if places[place] > 1]
    problems += [f"{{images}} stands for {mark}" for mark in MARKERS.values() if mark in template]
    return problems


class Completions:
    """Renders requests of a dialect that has `completions`, by a template or, where that is None, by the layout."""

    def __init__(self, dialect: Dialect, template: str | None) -> None:
        self._dialect = dialect
        self._native = dialect.completions == "media_marker"
        self._marker = MARKERS[dialect.completions or "image_list"]
        self._text_first = _PLACES.split(template or TEXT_FIRST)
        self._images_first = _PLACES.split(template or IMAGES_FIRST)

    def render(self, prompt: Prompt, repair: Repair | None) -> bytes:
        """The body; the same bytes for the same arguments. Raises ItemError for pictures that the server refuses.

        The row's own words stand at the template's `{question}`; without it they are the last of the text.
        """
        fixed = prompt.fixed
        corrected = repair if repair is not None and corrects_form(repair) else None
        images = () if corrected else prompt.images
        check_images(self._dialect, images, inline_only=self._native)
        of_row = [correction(corrected)] if corrected else [prompt.context, prompt.question]
        pieces = self._images_first if images_first(prompt) else self._text_first
        apart = "{question}" in pieces
        words = {
            "{system}": self._plain(fixed.system),
            "{images}": "\n".join([self._marker] * len(images)),
            "{text}": self._plain(_paragraphs([fixed.instructions, *(() if apart else of_row)])),
            "{question}": self._plain(_paragraphs(of_row)),
        }
        asked = quoted("".join(words.get(piece, piece) for piece in pieces))
        body = [b'{"model":', quoted(fixed.model), b',"prompt":']
        if self._native:
            body += (b'{"prompt_string":', asked)
            for number, inline in enumerate(_inline(images)):
                body += (b'","' if number else b',"multimodal_data":["', pybase64.b64encode(inline.data))
            body.append(b'"]}' if images else b"}")
        else:
            body.append(asked)
            for number, image in enumerate(images):
                body += (b"," if number else b',"images":[', *_address(image))
            body += (b"]",) if images else ()
        body += (b",", orjson.dumps(answer_fields(self._dialect, fixed, repair, native=self._native))[1:])
        return b"".join(body)

    def _plain(self, text: str) -> str:
        """The text without anything that would stand for a picture."""
        return text.replace(self._marker, self._marker.replace("<", "< "))


def _paragraphs(texts: Sequence[str | None]) -> str:
    return "\n\n".join(text for text in texts if text is not None)


def _inline(images: tuple[PreparedImage | LinkedImage, ...]) -> list[PreparedImage]:
    return [image for image in images if isinstance(image, PreparedImage)]


def _address(image: PreparedImage | LinkedImage) -> tuple[bytes, ...]:
    return (quoted(image.url),) if isinstance(image, LinkedImage) else (b'"', *data_uri(image), b'"')
