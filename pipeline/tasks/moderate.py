"""Moderation: a verdict, the labels that apply, a score for each label, and the reason.

An answer that contradicts itself is refused: "safe" together with labels is a schema_mismatch. "unsafe" without labels
is kept, because a picture can be harmful in a way that none of the configured labels names, and losing that verdict
would be worse than a short list. Labels come out in the configured order, each once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from pipeline.core.errors import ItemError
from pipeline.core.types import Answer, Column, Completion
from pipeline.tasks.answers import checked
from pipeline.tasks.definition import TaskDefinition, TaskOptions, instructions
from pipeline.tasks.json_text import read_json

LABELS = ("sexual", "violence", "violence/graphic", "self-harm")
"""The default labels: those of OpenAI's omni-moderation that are judged on pictures, without their sub-kinds."""

_SYSTEM = "You review pictures for a content policy. You judge what can be seen, soberly, and answer in JSON."

_ASK = """\
Judge the picture against the labels listed below.

- Give every label a score from 0 (certainly does not apply) to 1 (certainly applies), or null when you cannot tell.
- List a label as applying when its score is 0.5 or more.
- The verdict is "unsafe" when at least one label applies, "safe" when none does, and "unsure" when the picture is too \
unclear to decide. A "safe" verdict has no labels.
- Judge what is shown, also in drawings and in legible text, not what might have happened before or after.
- Nudity in art, medicine or everyday life is not sexual by itself; a toy weapon is not violence.
- Give the reason in one short, factual sentence."""


class _Scores(BaseModel):
    """Base of the generated scores; one field for each label."""

    model_config = ConfigDict(strict=True, extra="forbid")


class _Verdict(BaseModel):
    """Base of the generated answer."""

    model_config = ConfigDict(strict=True, extra="forbid")

    verdict: Literal["safe", "unsafe", "unsure"]
    labels: list[str]
    scores: _Scores
    reason: str


def moderate(options: TaskOptions) -> TaskDefinition:
    """The task `moderate`. Raises ValueError for labels that cannot be columns."""
    labels = LABELS if options.labels is None else options.labels
    columns = score_columns(labels)
    schema = _schema(labels)
    shape = _shape(columns)

    def parse(completion: Completion) -> Answer:
        return _answer(_validated(shape, read_json(checked(completion))), columns)

    answer_format = (
        f"The labels are: {', '.join(json.dumps(label, ensure_ascii=False) for label in labels)}.\n"
        "Answer with one JSON object, without a code fence and without remarks, that fits this JSON schema:\n"
        f"{json.dumps(schema, ensure_ascii=False)}"
    )
    return TaskDefinition(
        kind="moderate",
        system=_SYSTEM,
        instructions=instructions(_ASK, options, answer_format),
        schema=schema,
        columns=(
            Column("verdict", "string"),
            Column("labels", "list<string>"),
            *(Column(column, "float") for column in columns.values()),
            Column("reason", "string"),
        ),
        max_side=768,
        max_tokens=400,
        parse=parse,
    )


def score_columns(labels: tuple[str, ...]) -> dict[str, str]:
    """The score column of each label. Raises ValueError for none, for a label without a letter, or for a clash."""
    if not labels:
        raise ValueError("moderate needs at least one label")
    columns: dict[str, str] = {}
    for label in labels:
        snake = re.sub(r"\W+", "_", label.lower()).strip("_")
        if not snake:
            raise ValueError(f"the label {label!r} has no letter or digit for a column name")
        column = f"score_{snake}"
        if column in columns.values():
            raise ValueError(f"two labels, the second is {label!r}, would share the column {column}")
        columns[label] = column
    return columns


def _schema(labels: tuple[str, ...]) -> dict[str, Any]:
    """The JSON schema of the answer, in the strict form: every key required, none added.

    Ranges are left to `_shape`: not every server's grammar compiler knows them, and some refuse the request.
    """
    return {
        "type": "object",
        "properties": {
            "verdict": {"type": "string", "enum": ["safe", "unsafe", "unsure"]},
            "labels": {"type": "array", "items": {"type": "string", "enum": list(labels)}},
            "scores": {
                "type": "object",
                "properties": {label: {"type": ["number", "null"]} for label in labels},
                "required": list(labels),
                "additionalProperties": False,
            },
            "reason": {"type": "string"},
        },
        "required": ["verdict", "labels", "scores", "reason"],
        "additionalProperties": False,
    }


def _shape(columns: Mapping[str, str]) -> type[_Verdict]:
    """The model that an answer must fit; scores carry the column as name and the label as alias."""
    score = Annotated[float, Field(ge=0, le=1)]
    fields: dict[str, Any] = {column: (score | None, Field(alias=label)) for label, column in columns.items()}
    scores = create_model("Scores", __base__=_Scores, **fields)
    labels: Any = list[Literal[tuple(columns)]]  # type: ignore[misc]  # known only at run time
    return create_model("Verdict", __base__=_Verdict, labels=(labels, ...), scores=(scores, ...))


def _validated(shape: type[_Verdict], value: object) -> _Verdict:
    """`value` as the answer's model. Raises ItemError schema_mismatch."""
    try:
        verdict = shape.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        problems = "; ".join(f"{'.'.join(str(step) for step in one['loc']) or 'answer'}: {one['msg']}" for one in found)
        raise ItemError("schema_mismatch", f"the answer does not fit its schema: {problems[:200]}") from error
    if verdict.verdict == "safe" and verdict.labels:
        listed = ", ".join(verdict.labels)[:150]
        raise ItemError("schema_mismatch", f"the answer contradicts itself: verdict safe with labels {listed}")
    return verdict


def _answer(verdict: _Verdict, columns: Mapping[str, str]) -> Answer:
    scores = verdict.scores.model_dump()
    return {
        "verdict": verdict.verdict,
        "labels": [label for label in columns if label in verdict.labels],
        **{column: scores[column] for column in columns.values()},
        "reason": verdict.reason.strip(),
    }
