"""What reading kept answers again has changed, task by task, and the table that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from pipeline.core.outcomes import Outcome, Row


@dataclass(slots=True)
class Changes:
    """One task: `parsed` rows were read again, the others `carried` over as they stood."""

    parsed: int = 0
    carried: int = 0
    answers_changed: int = 0
    new_failures: int = 0
    new_answers: int = 0
    kinds_changed: int = 0
    """Failures that stay failures, of another kind."""

    def count(self, before: Outcome, after: Outcome) -> None:
        """Take one more row into account; the same object means that there was nothing to read again."""
        if after is before:
            self.carried += 1
            return
        self.parsed += 1
        if isinstance(before, Row):
            if isinstance(after, Row):
                self.answers_changed += dict(after.answer) != dict(before.answer)
            else:
                self.new_failures += 1
        elif isinstance(after, Row):
            self.new_answers += 1
        else:
            self.kinds_changed += after.problem.kind != before.problem.kind


def print_changes(changes: Mapping[str, Changes], console: Console) -> None:
    """The table: rows read again, and what has become of them."""
    table = Table(title=None)
    table.add_column("task")
    headings = ("parsed", "answers changed", "now failures", "now answers", "other kind of failure", "carried over")
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, task in changes.items():
        figures = (
            task.parsed,
            task.answers_changed,
            task.new_failures,
            task.new_answers,
            task.kinds_changed,
            task.carried,
        )
        table.add_row(name, *(f"{figure:,}" for figure in figures))
    console.print(table)
