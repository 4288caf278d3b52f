"""What is asked of a picture, and how an answer becomes columns. A new task is one module and one line here."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.tasks.ask import ask
from pipeline.tasks.caption import caption
from pipeline.tasks.definition import TaskDefinition, TaskOptions
from pipeline.tasks.fields import SchemaError
from pipeline.tasks.moderate import moderate
from pipeline.tasks.ocr import ocr

__all__ = ["TASKS", "SchemaError", "TaskDefinition", "TaskOptions"]

TASKS: dict[str, Callable[[TaskOptions], TaskDefinition]] = {
    "caption": caption,
    "ocr": ocr,
    "moderate": moderate,
    "ask": ask,
}
"""Every kind of task, by its name in the configuration. A definition raises ValueError for options it cannot use."""
