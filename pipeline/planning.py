"""What a run of a configuration would do: rows, tokens, money, time. Nothing is asked, nothing is written into OUT.

The next plan is made as a run would make it, in a temporary folder, beside the plan and the answers that are there.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog
from pyroaring import BitMap

from pipeline.compose import OpenTask, open_reader, open_tasks, orders_of, record_of, text_tokens
from pipeline.config import Config
from pipeline.core.errors import LedgerError, ManifestError
from pipeline.core.types import Column, ManifestRow, Shard
from pipeline.images.expectation import assumed
from pipeline.images.rules import ServerRules
from pipeline.ledger.book import Book
from pipeline.ledger.latency import median_latency
from pipeline.ledger.output import Output
from pipeline.ledger.runs import read_runs
from pipeline.looking import look_at
from pipeline.manifests.growth import grow_plan
from pipeline.manifests.plan import Plan, PlannedManifest
from pipeline.manifests.sample import sampled
from pipeline.manifests.unit import Placed, PlannedRow, Unit
from pipeline.opening import first_plan, manifest_units, mind_changes
from pipeline.prompts.order import Order
from pipeline.providers.dialects import DIALECTS
from pipeline.reporting.estimates import Past, Picture, Text, cost, seconds, tokens
from pipeline.reporting.forecast import Forecast, LayoutForecast, Sample, TaskForecast
from pipeline.reporting.totals import read_totals
from pipeline.survey import MOST_ROWS, Survey, survey

log = structlog.get_logger()
_TRIES: Final = 5
"""A run replaces files while they are read: then the look is taken again."""
_EVERY_S: Final = 3.0
"""Between two lines of progress."""


def forecast(config: Config, *, accept_change: bool = False) -> Forecast:
    """Look at everything that a run would go by, which is to `accept_change` of settings; takes no lock.

    Raises ConfigError, ManifestError, LedgerError.
    """
    output = Output(Path(config.run.output))
    for attempt in range(_TRIES):
        with tempfile.TemporaryDirectory(prefix="vlm-batch-plan-", ignore_cleanup_errors=True) as folder:
            try:
                return _forecast(config, output, output.planned_in(Path(folder)), accept_change)
            except (LedgerError, ManifestError):
                if output.holder() is None or attempt == _TRIES - 1:
                    raise
    raise AssertionError("the last try returns or raises")


def _forecast(config: Config, output: Output, ours: Output, accept_change: bool) -> Forecast:
    """`ours` is the output with the folder in which its next plan is made."""
    mind_changes(output.newest_config(), record_of(config), output, accept=accept_change)
    tasks = open_tasks(config)
    units = [_Watched(unit) for unit in manifest_units(config, output)]
    fingerprints = {unit.name: unit.fingerprint() for unit in units}
    plan = first_plan(config, ours, tasks, units, fingerprints)
    book, _ = look_at(config, output, tasks, plan)
    policy = config.manifest.on_duplicate_key
    grown = grow_plan(plan, units, list(tasks), book, ours.scratch, (), policy, fingerprints=fingerprints)
    book.plan(grown.active, grown.retired, grown.moved)
    totals = {name: read_totals(**sums) for name, sums in book.totals().items()}
    repeated = grown.repeated or plan.repeated

    left = {shard.number: _rows_left(book, tasks, shard) for shard in grown.active}
    rows_to_ask = sum(left.values())
    shards = [shard for shard in grown.active if left[shard.number]]
    source = PlannedManifest(grown, {unit.name: unit for unit in units})
    rows = sampled(source, shards, lambda shard, ordinal: bool(book.outstanding(shard, ordinal)), MOST_ROWS)
    dialect = DIALECTS[config.provider.dialect]
    rules = ServerRules(dialect.accepts, dialect.max_base64_bytes, dialect.max_images)
    seen = survey(rows, tasks, rules, about=min(rows_to_ask, MOST_ROWS))

    records = {(str(record["task"]), str(record["model"])): record for record in _records(output)}
    past = {
        name: Past(totals[name], records.get((name, task.fixed.model)), median_latency(output.data(name)))
        for name, task in tasks.items()
    }
    orders = orders_of(config, tasks)
    expected = {name: _task(config, task, book, grown, seen, past[name], orders[name]) for name, task in tasks.items()}
    costs = [task.cost_usd for task in expected.values()]
    lasting, lasting_from = seconds(
        [(task.calls, past[name].latency_s) for name, task in expected.items()],
        config.limits.concurrency,
        config.limits.requests_per_minute,
    )
    bounded = any(task.tokens.completion_is == "at most" and task.cost_usd for task in expected.values())
    return Forecast(
        output=str(output.root),
        holder=output.holder(),
        rows=_rows_named(units, grown),
        repeated=repeated,
        vanished=grown.vanished,
        rows_to_ask=rows_to_ask,
        sample=Sample(seen.rows, seen.rows >= rows_to_ask, dict(seen.unusable), seen.pictures, dict(seen.broken)),
        picture_bytes=None if seen.size.value is None else round(rows_to_ask * seen.size.value),
        tasks=expected,
        layouts=_layouts(orders),
        cost_usd=None if None in costs else sum(value for value in costs if value is not None),
        cost_is="at most about" if bounded else "about",
        spent_usd=sum(task.cost_usd or 0.0 for task in totals.values()),
        max_cost_usd=config.run.max_cost_usd,
        seconds=lasting,
        seconds_from=lasting_from,
    )


def _task(
    config: Config, task: OpenTask, book: Book, plan: Plan, seen: Survey, past: Past, order: Order
) -> TaskForecast:
    standings = [standing for (name, _), standing in book.standings.items() if name == task.name]
    shards = [shard for shard in plan.active if shard.tasks is None or task.name in shard.tasks]
    to_ask = sum(shard.rows - len(book.standing(task.name, shard.number).settled) for shard in shards)
    answered = sum(len(standing.done) + len(standing.rows) for standing in standings)
    calls = round(to_ask * seen.usable)
    mean = seen.image_tokens.get(task.contract)
    picture = Picture(mean.value, mean.count) if mean is not None else Picture(assumed(task.contract).tokens, 0)
    row_text = seen.row_text.get(task.name)
    text = Text(text_tokens(task.fixed), (row_text.value if row_text else None) or 0.0)
    spent = tokens(calls, text, picture, past, order, task.fixed.max_tokens, caches=not config.embedded)
    return TaskForecast(
        model=task.fixed.model,
        answered=answered,
        failed=sum(len(standing.settled) for standing in standings) - answered,
        to_ask=to_ask,
        again=_again(task.name, book, plan, shards),
        calls=calls,
        tokens=spent,
        cost_usd=cost(task.fixed.model, spent, open_reader(config).cost, past, calls) if calls else 0.0,
    )


def _again(task: str, book: Book, plan: Plan, shards: Sequence[Shard]) -> int:
    """How many questions that are to be asked have failed before, here or at a place that they have left."""
    standings = {shard.number: book.standing(task, shard.number) for shard in shards}
    found = {
        (number, ordinal)
        for number, standing in standings.items()
        for ordinal in standing.to_try_again()
        if ordinal not in standing.settled  # in the journal alone: not this run's, but the next one's
    }
    for new in (move.places[1] for move in plan.moved):
        if new.task == task and new.shard in standings and new.ordinal not in standings[new.shard].settled:
            found.add((new.shard, new.ordinal))
    return len(found)


def _rows_left(book: Book, tasks: Mapping[str, OpenTask], shard: Shard) -> int:
    """How many rows of a shard have a question left."""
    asked = [name for name in tasks if shard.tasks is None or name in shard.tasks]
    settled = [book.standing(name, shard.number).settled for name in asked]
    return shard.rows - len(BitMap.intersection(*settled)) if settled else 0


def _records(output: Output) -> Iterator[Mapping[str, object]]:
    """What was learned of image tokens; later records of a task and model stand later."""
    for run in read_runs(output.runs):
        yield from run.image_tokens


def _layouts(orders: Mapping[str, Order]) -> list[LayoutForecast]:
    return [
        LayoutForecast(
            order.tasks,
            order.image_first,
            order.because,
            round(order.text_first_tokens),
            round(order.image_first_tokens),
        )
        for order in dict.fromkeys(orders.values())
    ]


def _rows_named(units: Sequence[_Watched], plan: Plan) -> int:
    """Rows of the manifest: counted while it was read, else by the plan, else by reading it once more."""
    split = {shard.unit for number, shard in plan.shards.items() if number in plan.retired or shard.tasks is not None}
    planned: dict[str, int] = {}
    for shard in plan.active:
        planned[shard.unit] = planned.get(shard.unit, 0) + shard.rows
    number = 0
    for unit in units:
        if unit.counted is None and unit.name not in split:
            number += planned.get(unit.name, 0)
        else:
            number += sum(1 for _ in unit.rows()) if unit.counted is None else unit.counted
    return number


class _Watched:
    """A unit whose rows are counted as they are read, with a line in the log every few seconds."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self.counted: int | None = None
        """All its rows, once it was read to its end."""

    @property
    def name(self) -> str:
        """The unit's."""
        return self._unit.name

    def fingerprint(self) -> str:
        """The unit's."""
        return self._unit.fingerprint()

    def columns(self) -> list[Column]:
        """The unit's."""
        return self._unit.columns()

    def rows(self) -> Iterator[PlannedRow]:
        """The unit's."""
        said, number = time.monotonic(), 0
        for number, row in enumerate(self._unit.rows(), start=1):
            yield row
            if number % 4096 == 0 and time.monotonic() - said >= _EVERY_S:
                said = time.monotonic()
                log.info("plan.reading", manifest=self.name, rows=number)
        self.counted = number

    def read(self, shard: int, rows: Iterable[Placed], kept: list[Column]) -> Iterator[ManifestRow]:
        """The unit's."""
        return self._unit.read(shard, rows, kept)
