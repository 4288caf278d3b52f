"""One table: what was measured, against what, and whether the goal is met."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One line. `ours` and `reference` in `unit`; `ratio` is ours over the reference.

    The goal is a bound of `ours`, or of `ratio` where `goal_of_ratio`; from above, or from below where `at_least`.
    """

    workload: str
    what: str
    unit: str
    ours: float
    reference: float | None = None
    goal: float | None = None
    goal_of_ratio: bool = False
    at_least: bool = False

    @property
    def ratio(self) -> float | None:
        """Ours over the reference of the same run."""
        return self.ours / self.reference if self.reference else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        value = self.ratio if self.goal_of_ratio else self.ours
        if self.goal is None or value is None:
            return None
        return value >= self.goal if self.at_least else value <= self.goal


def print_table(figures: Sequence[Figure]) -> None:
    """Print the figures in the order in which they were measured."""
    table = Table("workload", "what", title="Measured in one run; medians; ratio = ours over the reference")
    for heading in ("unit", "ours", "reference", "ratio", "goal", ""):
        table.add_column(heading, justify="left" if heading in ("unit", "") else "right")
    for figure in figures:
        table.add_row(
            figure.workload,
            figure.what,
            figure.unit,
            _number(figure.ours),
            _number(figure.reference),
            _number(figure.ratio),
            _goal(figure),
            {None: "", True: "met", False: "not met"}[figure.met],
        )
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return f"{'ratio ' * figure.goal_of_ratio}{'>=' if figure.at_least else '<='} {_number(figure.goal)}"
