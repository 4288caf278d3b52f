"""Reading: the text on a picture exactly as it stands, and its language."""

from __future__ import annotations

import re

from pipeline.core.errors import ItemError
from pipeline.core.types import Answer, Column, Completion
from pipeline.tasks.answers import checked, unfenced
from pipeline.tasks.definition import TaskDefinition, TaskOptions, instructions

_SYSTEM = "You transcribe pictures of text. You copy what is written, character by character, and add nothing."

_ASK = """\
Transcribe all text that is legible in the picture.

- Copy it exactly: spelling, capitals, punctuation, numbers and symbols as they stand, mistakes included.
- Keep its lines: one line of the picture is one line of your answer, with an empty line between paragraphs.
- Read in the natural order: columns one after the other, tables row by row with " | " between cells.
- Do not translate, correct, complete, describe or summarise. Leave out what you cannot read."""

_FORMAT = """\
Answer in this form, without a code fence and without remarks:
The first line is "language: " and the two- or three-letter ISO 639 code of the text's main language, "und" when you \
are not sure, or "none" when there is no legible text.
Then comes an empty line, then the text. After "language: none" nothing follows."""

_HEADER = re.compile(
    r"\s*\**language\**[ \t]*:[ \t]*\**[ \t]*[\"']?(none|[a-z]{2,3})(?:[-_][a-z0-9]+)*[\"']?\**[ \t]*(?:\r?\n|\Z)",
    re.IGNORECASE,
)


def ocr(options: TaskOptions) -> TaskDefinition:
    """The task `ocr`."""
    return TaskDefinition(
        kind="ocr",
        system=_SYSTEM,
        instructions=instructions(_ASK, options, _FORMAT),
        schema=None,
        columns=(
            Column("text", "string"),
            Column("language", "string"),
            Column("has_text", "bool"),
            Column("pages", "int"),
        ),
        max_side=2048,
        max_tokens=3000,
        parse=_parse,
        grows=True,
    )


def _parse(completion: Completion) -> Answer:
    """Header optional: an answer without one is text of unknown language.

    Only "language: none" says that there is no text; a header with nothing after it is an empty answer.
    """
    text = unfenced(checked(completion))
    language: str | None = None
    if header := _HEADER.match(text):
        language = header[1].lower()
        text = unfenced(text[header.end() :])
    if language == "none":
        return {"text": "", "language": None, "has_text": False}
    text = _without_blank_ends(text)
    if not text:
        raise ItemError("empty", "the answer holds no text")
    return {"text": text, "language": None if language == "und" else language, "has_text": True}


def _without_blank_ends(text: str) -> str:
    """`text` without blank lines around it; the indentation of its first line is part of the text."""
    return re.sub(r"\A(?:[ \t]*\r?\n)+", "", text).rstrip()
