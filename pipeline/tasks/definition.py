"""What a task is: its words, its columns, and the function that reads an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.core.types import Answer, Column, Completion


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What a person may set. `prompt` replaces the instructions, `labels` those of moderate; None is the default.

    `question` and `schema`, the text of a JSON schema, are those of ask: None is a question in each row, and words.
    """

    prompt: str | None = None
    labels: tuple[str, ...] | None = None
    question: str | None = None
    schema: str | None = None


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """One kind of question. `max_side` is in pixels, `max_tokens` bounds the answer.

    `grows` tells that the answer about a document is as long as the document has pages; how many it has is then the
    column `pages`, which the model does not say. `parse` is quick; it raises
    ItemError of stage parse, or content_filter.
    """

    kind: str
    system: str
    instructions: str
    schema: Mapping[str, Any] | None
    columns: tuple[Column, ...]
    max_side: int
    max_tokens: int
    parse: Callable[[Completion], Answer]
    grows: bool = False


def instructions(default: str, options: TaskOptions, answer_format: str) -> str:
    """The instructions of a task: the person's or the default, then the answer format that the parser relies on."""
    asked = default if options.prompt is None else options.prompt
    return f"{asked.strip()}\n\n{answer_format}"
