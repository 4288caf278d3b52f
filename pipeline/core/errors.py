"""Every error of the product, and the closed table of failure kinds.

    VlmBatchError
    ├── ConfigError      the configuration is wrong; every problem at once        exit 2
    ├── HeldError        another process works on this output                     exit 75
    ├── RunError         the run cannot go on; what was answered is kept          exit 1
    │   ├── ManifestError    the manifest cannot be read or planned
    │   ├── ServerError      the server refuses or cannot answer every request: calls in flight finish first
    │   └── LedgerError      an answer cannot be stored: calls are aborted, no further answer is bought
    │       └── DiskFullError    no space, or a size limit: calls in flight finish into the reserve, if there is one
    └── ItemError        one row failed; becomes a Failure row, the run goes on
        └── CallError        one attempt at the server failed

Foreign errors (OSError, aiohttp, Pillow, pydantic) are translated at the door of the room that meets them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from pipeline.core.types import Completion

Stage = Literal["scan", "fetch", "prepare", "call", "parse"]
ErrorClass = Literal["row", "transient", "overload", "quota", "answer"]


class Kind(NamedTuple):
    """What a failure kind means for the rest of the run."""

    stage: Stage
    error_class: ErrorClass
    retryable: bool
    """Whether the next run asks again by itself."""


KINDS: dict[str, Kind] = {
    "no_image": Kind("scan", "row", False),
    "bad_row": Kind("scan", "row", False),
    "not_found": Kind("fetch", "row", False),
    "forbidden": Kind("fetch", "row", False),
    "fetch_timeout": Kind("fetch", "transient", True),
    "fetch_failed": Kind("fetch", "transient", True),
    "too_large": Kind("fetch", "row", False),
    "blocked_address": Kind("fetch", "row", False),
    "unreadable": Kind("prepare", "row", False),
    "truncated": Kind("prepare", "row", False),
    "not_an_image": Kind("prepare", "row", False),
    "unsupported_format": Kind("prepare", "row", False),
    "too_many_pixels": Kind("prepare", "row", False),
    "too_small": Kind("prepare", "row", False),
    "bad_aspect": Kind("prepare", "row", False),
    "timeout": Kind("call", "transient", True),
    "connection": Kind("call", "transient", True),
    "http_429": Kind("call", "quota", True),
    "http_5xx": Kind("call", "overload", True),
    "image_rejected": Kind("call", "row", False),
    "context_too_long": Kind("call", "row", False),
    "content_filter": Kind("call", "row", False),
    "bad_request": Kind("call", "row", False),
    "refusal": Kind("parse", "answer", False),
    "cut": Kind("parse", "answer", False),
    "repetition": Kind("parse", "answer", False),
    "empty": Kind("parse", "answer", False),
    "invalid_json": Kind("parse", "answer", False),
    "schema_mismatch": Kind("parse", "answer", False),
}
"""The table is closed: a new kind is added here first. A kind is the cause, not the place: `stage` follows from it."""

REPAIRABLE = frozenset({"cut", "repetition", "empty", "invalid_json", "schema_mismatch"})
"""Unusable answers that may be asked once more. A refusal is an answer: asking again would buy the same one."""


class VlmBatchError(Exception):
    """Root of the tree. Its text is a message for a person: what, where, what to do."""


class ConfigError(VlmBatchError):
    """The configuration cannot be run. `problems` lists every mistake found, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class HeldError(VlmBatchError):
    """Another process holds the output's lock."""


class RunError(VlmBatchError):
    """The run cannot go on."""


class ManifestError(RunError):
    """The manifest cannot be read, or rows in it contradict each other."""


class ServerError(RunError):
    """Every request would fail the same way: key, billing, model, configuration, or nobody there.

    `of_form`: it is the form of the request that is refused (a field, its schema, pictures at all), so that one in
    another form, which the server has taken before, may still be answered.
    """

    def __init__(self, message: str, *, of_form: bool = False) -> None:
        super().__init__(message)
        self.of_form = of_form


class LedgerError(RunError):
    """The output cannot be written or read back. No further answer may be bought."""


class DiskFullError(LedgerError):
    """The output's disk has no space left, or a size limit is reached."""


class ItemError(VlmBatchError):
    """One row failed with one of `KINDS`.

    `status` is the HTTP status when a server spoke, else None. The message carries no secret and no memory address.
    """

    def __init__(self, kind: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status

    @property
    def meaning(self) -> Kind:
        """The row of `KINDS` for this error."""
        return KINDS[self.kind]


class CallError(ItemError):
    """One attempt failed. `retry_after` is what the server asked for, in seconds.

    `reached` is False when no connection came about, so that nothing can have been billed; `of_address` is True when
    the server may have failed to fetch a picture from its address, `starting` when it is there and will answer once it
    has its model: such an attempt is none. `part` is what came of an answer that was broken off: no answer, but the
    tokens that it took may have to be paid for. `ends_run` is True when every request would fail so, though the reply
    had a status of success: it is kept like an answer and read again later, when it must end nothing.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        status: int | None = None,
        *,
        retry_after: float | None = None,
        reached: bool = True,
        of_address: bool = False,
        starting: bool = False,
        ends_run: bool = False,
        part: Completion | None = None,
    ) -> None:
        super().__init__(kind, message, status)
        self.retry_after = retry_after
        self.reached = reached
        self.of_address = of_address
        self.starting = starting
        self.ends_run = ends_run
        self.part = part
