"""Runs a configuration: opens the output, lets the flow work, and reports. The rooms meet here."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import anyio
import structlog
from anyio.to_thread import run_sync

from pipeline.closing import judge, mark_complete, write_derived
from pipeline.compose import new_run_id, open_provider, serving
from pipeline.config import Config
from pipeline.core.errors import ServerError
from pipeline.core.ports import Provider
from pipeline.engine.flow import Flow, Settings
from pipeline.engine.parts import Parts
from pipeline.engine.retry import RetryPolicy
from pipeline.engine.shutdown import Stop
from pipeline.engine.stats import Stats
from pipeline.images.apart import PDF_MEMORY_MIB, Apart
from pipeline.images.budget import ByteBudget
from pipeline.images.preparer import ImagePreparer
from pipeline.images.rules import ServerRules
from pipeline.ledger.choice import Choice
from pipeline.ledger.ledger import OutputLedger
from pipeline.ledger.output import Output
from pipeline.ledger.runs import Run, record_end, record_start
from pipeline.memory import give_back_pictures
from pipeline.opening import Opened, open_output
from pipeline.pacing.admission import Admission
from pipeline.providers.dialect import Dialect
from pipeline.providers.dialects import DIALECTS
from pipeline.reporting.progress import report_progress
from pipeline.reporting.totals import TaskTotals
from pipeline.storage.http import AiohttpTransport
from pipeline.storage.links import LinkingWeb
from pipeline.storage.local import LocalFetcher
from pipeline.storage.objects import ObjectFetcher
from pipeline.storage.routes import Routes
from pipeline.storage.web import WebFetcher

log = structlog.get_logger()
DOWNLOADS = 32
"""Pictures fetched from the web and from object stores at once: four busy hosts' worth."""
CALLS_A_ROUTE = 8
"""Requests at once that are kept together at one replica: more of them would wait there while others stand idle."""


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended.

    `requests` were made in this run, `shared` answers came from equal questions, `left` questions are still to do,
    `image_tokens` is what pictures were expected to cost and did, by task and model.
    """

    exit_code: int
    message: str
    totals: Mapping[str, TaskTotals]
    requests: int
    shared: int
    left: int
    seconds: float
    folders: Sequence[Path]
    image_tokens: Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants of this one run: at most `limit` rows, new settings accepted, chosen failures alone."""

    limit: int | None = None
    accept_change: bool = False
    choice: Choice | None = None
    for_machine: bool = True


Opening = Callable[[Config, AiohttpTransport, Callable[[ServerError], None]], AbstractAsyncContextManager[Provider]]
"""Opens what answers a run's questions; the last argument hears of its end, should it end by itself."""

Gate = Callable[[Stop], Awaitable[str | None]]
"""What must hold before a row is bought: None, or the sentence that says why it does not."""


@asynccontextmanager
async def ask_server(
    config: Config, transport: AiohttpTransport, died: Callable[[ServerError], None]
) -> AsyncIterator[Provider]:
    """The configured server. Raises ServerError when the embedded one cannot be started."""
    async with serving(config, died) as base_url:
        yield open_provider(config, base_url, transport)


def spent_usd(ledger: OutputLedger) -> float:
    """What an output has cost so far, in USD, as far as its prices are known."""
    return sum(sums.get("cost_usd", 0.0) for task in ledger.totals().values() for sums in task.values())


async def run(config: Config, wish: Wish, gate: Gate | None = None) -> Report:
    """Run or resume. Raises ConfigError, HeldError, RunError (alone or in an ExceptionGroup)."""
    stop = Stop()
    async with stopping_on_signals(stop):
        return await run_until(config, wish, stop, gate=gate)


async def run_until(
    config: Config, wish: Wish, stop: Stop, *, asking: Opening = ask_server, gate: Gate | None = None
) -> Report:
    """Run or resume until all is done or `stop` ends it; the caller lets signals reach that.

    `gate` is asked only when there is something to do. Raises what `run` raises.
    """
    started, stats, run_id = time.monotonic(), Stats(), new_run_id()
    output = Output(Path(config.run.output))
    with output.lock():
        transport = AiohttpTransport()
        try:
            opened = await run_sync(lambda: _open(config, output, run_id, transport, wish))
            try:
                to_do = opened.left()
                if to_do:
                    output.take_back_success()
                if config.run.max_cost_usd is not None and to_do:
                    _mind_budget(config.run.max_cost_usd, opened.ledger, stop)
                refused = await gate(stop) if gate and to_do and not stop.draining else None
                if to_do and not stop.draining and refused is None:
                    await _work(config, opened, stop, stats, run_id, transport, wish, asking)
                seconds = time.monotonic() - started
                report = await run_sync(lambda: _finish(config, opened, stop, stats, seconds, wish, to_do))
                return report if refused is None else replace(report, exit_code=3, message=refused)
            finally:
                await run_sync(opened.ledger.close)
        finally:
            await transport.aclose()


def _mind_budget(most_usd: float, ledger: OutputLedger, stop: Stop) -> None:
    """Whether earlier runs have spent it, and whether they have spent what nobody knows."""
    if unpriced := ledger.unpriced():
        log.warning("budget.unpriced", rows=unpriced, effect="what their answers cost is not in run.max_cost_usd")
    if spent_usd(ledger) >= most_usd:
        stop.out_of_money()


def _open(config: Config, output: Output, run_id: str, transport: AiohttpTransport, wish: Wish) -> Opened:
    return open_output(config, output, run_id, transport, accept_change=wish.accept_change, choice=wish.choice)


async def _work(
    config: Config,
    opened: Opened,
    stop: Stop,
    stats: Stats,
    run_id: str,
    transport: AiohttpTransport,
    wish: Wish,
    asking: Opening,
) -> None:
    dialect = DIALECTS[config.provider.dialect]
    stats.to_do = opened.left()
    settings = Settings(
        run_id=run_id,
        concurrency=config.limits.concurrency,
        threads=len(os.sched_getaffinity(0)),
        chunk_bytes=min(2**20, config.limits.bytes_in_flight // 64),
        downloads=DOWNLOADS,
        send=config.images.send,
        repairs=config.retry.repairs,
        limit=wish.limit,
        keep=config.manifest.keep,
        proven=any(sums["data"] for sums in opened.ledger.totals().values()),
        warm=not config.embedded,
        routes=math.ceil(config.limits.concurrency / CALLS_A_ROUTE),
        max_cost_usd=config.run.max_cost_usd,
        spent_usd=spent_usd(opened.ledger),
        policy=RetryPolicy(config.retry.attempts, config.retry.total_seconds, config.retry.lifetime_attempts),
    )
    give_back_pictures()
    log.info("run.started", to_do=stats.to_do, output=str(opened.output.root), run_id=run_id)
    concurrency = config.limits.concurrency
    async with (
        _preparer(dialect, settings.threads) as preparer,
        asking(config, transport, stop.fail) as provider,
        _web(config) as web,
        _recorded(opened.output, run_id, concurrency, stats),
    ):
        parts = Parts(
            source=opened.source,
            fetcher=LocalFetcher(),
            web=web,
            preparer=preparer,
            tasks=opened.tasks,
            provider=provider,
            pacer=Admission(config.limits.concurrency, config.limits.requests_per_minute),
            budget=ByteBudget(config.limits.bytes_in_flight),
            ledger=opened.ledger,
        )
        async with anyio.create_task_group() as showing:
            showing.start_soon(lambda: report_progress(stats, for_machine=wish.for_machine))
            await Flow(parts, settings, stop, stats).run()
            showing.cancel_scope.cancel()


@asynccontextmanager
async def _preparer(dialect: Dialect, threads: int) -> AsyncIterator[ImagePreparer]:
    """With child processes for what may explode, which are started when the first of them comes."""
    apart, for_pdfs = Apart(threads), Apart(threads, memory_mib=PDF_MEMORY_MIB)
    try:
        yield ImagePreparer(ServerRules(dialect.accepts, dialect.max_base64_bytes, dialect.max_images), apart, for_pdfs)
    finally:
        await run_sync(apart.close)
        await run_sync(for_pdfs.close)


@asynccontextmanager
async def _web(config: Config) -> AsyncIterator[Routes]:
    rule, allowed = DIALECTS[config.provider.dialect].fetches, config.manifest.allow_private
    per_host = config.limits.downloads_per_host
    reaches_us = rule is not None and rule.private
    async with (
        WebFetcher(per_host=per_host, allow_private=allowed) as web,
        WebFetcher(per_host=per_host, allow_private=allowed and reaches_us) as outside,
    ):
        yield Routes(LinkingWeb(web, outside, rule), ObjectFetcher())


@asynccontextmanager
async def _recorded(output: Output, run_id: str, concurrency: int, stats: Stats) -> AsyncIterator[None]:
    """Leave a trace of this run's calls: should it be killed, what was in flight can be estimated."""
    run = Run(run_id, time.time(), concurrency, stats.to_do or 0)
    await run_sync(record_start, output.runs, run)
    try:
        yield
    finally:
        record_end(
            output.runs,
            run_id,
            ended_at=time.time(),
            requests=stats.requests,
            in_vain=stats.in_vain,
            image_tokens=_learned(stats),
        )


def _learned(stats: Stats) -> list[dict[str, object]]:
    records = stats.image_tokens.records()
    return [{"task": task, "model": model, **asdict(record)} for (task, model), record in records.items()]


def _finish(config: Config, opened: Opened, stop: Stop, stats: Stats, seconds: float, wish: Wish, to_do: int) -> Report:
    """Commit what is left, write what is derived, and judge."""
    ledger, output = opened.ledger, opened.output
    ledger.commit(everything=True)
    untried = opened.left()
    ledger.restrict(None)
    left = opened.left()
    totals = write_derived(output, opened.tasks, ledger, left)
    chosen = to_do if wish.choice else None
    exit_code, message = judge(config, totals, left, ledger.retryable(), stop, stats, chosen, untried)
    if exit_code == 0 and left == 0 and ledger.retryable() == 0:
        mark_complete(output, totals, left)
    folders = [output.data(name) for name in opened.tasks]
    return Report(exit_code, message, totals, stats.requests, stats.shared, left, seconds, folders, _learned(stats))


@asynccontextmanager
async def stopping_on_signals(stop: Stop) -> AsyncIterator[None]:
    """The first SIGTERM or SIGINT drains, the second aborts."""

    async def listen() -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
            async for number in received:
                log.warning("run.stopping", signal=signal.Signals(number).name, at_once=stop.draining)
                stop.signalled()

    try:
        async with anyio.create_task_group() as listening:
            listening.start_soon(listen)
            try:
                yield
            finally:
                listening.cancel_scope.cancel()
    finally:
        # All is decided and written: the exit code is to say so, whoever is still impatient.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
