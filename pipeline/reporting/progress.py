"""One line every few seconds while a run works: a person reads it, a machine gets the same as an event."""

from __future__ import annotations

import sys

import anyio
import structlog

from pipeline.engine.stats import Stats

EVERY_S = 3.0
log = structlog.get_logger()


async def report_progress(stats: Stats, *, for_machine: bool) -> None:
    """Report until cancelled. Only answers that are safe on the disk count as progress."""
    started = anyio.current_time()
    while True:
        await anyio.sleep(EVERY_S)
        seconds = anyio.current_time() - started
        if for_machine:
            log.info("run.progress", **_figures(stats, seconds))
        else:
            print(progress_line(stats, seconds), file=sys.stderr, flush=True)  # noqa: T201 - one of two places that print


def progress_line(stats: Stats, seconds: float) -> str:
    """For example `312 of 990 answered, 3 failed · 41 in flight · 12.3 a second · $0.0123 · about 1 min left`."""
    figures = _figures(stats, seconds)
    parts = [
        f"{figures['done']:,} of {figures['to_do']:,} done, {figures['failed']:,} of them failed",
        f"{figures['in_flight']} in flight",
        f"{figures['per_second']:.1f} a second",
    ]
    if stats.refused_by_quota:
        parts.append(f"{stats.refused_by_quota:,} refused by the server's quota")
    if stats.retries:
        parts.append(f"{stats.retries:,} retries")
    if stats.cost_usd:
        parts.append(f"${stats.cost_usd:.4f}")
    if figures["per_second"]:
        parts.append(f"about {duration((figures['to_do'] - figures['done']) / figures['per_second'])} left")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _figures(stats: Stats, seconds: float) -> dict[str, float]:
    done = min(stats.finished, stats.safe)
    return {
        "done": done,
        "to_do": stats.to_do or 0,
        "failed": stats.failed.total(),
        "in_flight": stats.in_flight,
        "per_second": round(done / seconds, 2),
        "requests": stats.requests,
        "refused_by_quota": stats.refused_by_quota,
        "retries": stats.retries,
        "cost_usd": round(stats.cost_usd, 6),
    }
