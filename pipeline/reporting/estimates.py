"""What the questions that are left will take: tokens, money, time. Every figure is an estimate and says from what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.core.types import Usage
from pipeline.prompts.order import Order
from pipeline.reporting.totals import TaskTotals

Cost = Callable[[str, Usage], float | None]
"""USD for these tokens of a model, None without a known price."""


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier runs have left: totals, the newest record of image tokens (`TokenRecord`), seconds of an answer."""

    totals: TaskTotals
    record: Mapping[str, Any] | None
    latency_s: float | None

    def mean(self, tokens: int | None) -> float | None:
        """Of a sum over all answers, per answer."""
        return tokens / self.totals.reached_model if tokens is not None and self.totals.reached_model else None


@dataclass(frozen=True, slots=True)
class Text:
    """Tokens of text, about: `fixed` for every row, `row` its own on average."""

    fixed: float
    row: float


@dataclass(frozen=True, slots=True)
class Picture:
    """Tokens of a picture by the formula of the model's family (None: not known), over so many pictures looked at."""

    tokens: float | None
    seen: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of all calls of a task together; None where nothing is known. `sources` says what a figure is from."""

    prompt: int | None
    image: int | None
    cached: int | None
    completion: int
    completion_is: Literal["about", "at most"]
    sources: Mapping[str, str]


def tokens(calls: int, text: Text, picture: Picture, past: Past, order: Order, most: int, *, caches: bool) -> Tokens:
    """What `calls` of a task will take whose answers have at most `most` tokens."""
    image, image_from = _image(picture, past.record)
    prompt, prompt_from = _prompt(text, image, past)
    answer = past.mean(past.totals.completion_tokens)
    share, cached_from = _cached_share(text, image, prompt, past, order, caches=caches)
    return Tokens(
        prompt=_all(calls, prompt),
        image=_all(calls, image),
        cached=None if prompt is None or share is None else round(calls * prompt * share),
        completion=round(calls * (most if answer is None else answer)),
        completion_is="at most" if answer is None else "about",
        sources={
            "prompt": prompt_from,
            "image": image_from,
            "cached": cached_from,
            "completion": f"at most {most:,} an answer" if answer is None else "earlier answers",
        },
    )


def _all(calls: int, mean: float | None) -> int | None:
    return None if mean is None else round(calls * mean)


def _image(picture: Picture, record: Mapping[str, Any] | None) -> tuple[float | None, str]:
    scale = record["scale"] if record else None
    if picture.tokens is not None:
        seen = f"the formula over {picture.seen} pictures" if picture.seen else "the formula for a photo, none was seen"
        return (
            (picture.tokens, seen) if scale is None else (picture.tokens * scale, f"{seen}, times {scale:.2f} learned")
        )
    if record and record["counted"] is not None and record["answers"]:
        return record["counted"] / record["answers"], "earlier answers"
    return None, "unknown: set images.family"


def _prompt(text: Text, image: float | None, past: Past) -> tuple[float | None, str]:
    learned = past.record["text_tokens"] if past.record else None
    if learned is not None and image is not None:
        return learned + image, "text of earlier answers, and pictures"
    mean = past.mean(past.totals.prompt_tokens)
    if mean is not None:
        return mean, "earlier answers"
    if image is None:
        return None, "unknown, as the pictures are"
    return text.fixed + text.row + image, "four characters a token, and pictures"


def _cached_share(
    text: Text, image: float | None, prompt: float | None, past: Past, order: Order, *, caches: bool
) -> tuple[float | None, str]:
    """The share of prompt tokens that a cache will serve, 0 to 1."""
    if not caches:
        return 0.0, "no cache"
    totals = past.totals
    if totals.cached_tokens is not None and totals.prompt_tokens:
        return totals.cached_tokens / totals.prompt_tokens, "earlier answers"
    if not prompt:
        return None, "unknown"
    if not order.image_first:
        return min(1.0, text.fixed / prompt), "at best: the fixed text"
    if image is None:
        return None, "unknown"
    # All questions but the first about a picture find it.
    repeated = 1 - 1 / max(1, len(order.tasks))
    return min(1.0, repeated * image / prompt), "at best: the picture, from the second question on"


def cost(model: str, spent: Tokens, price: Cost, past: Past, calls: int) -> float | None:
    """USD; where there is no price, by what earlier answers cost as the server said; None when nobody knows."""
    usage = Usage(spent.prompt, spent.cached, None, spent.completion)
    found = price(model, usage)
    if found is None and past.totals.cost_usd is not None and past.totals.reached_model:
        return calls * past.totals.cost_usd / past.totals.reached_model
    return found


def seconds(
    calls: Iterable[tuple[int, float | None]], concurrency: int, requests_per_minute: float | None
) -> tuple[float | None, str]:
    """How long calls, each with the median seconds of an answer, will take; and from what that is known."""
    calls = list(calls)
    number = sum(count for count, _ in calls)
    if number == 0:
        return 0.0, "no call is expected"
    by_rate = None if requests_per_minute is None else number / requests_per_minute * 60
    known = [latency for _, latency in calls if latency is not None]
    by_latency = None
    if known:
        usual = sum(known) / len(known)
        by_latency = sum(count * (usual if latency is None else latency) for count, latency in calls) / concurrency
    if by_rate is not None and (by_latency is None or by_rate >= by_latency):
        source = f"{requests_per_minute:g} requests a minute"
        return by_rate, source if known else f"{source}; how long an answer takes is unknown until the first run"
    if by_latency is not None:
        return by_latency, f"the time of earlier answers, {concurrency} at once"
    return None, "unknown until the first run"
