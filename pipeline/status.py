"""How far an output is, told from its files alone, whether a run works on it or not. Writes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from rich.console import Console

from pipeline.compose import kept_config, open_tasks
from pipeline.core.errors import LedgerError
from pipeline.ledger.output import Output
from pipeline.ledger.runs import Run, read_runs
from pipeline.looking import look_at
from pipeline.manifests.plan import load_plan
from pipeline.reporting.progress import duration
from pipeline.reporting.totals import TaskTotals, image_token_lines, print_totals, read_totals

_TRIES = 5
"""A run replaces failure snapshots while they are read: then the look is taken again."""


@dataclass(frozen=True, slots=True)
class Status:
    """An output at a moment. Numbers are questions: a row counts once for each task.

    `left` have no outcome; `retryable` stand failed, and the next run tries them again; `waiting` outcomes are in the
    journal and not yet in a part or snapshot.

    `in_vain` calls at most were paid for without an answer, over all runs that no longer work; `in_vain_usd` is what
    they would have cost at the mean of the answers (None: no price is known).
    """

    output: str
    state: str
    holder: str | None
    planned: int
    left: int
    waiting: int
    retryable: int
    tasks: Mapping[str, TaskTotals]
    cost_usd: float | None
    runs: int
    in_vain: int
    in_vain_usd: float | None
    last_run: Run | None
    image_tokens: Sequence[Mapping[str, object]]
    questions_a_second: float | None
    seconds_left: float | None


def read_status(output: Output) -> Status:
    """Read everything. Raises ConfigError: OUT is no output; LedgerError, ManifestError: it cannot be read."""
    for attempt in range(_TRIES):
        try:
            return _read(output)
        except LedgerError:
            if output.holder() is None or attempt == _TRIES - 1:
                raise
    raise AssertionError("the last try returns or raises")


def _read(output: Output) -> Status:
    config = kept_config(output, to_ask=False)
    holder = output.holder()
    plan = load_plan(output.plan)
    tasks = open_tasks(config)
    book, restored = look_at(config, output, tasks, plan)
    book.plan(plan.active, plan.retired, plan.moved)
    totals = {name: read_totals(**sums) for name, sums in book.totals().items()}
    retryable = book.retryable()
    left = sum(book.left(shard) for shard in plan.active) - retryable
    runs = read_runs(output.runs)
    working = runs[-1] if runs and holder is not None and runs[-1].ended_at is None else None
    in_vain = sum(run.most_in_vain for run in runs if run is not working)
    rate, seconds_left = _pace(working, left + retryable)
    return Status(
        output=str(output.root),
        state=_state(output, working, holder, left),
        holder=holder,
        planned=sum(shard.rows * len(tasks if shard.tasks is None else shard.tasks) for shard in plan.active),
        left=left,
        waiting=restored,
        retryable=retryable,
        tasks=totals,
        cost_usd=_cost(totals),
        runs=len(runs),
        in_vain=in_vain,
        in_vain_usd=_estimate(in_vain, totals),
        last_run=runs[-1] if runs else None,
        image_tokens=_newest(runs),
        questions_a_second=rate,
        seconds_left=seconds_left,
    )


def _state(output: Output, working: Run | None, holder: str | None, left: int) -> str:
    if holder is not None:
        return "working" if working is not None else "held"
    if left == 0:
        return "complete" if output.success.exists() else "finished"
    return "stopped"


def _pace(run: Run | None, left: int) -> tuple[float | None, float | None]:
    if run is None:
        return None, None
    elapsed, done = time.time() - run.started_at, run.to_do - left
    if elapsed <= 0 or done <= 0:
        return None, None
    return done / elapsed, left * elapsed / done


def _newest(runs: Sequence[Run]) -> list[Mapping[str, object]]:
    """The last that was learned of the image tokens of each task and model."""
    newest = {(record["task"], record["model"]): record for run in runs for record in run.image_tokens}
    return list(newest.values())


def _cost(totals: Mapping[str, TaskTotals]) -> float | None:
    known = [task.cost_usd for task in totals.values() if task.cost_usd is not None]
    return sum(known) if known else None


def _estimate(calls: int, totals: Mapping[str, TaskTotals]) -> float | None:
    """USD that so many calls would have cost at the mean of the rows that reached the model."""
    cost, asked = _cost(totals), sum(task.reached_model for task in totals.values())
    return None if cost is None or asked == 0 else calls * cost / asked


def print_status(status: Status, *, for_machine: bool) -> None:
    """One JSON object for a machine; for a person a table and some sentences, on stdout."""
    console = Console(width=None if not for_machine and Console().is_terminal else 120, highlight=False, soft_wrap=True)
    if for_machine:
        console.print(orjson.dumps(_figures(status)).decode(), markup=False)
        return
    print_totals(status.tasks, console)
    for line in image_token_lines(status.image_tokens):
        console.print(line, markup=False)
    for sentence in _sentences(status):
        console.print(sentence, markup=False)


def _figures(status: Status) -> dict[str, Any]:
    tasks = {
        name: {**asdict(task), "failures": dict(task.failures), "failed": task.failed}
        for name, task in status.tasks.items()
    }
    return {**asdict(status), "tasks": tasks}


def _sentences(status: Status) -> Iterator[str]:
    finished = status.planned - status.left
    share = f" ({finished / status.planned:.0%})" if status.planned else ""
    now = {
        "working": f"Being worked on by {status.holder}",
        "held": f"Held by {status.holder}",
        "complete": "Complete",
        "finished": "Finished; failures that may pass are tried again by the next run"
        if status.retryable
        else "Finished, but without _SUCCESS: more rows failed than allowed, or a kill came first; run again to see",
        "stopped": "Not finished and nobody works on it: run the same command again",
    }[status.state]
    yield f"{status.output}: {finished:,} of {status.planned:,} questions are finished{share}, {status.left:,} left."
    yield f"{now}."
    if status.questions_a_second is not None and status.seconds_left is not None:
        left = duration(status.seconds_left)
        yield f"This run: {status.questions_a_second:.1f} questions a second, about {left} left."
    if status.waiting:
        yield f"{status.waiting:,} outcomes are in the journal and not yet in a part: safe, and counted as finished."
    if status.retryable:
        yield f"{status.retryable:,} failures may pass: the next run tries them again."
    cost = "unknown (no price is known for the model)" if status.cost_usd is None else f"${status.cost_usd:,.4f}"
    yield f"Cost of all answers received, over {status.runs:,} runs: {cost}."
    if status.in_vain:
        about = "" if status.in_vain_usd is None else f", about ${status.in_vain_usd:,.4f} at the mean of the answers"
        yield f"Not in it: at most {status.in_vain:,} calls that brought no answer (kills, time-outs){about}."
