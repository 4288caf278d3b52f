"""OUT/README.md: the data set card, so that `datasets.load_dataset(OUT, "caption")` and people find their way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

OURS = "Written by vlm-batch"
"""Stands in every card: a README without it is somebody else's and is left alone."""


@dataclass(frozen=True, slots=True)
class CardTask:
    """What the card says of one task. `files` is whether it has any data part yet."""

    name: str
    kind: str
    model: str
    columns: Sequence[str]
    files: bool


def card(tasks: Sequence[CardTask], version: str) -> str:
    """The card's text. A task without an answer yet has no entry: a loader would fail on it."""
    entries = [f"- config_name: {task.name}\n  data_files: data/{task.name}/*.parquet" for task in tasks if task.files]
    front = "\n".join(["---", *(["configs:", *entries] if entries else []), "---"])
    parts = [
        f"{front}\n",
        "# Answers of vision-language models\n",
        f"{OURS} {version}. Each task is a data set of its own, one row a picture.\n",
        "| task | kind | model | answer columns |",
        "|---|---|---|---|",
        *(f"| {task.name} | {task.kind} | {task.model} | {', '.join(task.columns)} |" for task in tasks),
        "",
        "`data/<task>/` holds the usable answers, `failures/<task>/` the rows that ended without one, with stage, kind",
        "and message; every planned row stands in exactly one of the two. `_run/` belongs to vlm-batch.",
        "",
        "```python",
        "import datasets",
        f'datasets.load_dataset("path/to/this/folder", "{tasks[0].name}")',
        "```",
        "",
    ]
    return "\n".join(parts)
