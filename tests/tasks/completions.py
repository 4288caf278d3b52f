"""Completions as a server's answer is read."""

from __future__ import annotations

import pytest

from pipeline.core.errors import ItemError
from pipeline.core.types import Answer, Completion, Usage
from pipeline.tasks import TaskDefinition


def completion(text: str, finish_reason: str | None = "stop", refusal: str | None = None) -> Completion:
    return Completion(text, finish_reason, refusal, "model", Usage())


def parsed(task: TaskDefinition, text: str) -> Answer:
    """The answer, after checking that it fits the task's columns; how many pages there were nobody answers."""
    answer = task.parse(completion(text))
    types = {"string": str, "bool": bool, "int": int, "float": float, "list<string>": list}
    said = [column for column in task.columns if column.name != "pages"]
    assert list(answer) == [column.name for column in said]
    for column in said:
        value = answer[column.name]
        assert value is None or isinstance(value, types[column.type]), column
    return answer


def failure(
    task: TaskDefinition, text: str, finish_reason: str | None = "stop", refusal: str | None = None
) -> ItemError:
    with pytest.raises(ItemError) as caught:
        task.parse(completion(text, finish_reason, refusal))
    assert caught.value.meaning.error_class in {"answer", "row"}
    assert len(caught.value.message) < 350
    return caught.value
