"""Totals of an output and the table that closes a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.core.errors import KINDS


@dataclass(frozen=True, slots=True)
class TaskTotals:
    """One task over the life of the output. Tokens and USD include answers that turned out unusable."""

    answered: int
    failures: Mapping[str, int] = field(default_factory=dict)
    """Rows that stand failed, by kind."""
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None

    @property
    def failed(self) -> int:
        """Rows that stand failed."""
        return sum(self.failures.values())

    @property
    def reached_model(self) -> int:
        """Rows that a model was asked about: answers, and failures of call and parse."""
        return self.answered + self.failed_at("call", "parse")

    def failed_at(self, *stages: str) -> int:
        """Rows that failed in one of these stages."""
        return sum(count for kind, count in self.failures.items() if KINDS[kind].stage in stages)


def read_totals(data: Mapping[str, float], failures: Mapping[str, float], pending: Mapping[str, float]) -> TaskTotals:
    """From the ledger's sums over committed files, and over rows that have no outcome yet."""

    def both(name: str) -> float | None:
        values = [source[name] for source in (data, failures, pending) if name in source]
        return sum(values) if values else None

    def whole(name: str) -> int | None:
        value = both(name)
        return None if value is None else int(value)

    kinds = {name.removeprefix("kind."): int(count) for name, count in failures.items() if name.startswith("kind.")}
    return TaskTotals(
        answered=int(data.get("rows", 0)),
        failures=dict(sorted(kinds.items())),
        prompt_tokens=whole("prompt_tokens"),
        cached_tokens=whole("cached_tokens"),
        completion_tokens=whole("completion_tokens"),
        # Rows that cost nothing, failed or shared, do not make an unknown price a price of nothing.
        cost_usd=(both("cost_usd") or None) if both("unpriced") else both("cost_usd"),
    )


def shares(totals: Mapping[str, TaskTotals]) -> tuple[float, float]:
    """(failures of call and parse over rows that reached the model, input failures over all rows), each 0 to 1."""
    asked = sum(task.reached_model for task in totals.values())
    failed = sum(task.failed_at("call", "parse") for task in totals.values())
    rows = sum(task.answered + task.failed for task in totals.values())
    broken = sum(task.failed_at("scan", "fetch", "prepare") for task in totals.values())
    return (failed / asked if asked else 0.0, broken / rows if rows else 0.0)


def summary(totals: Mapping[str, TaskTotals], left: int) -> dict[str, Any]:
    """The content of summary.json and _SUCCESS."""
    tasks = {
        name: {
            "answered": task.answered,
            "failed": task.failed,
            "failures": dict(task.failures),
            "prompt_tokens": task.prompt_tokens,
            "cached_tokens": task.cached_tokens,
            "completion_tokens": task.completion_tokens,
            "cost_usd": task.cost_usd,
        }
        for name, task in totals.items()
    }
    return {"left": left, "tasks": tasks}


def print_totals(totals: Mapping[str, TaskTotals], console: Console) -> None:
    """The table: rows, failures by kind, tokens, cached share, cost."""
    table = Table(title=None)
    table.add_column("task")
    for heading in ("answered", "failed", "tokens in", "cached", "tokens out", "cost"):
        table.add_column(heading, justify="right")
    table.add_column("failures by kind")
    for name, task in totals.items():
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in task.failures.items())
        table.add_row(
            name,
            f"{task.answered:,}",
            f"{task.failed:,}",
            _count(task.prompt_tokens),
            _share(task.cached_tokens, task.prompt_tokens),
            _count(task.completion_tokens),
            "unknown" if task.cost_usd is None else f"${task.cost_usd:,.4f}",
            kinds or "none",
        )
    console.print(table)


def image_token_lines(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What pictures were expected to cost beside what the server counted, a line for each task and model."""
    for record in records:
        line = f"image tokens of {record['task']}: {record['estimated']:,} expected"
        if record["counted"] is None:
            yield f"{line}; {record['model']} does not count them apart from the text"
            continue
        how = "counted" if record["measured"] else "counted as far as the prompts tell"
        factor = "" if record["scale"] is None else f": {record['scale']:.2f} of what was expected"
        yield f"{line}, {record['counted']:,} {how} by {record['model']}{factor}"


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _share(part: int | None, whole: int | None) -> str:
    return "unknown" if part is None or not whole else f"{part / whole:.0%}"
