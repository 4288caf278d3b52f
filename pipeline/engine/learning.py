"""What pictures cost in fact, learned from the answers: the server's count beside the estimate, by task and model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from pipeline.core.types import Usage

_FEWEST: Final = 3
"""Answers that a line can be drawn through: any two points lie on one."""
_DOUBT: Final = 0.1
"""The largest standard error of a scale that is told, as a part of it."""


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What the answers to one task by one model say of its pictures. All sums are over `answers`, in tokens.

    `prompt_tokens` leaves out answers that do not name them, where pictures were counted all the same. `counted` is
    what the server counted for pictures: as it said (`measured`), else inferred from its prompts. `scale` is counted /
    estimated, `text_tokens` what a prompt has beside its pictures, on average. All three are None where the answers do
    not tell.
    """

    answers: int
    estimated: int
    prompt_tokens: int
    measured: bool
    counted: int | None
    scale: float | None
    text_tokens: float | None


@dataclass(slots=True)
class _Measured:
    """Answers whose image tokens the server counted."""

    answers: int = 0
    estimated: int = 0
    counted: int = 0
    prompts: int = 0
    prompt_tokens: int = 0
    text_tokens: int = 0

    def add(self, estimated: int, counted: int, prompt_tokens: int | None) -> None:
        self.answers += 1
        self.estimated += estimated
        self.counted += counted
        if prompt_tokens is not None:
            self.prompts += 1
            self.prompt_tokens += prompt_tokens
            self.text_tokens += prompt_tokens - counted

    def record(self) -> TokenRecord:
        return TokenRecord(
            answers=self.answers,
            estimated=self.estimated,
            prompt_tokens=self.prompt_tokens,
            measured=True,
            counted=self.counted,
            scale=self.counted / self.estimated if self.estimated else None,
            text_tokens=self.text_tokens / self.prompts if self.prompts else None,
        )


@dataclass(slots=True)
class _Line:
    """The line prompt tokens = text + scale * estimate by least squares, over answers that name the sum alone.

    Means and sums of squares about them are carried on (Welford, Technometrics 4 (1962) 419): sums of the squares
    themselves would lose what tells the pictures apart behind millions of answers.
    """

    answers: int = 0
    estimated: int = 0
    prompt_tokens: int = 0
    mean_x: float = 0.0
    mean_y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0

    def add(self, estimated: int, prompt_tokens: int) -> None:
        self.answers += 1
        self.estimated += estimated
        self.prompt_tokens += prompt_tokens
        x, y = estimated - self.mean_x, prompt_tokens - self.mean_y
        self.mean_x += x / self.answers
        self.mean_y += y / self.answers
        self.xx += x * (estimated - self.mean_x)
        self.xy += x * (prompt_tokens - self.mean_y)
        self.yy += y * (prompt_tokens - self.mean_y)

    def record(self) -> TokenRecord:
        scale = self._scale()
        return TokenRecord(
            answers=self.answers,
            estimated=self.estimated,
            prompt_tokens=self.prompt_tokens,
            measured=False,
            counted=None if scale is None else round(scale * self.estimated),
            scale=scale,
            text_tokens=None if scale is None else self.mean_y - scale * self.mean_x,
        )

    def _scale(self) -> float | None:
        """The slope; None where pictures are too alike, or texts too different, to tell one from the other."""
        if self.answers < _FEWEST or self.xy <= 0:
            return None
        slope = self.xy / self.xx
        scatter = max(0.0, self.yy - slope * self.xy) / (self.answers - 2)
        return slope if math.sqrt(scatter / self.xx) <= _DOUBT * slope else None


class TokenLearner:
    """Takes every answer that was paid for, once (copies of an answer must not be fed), and keeps running sums only."""

    def __init__(self) -> None:
        self._measured: dict[tuple[str, str], _Measured] = {}
        self._lines: dict[tuple[str, str], _Line] = {}

    def add(self, task: str, model: str, estimated: int | None, usage: Usage) -> None:
        """One more answer: `estimated` image tokens, all its pictures together. Ignored if a number is missing."""
        if estimated is None:
            return
        if usage.image_tokens is not None:
            measured = self._measured.setdefault((task, model), _Measured())
            measured.add(estimated, usage.image_tokens, usage.prompt_tokens)
        elif usage.prompt_tokens is not None:
            self._lines.setdefault((task, model), _Line()).add(estimated, usage.prompt_tokens)

    def records(self) -> dict[tuple[str, str], TokenRecord]:
        """By (task, model), sorted. Where a server counted the pictures of some answers, those alone are told of."""
        accounts: dict[tuple[str, str], _Line | _Measured] = {**self._lines, **self._measured}
        return {key: accounts[key].record() for key in sorted(accounts)}
