"""Figures over groups of samples, and how far they scatter: the bootstrap.

A figure is a function of sums over its samples, so a resampled set costs one product of matrices: `DRAWS` rows that say
how often each sample was drawn, times the samples' columns. The draws are seeded: equal answers give equal intervals.

An error rate of texts is the mean of the samples' rates, each at most 1 and weighed by n / (n + 100), n the characters
of its reference: a short text's rate is coarse (one character of ten is 10 %), and one long page must not outweigh all
others. All other means weigh samples alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from pipeline.evaluation.answers import verdict_of
from pipeline.evaluation.moderation import one_hot, rates
from pipeline.evaluation.results import Sample
from pipeline.evaluation.text import normalise

DRAWS = 1000
"""How often a group is resampled."""
_SEED = 7
_HALF_WEIGHT = 100
"""Characters of a text that weighs half as much as an endless one."""
PRIOR = 4
"""How many samples the assumed spread of a metric counts for beside those of a group."""


def groups_of(sample: Sample) -> Iterator[str]:
    """The groups whose figures a sample counts for."""
    yield "all"
    if sample.category:
        yield f"category: {sample.category}"
    yield from (f"language: {language}" for language in dict.fromkeys(sample.languages))
    yield from (f"tag: {tag}" for tag in dict.fromkeys(sample.tags))


@lru_cache(maxsize=8)
def draws(samples: int) -> Any:
    """How often each of so many samples is drawn, `DRAWS` times: an array DRAWS x samples.

    The metrics of a group ask for the same ones, so few are kept: those of 5,000 samples take 10 MB.
    """
    random = np.random.default_rng([_SEED, samples])
    return random.multinomial(samples, np.full(samples, 1 / samples), size=DRAWS).astype(np.int16)


def weight(metric: str, sample: Sample) -> float:
    """What a sample weighs in a mean."""
    if metric not in {"cer", "wer"}:
        return 1.0
    length = max(1, len(normalise(sample.reference or "")))
    return length / (length + _HALF_WEIGHT)


def mean_columns(scores: Sequence[float], weights: Sequence[float]) -> Any:
    """What of samples is summed for a mean: weighed score and weight (samples x 2)."""
    weighed = np.asarray(weights, float)
    return np.column_stack([np.minimum(np.asarray(scores, float), 1.0) * weighed, weighed])


def mean(sums: Any) -> Any:
    """Means of sets, from their summed `mean_columns` (sets x 2)."""
    return sums[:, 0] / sums[:, 1]


def verdict_columns(samples: Sequence[Sample], answers: Sequence[str | None]) -> Any:
    """What of samples is summed for the rates of moderation (samples x 12); each has a reference."""
    return one_hot((verdict_of(one.reference), verdict_of(text)) for one, text in zip(samples, answers, strict=True))


def interval(drawn: Any) -> tuple[float, float]:
    """The middle 95 % of what was drawn, what has no value left out."""
    valid = drawn[~np.isnan(drawn)]
    low, high = np.quantile(valid, [0.025, 0.975])
    return float(low), float(high)


def standard_error(drawn_changes: Any, samples: int, spread: float) -> float:
    """How far a change of a figure is expected to scatter: the bootstrap's variance and the assumed one, weighed.

    `samples` are those that carry the change. A few that happen to move alike show no scatter at all; `PRIOR` samples
    of the assumed `spread` keep that from counting as certainty. Nor does what is seen count beyond 1.5 times that
    spread: a set that got worse must not widen its own band.
    """
    valid = drawn_changes[~np.isnan(drawn_changes)]
    seen = float(valid.var()) * samples / max(1, samples - 1) if len(valid) else 0.0
    seen = min(seen, (1.5 * spread) ** 2 / samples)
    return float(np.sqrt((samples * seen + PRIOR * spread**2 / samples) / (samples + PRIOR)))


@lru_cache(maxsize=4096)
def most_by_chance(samples: int, flips: float, chance: float) -> int:
    """How many of so many samples noise may turn one way: more are turned with less than `chance` (binomial tail).

    At least two, since any two may turn together.
    """
    tail, most = 1.0, -1
    while tail > chance:
        most += 1
        tail -= math.comb(samples, most) * flips**most * (1 - flips) ** (samples - most)
    return max(2, most)


def by_length(metric: str, samples: Sequence[Sample]) -> float:
    """How far a mean of error rates may move because its texts are short: four deviations, as `collapse.tolerance`.

    A wrong letter spoils a whole word, and words have about six letters.
    """
    weights = [weight(metric, one) for one in samples]
    letters = [max(1, len(normalise(one.reference or ""))) for one in samples]
    each = math.sqrt(6) if metric == "wer" else 1.0
    return each * math.hypot(*(w / math.sqrt(n) for w, n in zip(weights, letters, strict=True))) / sum(weights)


def rates_of(columns: Any, times: Any = None) -> dict[str, Any]:
    """The rates of moderation: of the set itself, or of `times` (draws x samples) resampled ones."""
    return rates(columns.sum(0, keepdims=True) if times is None else times @ columns)
