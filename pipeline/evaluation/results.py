"""What an evaluation gives: how each sample did, the figures over groups of them, and what changed since the baseline.

All are frozen. Scores and figures lie between 0 and 1, error rates may exceed 1; `METRICS` says which way is better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["better", "worse", "same"]


@dataclass(frozen=True, slots=True)
class Sample:
    """How one question about one picture ended, and how it scored.

    `answer` is what is shown and compared: the caption, the text, verdict and labels, the answer or its fields as JSON;
    None where the row failed, and `failure` says why ("cut: ..."). `reference` is the best that is known of it, None
    where nothing is. `scores` has a value for each metric that the labels allow. `image` is where the picture lies.
    """

    task: str
    kind: str
    key: str
    image: str
    category: str
    languages: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    answer: str | None = None
    failure: str | None = None
    reference: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    request_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric over a group of samples ("all", "category: doc", "language: de", "tag: table").

    `low` and `high` are the ends of its 95 % bootstrap interval.
    """

    task: str
    metric: str
    group: str
    samples: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Change:
    """A figure beside the baseline's, over the samples that both have. Within `band` it is noise."""

    task: str
    metric: str
    group: str
    samples: int
    before: float
    after: float
    band: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Moved:
    """A sample that moved: `metric` by more than noise, or its answer from or to a failure.

    `alarming`: it fell so far that it is a regression by itself.
    """

    now: Sample
    answer_before: str | None
    failure_before: str | None
    metric: str
    before: float | None
    after: float | None
    verdict: Verdict
    alarming: bool = False
    asked_differently: bool = False
    """Its request is another than the baseline's: prompt, model, sampling, picture or library have changed."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A sample set, evaluated. `flips` counts (expected verdict, given verdict) by moderation task."""

    samples: tuple[Sample, ...]
    figures: tuple[Figure, ...]
    flips: Mapping[str, Mapping[tuple[str, str], int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """An evaluation beside the baseline.

    `missing` and `added` are (task, key) that only the baseline, only the evaluation has. `flips` counts (verdict
    before, verdict now) by moderation task. `problems` are sentences about what else makes it a regression, such as
    answers that no cassette held.
    """

    changes: tuple[Change, ...]
    moved: tuple[Moved, ...]
    missing: tuple[tuple[str, str], ...] = ()
    added: tuple[tuple[str, str], ...] = ()
    flips: Mapping[str, Mapping[tuple[str, str], int]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def regressed(self) -> bool:
        """Whether anything got worse by more than noise."""
        worse = any(change.verdict == "worse" for change in self.changes)
        return worse or any(one.alarming for one in self.moved) or bool(self.missing or self.problems)

    @property
    def improved(self) -> bool:
        """Whether it got better, and nothing worse: worth a new baseline."""
        better = any(change.verdict == "better" for change in self.changes)
        return not self.regressed and (better or any(one.verdict == "better" for one in self.moved))
