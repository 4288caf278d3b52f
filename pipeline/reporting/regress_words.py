"""What a regression found, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from pipeline.evaluation.results import Change, Comparison, Moved

_NAMED: Final = 8
"""Samples named in one sentence; the others are counted."""


class Asked(Protocol):
    """An answer, as far as it says what was asked for it."""

    @property
    def task(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def request_sha256(self) -> str | None: ...
