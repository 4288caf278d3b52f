"""The command as a later version would be: `python -m tests.integration.parsers PARSER reparse OUT --to OUT2`."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipeline import cli
from pipeline.core.errors import ItemError
from pipeline.core.types import Answer, Column, Completion
from pipeline.tasks import TASKS, TaskDefinition, TaskOptions

Change = Callable[[TaskDefinition], TaskDefinition]


def loud(task: TaskDefinition) -> TaskDefinition:
    """The same answers, captions in capital letters."""
    return _reading(task, lambda _, answer: {"caption": answer["caption"].upper()} if "caption" in answer else answer)


def strict(task: TaskDefinition) -> TaskDefinition:
    """Every answer with a 7 in its text is unusable."""

    def read(completion: Completion, answer: Answer) -> Answer:
        if "7" in completion.text:
            raise ItemError("schema_mismatch", "sevens are not wanted any more")
        return answer

    return _reading(task, read)


def lenient(task: TaskDefinition) -> TaskDefinition:
    """Whatever was said is an answer."""
    blank: dict[str, Any] = {"string": "", "int": 0, "float": 0.0, "bool": False, "list<string>": []}
    values = {column.name: blank[column.type] for column in task.columns}
    values |= {"verdict": "safe"} if task.kind == "moderate" else {}
    return replace(task, parse=lambda completion: {**values, task.columns[0].name: completion.text})


def wider(task: TaskDefinition) -> TaskDefinition:
    """One more answer column, whose name the kept column has had so far."""
    wide = replace(task, columns=(*task.columns, Column("licence", "string")))
    return _reading(wide, lambda completion, answer: {**answer, "licence": completion.finish_reason})


def stuck(task: TaskDefinition) -> TaskDefinition:
    """Captions are read, then nothing goes on."""
    return task if task.kind == "caption" else _reading(task, lambda _, answer: time.sleep(600) or answer)


def _reading(task: TaskDefinition, change: Callable[[Completion, Answer], Answer]) -> TaskDefinition:
    return replace(task, parse=lambda completion: change(completion, task.parse(completion)))


def _changed(build: Callable[[TaskOptions], TaskDefinition], change: Change) -> Callable[[TaskOptions], TaskDefinition]:
    return lambda options: change(build(options))


if __name__ == "__main__":
    changes: dict[str, Change] = {"loud": loud, "strict": strict, "lenient": lenient, "wider": wider, "stuck": stuck}
    chosen = changes[sys.argv.pop(1)]
    TASKS.update({kind: _changed(build, chosen) for kind, build in TASKS.items()})
    cli.main()
