"""What an output says of itself once the work on it is over: the card, the totals, `_SUCCESS`."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from pipeline import __version__
from pipeline.compose import OpenTask
from pipeline.config import Config
from pipeline.engine.shutdown import Stop
from pipeline.engine.stats import Stats
from pipeline.ledger.ledger import OutputLedger
from pipeline.ledger.output import Output
from pipeline.reporting.card import OURS, CardTask, card
from pipeline.reporting.totals import TaskTotals, read_totals, shares, summary
from pipeline.storage.local import create, replace


def write_derived(
    output: Output, tasks: Mapping[str, OpenTask], ledger: OutputLedger, left: int
) -> Mapping[str, TaskTotals]:
    """Write the card and summary.json; the totals that stand in it. Raises LedgerError."""
    totals = {name: read_totals(**sums) for name, sums in ledger.totals().items()}
    entries = [
        CardTask(
            name,
            task.definition.kind,
            task.fixed.model,
            [column.name for column in task.definition.columns],
            totals[name].answered > 0,
        )
        for name, task in tasks.items()
    ]
    readme = output.root / "README.md"
    if not readme.exists() or OURS in readme.read_text(encoding="utf-8", errors="replace"):
        replace(readme, card(entries, __version__).encode(), output.scratch)
    replace(output.root / "summary.json", _content(totals, left), output.scratch)
    return totals


def mark_complete(output: Output, totals: Mapping[str, TaskTotals], left: int) -> None:
    """Nothing is left to do: create `_SUCCESS`, unless it stands. Raises LedgerError."""
    if not output.success.exists():
        create(output.success, _content(totals, left), output.scratch)


def too_many_failed(config: Config, totals: Mapping[str, TaskTotals]) -> str | None:
    """Which share of failures is over what the configuration allows, in a sentence."""
    failed, broken = shares(totals)
    if failed > config.run.max_failure_share:
        return (
            f"{failed:.1%} of the rows that reached the model failed; run.max_failure_share allows "
            f"{config.run.max_failure_share:.1%}. See failures/ in the output."
        )
    if broken > config.run.max_input_failure_share:
        return (
            f"{broken:.1%} of the rows have no usable picture; run.max_input_failure_share allows "
            f"{config.run.max_input_failure_share:.1%}. See failures/ in the output."
        )
    return None


def judge(
    config: Config,
    totals: Mapping[str, TaskTotals],
    left: int,
    retryable: int,
    stop: Stop,
    stats: Stats,
    chosen: int | None,
    untried: int,
) -> tuple[int, str]:
    """Exit code and the sentence that goes with it, worst news first."""
    if stop.budget_reached and left:
        cost = sum(task.cost_usd or 0.0 for task in totals.values())
        return 4, (
            f"The budget is spent: ${cost:,.2f} of ${config.run.max_cost_usd or 0.0:,.2f} (run.max_cost_usd); {left:,} "
            "questions are left. Raise it and run the same command again."
        )
    if stop.draining and untried:
        return 75, f"Stopped early; every answer is kept, {untried:,} questions are left. Run the same command again."
    if too_many := too_many_failed(config, totals):
        return 3, too_many
    if chosen is not None:
        answered = stats.answered.total()
        return 0, (
            f"Tried {stats.finished:,} of {chosen:,} chosen failures again: {answered:,} have an answer now."
            if chosen
            else "Nothing to do: no failure is like that. No call was made."
        )
    if left:
        return 0, f"The limit of this run is reached; {left:,} questions are left. Run again to go on."
    lost = sum(task.failed for task in totals.values())
    again = f" {lost:,} have no answer: see failures/ in the output." if lost else ""
    again += f" {retryable:,} failed in a way that may pass: the next run tries them again." if retryable else ""
    if stats.requests == 0 and stats.finished == 0:
        said = again if lost else " Every row has its answer."
        return 0, f"Nothing to do: no call was made.{said}"
    return 0, f"Complete.{again}"


def _content(totals: Mapping[str, TaskTotals], left: int) -> bytes:
    return orjson.dumps(summary(totals, left), option=orjson.OPT_INDENT_2)
