"""The values that flow, in the order in which they change.

    ManifestRow -> bytes -> PreparedImage -> Prompt -> Reply -> Completion -> Row | Failure
       scan        fetch       prepare       prompt    call      read         parse, record

All are frozen. Sizes are width x height in pixels, times are seconds, money is USD.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pipeline.core.errors import ItemError
from pipeline.core.pictures import LinkedImage, PreparedImage

Scalar = str | int | float | bool | None
Value = Scalar | list[str | None]
"""A value that a manifest gives along with a picture, and that may be carried into the output."""
ColumnType = Literal["string", "int", "float", "bool", "list<string>"]
Answer = Mapping[str, Any]
"""Answer columns of one row; the values fit the task's `Column` types."""


class Column(NamedTuple):
    """One output column: its name and its type in every part.

    `classes` are the names that its numbers 0, 1, ... stand for; empty where they stand for nothing.
    """

    name: str
    type: ColumnType
    classes: tuple[str, ...] = ()


class RowId(NamedTuple):
    """One question: a task asked of one planned row. Never reused."""

    task: str
    shard: int
    ordinal: int


@dataclass(frozen=True, slots=True)
class Shard:
    """Up to 20,000 planned rows of one unit. `tasks` None means every task, else only those named."""

    number: int
    rows: int
    unit: str
    tasks: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One planned picture: a file at `path`, an address as it stands in the manifest (`url`), or bytes that the
    manifest holds itself (`data`).

    All are None where scanning already found a `problem`; `size` (bytes) is None where nobody knows it yet.
    """

    shard: int
    ordinal: int
    key: str
    uri: str
    path: str | None = None
    size: int | None = None
    columns: Mapping[str, Value] = field(default_factory=dict)
    problem: ItemError | None = None
    url: str | None = None
    data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class FixedPrompt:
    """What is the same for every row of a task: asked first, serialised once."""

    task: str
    model: str
    system: str
    instructions: str
    schema: Mapping[str, Any] | None
    max_tokens: int
    temperature: float
    seed: int | None
    sha256: str
    """Of system, instructions and schema: the column `prompt_sha256`."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question: the fixed part, this row's context and question (None without any), and its pictures in order.

    The row's question stands last. `image_first`: pictures go before everything that differs from task to task, so that
    several questions about one picture share the longest beginning.
    """

    fixed: FixedPrompt
    context: str | None
    images: tuple[PreparedImage | LinkedImage, ...]
    question: str | None = None
    image_first: bool = False


@dataclass(frozen=True, slots=True)
class Repair:
    """Why a question is asked once more: the kind (one of REPAIRABLE) and text of unusable answer `number`, from 1."""

    kind: str
    text: str
    number: int = 1


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, read whole. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counted them; None where it did not say, never 0 instead."""

    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    image_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What a server answered; `cost_usd` is its own price for it, `reasoned` tells that it wrote thoughts as well."""

    text: str
    finish_reason: str | None
    refusal: str | None
    served_model: str | None
    response_id: str | None
    usage: Usage
    cost_usd: float | None = None
    reasoned: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a row before it is asked; goes into every frame, so that recovery needs no manifest.

    Sizes are those of the first page sent, `image_tokens_expected` is the sum over all `pages` by the model's formula.
    """

    key: str
    uri: str
    model: str
    kept: Mapping[str, Value] = field(default_factory=dict)
    prompt_sha256: str | None = None
    image_sha256: str | None = None
    request_sha256: str | None = None
    width: int | None = None
    height: int | None = None
    sent_width: int | None = None
    sent_height: int | None = None
    pages: int | None = None
    image_tokens_expected: int | None = None


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
    usage: Usage = Usage()
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
