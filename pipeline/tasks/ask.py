"""Questions about pictures, charts and documents: one for all rows or one a row, answered in words or by fields."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from pipeline.core.errors import ItemError
from pipeline.core.types import Answer, Column, Completion
from pipeline.tasks.answers import checked
from pipeline.tasks.definition import TaskDefinition, TaskOptions, instructions
from pipeline.tasks.fields import Fields, read_schema
from pipeline.tasks.json_text import read_json

_SYSTEM = "You answer questions about pictures. You look closely and say what can be seen, plainly and exactly."

_ASK = """\
Answer the question about the picture.

- Look first: read labels, axes, legends, units and small print.
- Give names, numbers, dates and units as they stand in the picture, and count what there is to count.
- Say only what the picture shows. Where it does not tell, say so; never guess."""

_WORDS = "Answer with the answer alone: no heading, no repetition of the question, no remarks."

_FIELDS = """\
Answer with one JSON object, without a code fence and without remarks, that fits this JSON schema:
{schema}
A field that is not required, and that the picture does not tell, is null."""

_PREFIX = re.compile(r"(?:\*\*)?answer(?:\*\*)?:(?:\*\*)?\s+", re.IGNORECASE)


def ask(options: TaskOptions) -> TaskDefinition:
    """The task `ask`: `options.question` is the question for every row; without one, each row brings its own.

    Raises SchemaError for a schema that cannot be used.
    """
    fields = None if options.schema is None else read_schema(options.schema)
    answer_format = _WORDS
    if fields is not None:
        answer_format = _FIELDS.format(schema=json.dumps(fields.schema, ensure_ascii=False))
    if options.question is not None:
        answer_format = f"The question is: {options.question}\n\n{answer_format}"
    return TaskDefinition(
        kind="ask",
        system=_SYSTEM,
        instructions=instructions(_ASK, options, answer_format),
        schema=None if fields is None else fields.strict,
        columns=(Column("answer", "string"),) if fields is None else fields.columns,
        max_side=1536,
        max_tokens=500 if fields is None else 1500,
        parse=_words if fields is None else _typed(fields),
    )


def _words(completion: Completion) -> Answer:
    text = checked(completion)
    if prefix := _PREFIX.match(text):
        text = text[prefix.end() :]
    if not text:
        raise ItemError("empty", "the answer holds no words")
    return {"answer": text}


def _typed(fields: Fields) -> Callable[[Completion], Answer]:
    def parse(completion: Completion) -> Answer:
        return fields.read(read_json(checked(completion)))

    return parse
