"""Everything the flow is plugged into, by the ports of `core/ports.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.core.ports import Budget, Fetcher, Ledger, Pacer, Preparer, Provider, Source, Task, Web


@dataclass(frozen=True, slots=True)
class Parts:
    """The opened rooms of one run."""

    source: Source
    fetcher: Fetcher
    web: Web
    preparer: Preparer
    tasks: Mapping[str, Task]
    provider: Provider
    pacer: Pacer
    budget: Budget
    ledger: Ledger
