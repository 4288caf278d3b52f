"""What `plan` says: an output as it stands, and what a run would do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.reporting.estimates import Tokens
from pipeline.reporting.progress import duration


@dataclass(frozen=True, slots=True)
class TaskForecast:
    """One task: how its questions stand, and what those that are `to_ask` will take.

    `again` of them failed before in a way that may pass; `failed` is for good. `calls` leaves out what is expected to
    have no usable picture, as far as the sample tells.
    """

    model: str
    answered: int
    failed: int
    to_ask: int
    again: int
    calls: int
    tokens: Tokens
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class LayoutForecast:
    """The order of the prompts of tasks that share their pictures; tokens that no cache can serve, for a photo."""

    tasks: Sequence[str]
    image_first: bool
    because: str
    uncached_text_first: int
    uncached_image_first: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What was looked at: rows (`whole`: all that are to be asked), and headers of pictures that lie at hand."""

    rows: int
    whole: bool
    unusable: Mapping[str, int]
    pictures: int
    broken: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run would do. Counts are exact, tokens, bytes, USD and seconds are estimates; None is unknown.

    `repeated` rows name a key that was named before, `vanished` ones were planned once and are named no more;
    `rows_to_ask` have a question left. `cost_is` tells whether `cost_usd` is a figure or a bound, `spent_usd` what the
    output has cost so far.
    """

    output: str
    holder: str | None
    rows: int
    repeated: int
    vanished: int
    rows_to_ask: int
    sample: Sample
    picture_bytes: int | None
    tasks: Mapping[str, TaskForecast]
    layouts: Sequence[LayoutForecast]
    cost_usd: float | None
    cost_is: str
    spent_usd: float
    max_cost_usd: float | None
    seconds: float | None
    seconds_from: str


def as_json(forecast: Forecast) -> dict[str, Any]:
    """For a program."""
    return asdict(forecast)


def print_forecast(forecast: Forecast, console: Console) -> None:
    """For a person: a table and some lines."""
    table = Table(title=None)
    table.add_column("task")
    for heading in ("answered", "failed", "to ask", "again", "tokens in", "cached", "tokens out", "cost"):
        table.add_column(heading, justify="right")
    for name, task in forecast.tasks.items():
        spent = task.tokens
        bound = "≤ " if spent.completion_is == "at most" and spent.completion else ""
        table.add_row(
            name,
            f"{task.answered:,}",
            f"{task.failed:,}",
            f"{task.to_ask:,}",
            f"{task.again:,}",
            _about(spent.prompt),
            "unknown" if spent.cached is None or spent.prompt is None else _share(spent.cached, spent.prompt),
            f"{bound}{_about(spent.completion)}",
            "unknown" if task.cost_usd is None else f"{bound}${task.cost_usd:,.4f}",
        )
    console.print(table)
    for line in _lines(forecast):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _lines(forecast: Forecast) -> Iterator[str]:
    yield from _row_lines(forecast)
    for name, task in forecast.tasks.items():
        if task.to_ask:
            source, out = task.tokens.sources["prompt"], task.tokens.sources["completion"]
            yield f"{name}: tokens in from {source}; image tokens {_image(task)}; tokens out: {out}."
    for layout in forecast.layouts:
        order = "pictures first" if layout.image_first else "text first"
        yield (
            f"Layout of {', '.join(layout.tasks)}: {order} ({layout.because}). Tokens of a photo that no cache serves: "
            f"about {layout.uncached_text_first:,} text first, {layout.uncached_image_first:,} pictures first."
        )
    yield from _money_lines(forecast)
    time = "unknown until the first run" if forecast.seconds is None else f"about {duration(forecast.seconds)}"
    yield f"Time: {time}" + (f" ({forecast.seconds_from})." if forecast.seconds is not None else ".")
    yield "Nothing was asked, nothing was written."


def _row_lines(forecast: Forecast) -> Iterator[str]:
    line = f"{forecast.rows:,} rows in the manifest, {forecast.rows_to_ask:,} of them with a question left"
    line += f"; {forecast.repeated:,} name a key again" if forecast.repeated else ""
    yield line + (f"; {forecast.vanished:,} planned before are gone." if forecast.vanished else ".")
    sample = forecast.sample
    looked_at = "all of them" if sample.whole else f"a sample of {sample.rows:,}"
    if sample.unusable:
        yield f"Cannot be used, of {looked_at}: {_kinds(sample.unusable)}."
    if sample.broken:
        yield f"Of {sample.pictures:,} pictures looked at cannot be used: {_kinds(sample.broken)}."
    if forecast.rows_to_ask:
        size = forecast.picture_bytes
        yield (
            "Pictures to read: unknown, they are not at hand."
            if size is None
            else f"Pictures to read: about {_size(size)}."
        )
    if forecast.holder is not None:
        yield f"{forecast.output} is being worked on by {forecast.holder}."


def _money_lines(forecast: Forecast) -> Iterator[str]:
    spent = f", {_dollars(forecast.spent_usd)} spent before" if forecast.spent_usd else ""
    if forecast.cost_usd is None:
        yield f"Cost: unknown{spent}."
    else:
        yield f"Cost: {forecast.cost_is} {_dollars(forecast.cost_usd)}{spent}."
    most = forecast.max_cost_usd
    if most is not None and forecast.cost_usd is not None and forecast.cost_usd + forecast.spent_usd > most:
        yield f"That may be more than run.max_cost_usd = {most:g}: the run would then stop with exit 4."


def _image(task: TaskForecast) -> str:
    image = task.tokens.image
    source = task.tokens.sources["image"]
    return source if image is None or not task.calls else f"about {image / task.calls:,.0f} a row ({source})"


def _about(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "0%"


def _kinds(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())


def _dollars(value: float) -> str:
    return f"${value:,.4f}" if value < 1 else f"${value:,.2f}"


def _size(size: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
