"""The figures of a regression as rows of tables, each with what its chart draws."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from pipeline.evaluation.results import Change, Comparison, Evaluation, Figure

CHART_WIDTH: Final = 160
"""Units of the drawing from zero to `Table.scale`."""

_EVERYTHING: Final = "all"
_SCALES: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Chart:
    """Places on the drawing, 0 to `CHART_WIDTH`: the value, its interval; the baseline and its band where there is one.

    `says` is the same in words.
    """

    says: str
    value: float
    low: float
    high: float
    before: float | None
    band_low: float
    band_high: float


@dataclass(frozen=True, slots=True)
class Row:
    """A metric of a group. `change` is None without a baseline or where it lacks the group."""

    figure: Figure
    change: Change | None
    chart: Chart


@dataclass(frozen=True, slots=True)
class Table:
    """A metric of a task. `first` are the whole and what changed, `others` the rest; charts go from 0 to `scale`."""

    task: str
    metric: str
    scale: float
    first: tuple[Row, ...]
    others: tuple[Row, ...]


def figure_tables(evaluation: Evaluation, comparison: Comparison | None) -> list[Table]:
    """A table for each task and metric, in the evaluation's order."""
    changes = {(one.task, one.metric, one.group): one for one in (comparison.changes if comparison else ())}
    metrics = groupby(_together(evaluation.figures), lambda figure: (figure.task, figure.metric))
    return [_table(list(figures), changes) for _, figures in metrics]


def _together(figures: Iterable[Figure]) -> list[Figure]:
    """What belongs to one task and metric side by side, those in the order in which they first occur."""
    order: dict[tuple[str, str], list[Figure]] = {}
    for figure in figures:
        order.setdefault((figure.task, figure.metric), []).append(figure)
    return [figure for group in order.values() for figure in group]


def _table(figures: Sequence[Figure], changes: dict[tuple[str, str, str], Change]) -> Table:
    pairs = [(figure, changes.get((figure.task, figure.metric, figure.group))) for figure in figures]
    scale = _scale([figure.high for figure in figures] + [change.before for _, change in pairs if change])
    rows = [Row(figure, change, _chart(figure, change, scale)) for figure, change in pairs]
    first = [row for row in rows if row.figure.group == _EVERYTHING or (row.change and row.change.verdict != "same")]
    others = [row for row in rows if row not in first]
    return Table(figures[0].task, figures[0].metric, scale, tuple(first), tuple(others))


def _scale(values: Iterable[float]) -> float:
    """The first round number that is no smaller than any."""
    most = max((value for value in values if math.isfinite(value)), default=1.0)
    return next((scale for scale in _SCALES if scale >= most), float(math.ceil(most)))


def _chart(figure: Figure, change: Change | None, scale: float) -> Chart:
    def place(value: float) -> float:
        inside = min(max(value, 0.0), scale) if math.isfinite(value) else 0.0
        return round(inside / scale * CHART_WIDTH, 1)

    says = f"{figure.value:.3f}, 95 % interval {figure.low:.3f} to {figure.high:.3f}"
    value, low, high = place(figure.value), place(figure.low), place(figure.high)
    if change is None:
        return Chart(says, value, low, high, None, 0.0, 0.0)
    says += f", baseline {change.before:.3f} ± {change.band:.3f}"
    band_low, band_high = place(change.before - change.band), place(change.before + change.band)
    return Chart(says, value, low, high, place(change.before), band_low, band_high)
