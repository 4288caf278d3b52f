"""How a question goes and ends: what is journaled of it, what it used up, what becomes of it.

All are frozen. Times are Unix time in seconds, money is USD.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.core.types import Answer, Facts, RowId, Usage


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row ended without an answer, as journaled."""

    kind: str
    message: str
    http_status: int | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One journaled event of a question. Four kinds:

    - a received answer: `problem` and `copy_of` are None, `body` holds the bytes as received;
    - a copy: `copy_of` names the equal question whose outcome this row shares, `dedup_of` that row's key;
    - the end of a row without an answer: `problem` is set and `ended` true;
    - a checkpoint: `problem` is set and `ended` false; the attempt failed and is to be made again.

    `attempts` counts the requests of this row so far, refusals by quota left out; `failed` those that failed
    transiently in the present round of attempts. `received_at` and `next_try_at` (not before then) are Unix time in
    seconds. An error's body is cut at 4 KB.
    """

    row: RowId
    facts: Facts
    attempts: int
    status: int | None
    received_at: float
    latency_ms: int | None
    request_id: str | None
    run_id: str
    body: bytes = b""
    problem: Problem | None = None
    ended: bool = True
    failed: int = 0
    next_try_at: float | None = None
    copy_of: RowId | None = None
    dedup_of: str | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    """Headers of an answer that say what its body may not: tokens found in a cache, a price."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What earlier attempts at a row have used up: requests, answers received, USD (None: price unknown)."""

    attempts: int = 0
    answers: int = 0
    cost_usd: float | None = 0.0

    def plus(self, cost_usd: float | None, attempts: int) -> Spent:
        """One more answer, received with request number `attempts`."""
        known = self.cost_usd is not None and cost_usd is not None
        total = (self.cost_usd or 0.0) + (cost_usd or 0.0) if known else None
        return Spent(attempts, self.answers + 1, total)

    def broken_off(self, cost_usd: float | None, attempts: int) -> Spent:
        """A reply without an answer, received with request number `attempts`; what it cost, where that is known."""
        total = None if self.cost_usd is None else self.cost_usd + (cost_usd or 0.0)
        return Spent(attempts, self.answers, total)

    def joined(self, other: Spent) -> Spent:
        """Both together."""
        known = self.cost_usd is not None and other.cost_usd is not None
        total = (self.cost_usd or 0.0) + (other.cost_usd or 0.0) if known else None
        return Spent(self.attempts + other.attempts, self.answers + other.answers, total)


class Move(NamedTuple):
    """A row that a changed manifest gave a new place: what was spent on it at the old one goes with it.

    `task` asked of (`from_shard`, `from_ordinal`), which is retired and gives the row up, is now asked of
    (`to_shard`, `to_ordinal`).
    """

    task: str
    from_shard: int
    from_ordinal: int
    to_shard: int
    to_ordinal: int
    attempts: int
    answers: int
    cost_usd: float | None

    @property
    def places(self) -> tuple[RowId, RowId]:
        """The old and the new place."""
        return RowId(self.task, self.from_shard, self.from_ordinal), RowId(self.task, self.to_shard, self.to_ordinal)

    @property
    def spent(self) -> Spent:
        """What the row has used up."""
        return Spent(self.attempts, self.answers, self.cost_usd)


@dataclass(frozen=True, slots=True)
class Envelope:
    """How a row ended: what every row and failure carries beside its facts; None where unknown.

    `finished_at` is Unix time in seconds, `cost_usd` the sum over all answers to the row.
    """

    run_id: str
    finished_at: float
    attempts: int
    usage: Usage = field(default_factory=Usage)
    raw_text: str | None = None
    finish_reason: str | None = None
    served_model: str | None = None
    cost_usd: float | None = None
    latency_ms: int | None = None
    request_id: str | None = None
    dedup_of: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A usable answer, ready for a data part."""

    id: RowId
    facts: Facts
    answer: Answer
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that ended without a usable answer, ready for a failure snapshot.

    `retryable`: a later run asks again by itself, not before `next_try_at` (Unix seconds).
    """

    id: RowId
    facts: Facts
    problem: Problem
    envelope: Envelope
    retryable: bool = False
    next_try_at: float | None = None


Outcome = Row | Failure


@dataclass(frozen=True, slots=True)
class Life:
    """Where one question stands after the frames seen so far.

    `outcome` is set once it is final. Until then `unusable` is the last paid answer that could not be used, as the
    failure it becomes if nothing better comes; `failed` attempts of this round failed transiently, and the next is not
    to be made before `next_try_at` (Unix seconds).
    """

    spent: Spent = Spent()
    unusable: Failure | None = None
    outcome: Outcome | None = None
    failed: int = 0
    next_try_at: float | None = None
