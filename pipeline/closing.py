"""What an output says of itself once the work on it is over: the card, the totals, `_SUCCESS`."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from pipeline import __version__
from pipeline.compose import OpenTask
from pipeline.config import Config
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


def _content(totals: Mapping[str, TaskTotals], left: int) -> bytes:
    return orjson.dumps(summary(totals, left), option=orjson.OPT_INDENT_2)
