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
