"""Captions: one or two sentences that say what a picture shows."""

from __future__ import annotations

import re

from pipeline.core.errors import ItemError
from pipeline.core.types import Answer, Column, Completion
from pipeline.tasks.answers import checked
from pipeline.tasks.definition import TaskDefinition, TaskOptions, instructions

_SYSTEM = "You write captions for pictures. You say what can be seen, plainly and exactly, and nothing else."

_ASK = """\
Write a caption for the picture in one or two sentences.

- Begin with the main subject, then what it does, then where it is and what else matters.
- Be specific: number, colour, material, position, kind of picture (photograph, drawing, diagram, screenshot).
- Quote text only where it is legible and matters.
- Say only what can be seen. Do not guess names, intentions, places or dates, and do not judge."""

_FORMAT = "Answer with the caption alone: no heading, no quotation marks around it, no remarks."

_PREFIX = re.compile(r"(?:\*\*)?(?:image |picture |the )?caption(?:\*\*)?:(?:\*\*)?\s+", re.IGNORECASE)
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "\u201e": "\u201c", "\u00ab": "\u00bb"}


def caption(options: TaskOptions) -> TaskDefinition:
    """The task `caption`."""
    return TaskDefinition(
        kind="caption",
        system=_SYSTEM,
        instructions=instructions(_ASK, options, _FORMAT),
        schema=None,
        columns=(Column("caption", "string"),),
        max_side=1024,
        max_tokens=300,
        parse=_parse,
    )


def _parse(completion: Completion) -> Answer:
    text = checked(completion)
    if prefix := _PREFIX.match(text):
        text = text[prefix.end() :]
    text = _unquoted(text.strip())
    if not text:
        raise ItemError("empty", "the answer holds no caption")
    return {"caption": text}


def _unquoted(text: str) -> str:
    """`text` without one pair of quotation marks around the whole; marks that pair off inside are left alone."""
    closing = _QUOTES.get(text[:1])
    if closing is None or len(text) < 2 or text[-1] != closing:
        return text
    inner = text[1:-1]
    return text if text[0] in inner or closing in inner else inner.strip()
