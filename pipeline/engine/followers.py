"""Equal questions are asked once: while one is asked, the others wait for it as its followers.

A claim lives from the moment a question is made until the ledger has taken over its outcome. Whoever makes an equal
question before that follows; whoever makes one after that finds the outcome in the ledger. There is no moment between.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from pipeline.core.outcomes import Outcome
from pipeline.core.types import Facts, RowId


@dataclass(frozen=True, slots=True)
class Follower:
    """A row whose question is being asked for another row. It holds no picture and no slot."""

    row: RowId
    facts: Facts


class Followers:
    """Who asks which question, and who waits for it. Questions are made in threads, so a lock guards the table."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._claims: dict[tuple[str, str | None], list[Follower]] = {}

    def claim(self, row: RowId, facts: Facts) -> bool:
        """Whether this row is to ask its question itself; otherwise it follows the row that does."""
        question = (row.task, facts.request_sha256)
        with self._guard:
            if question in self._claims:
                self._claims[question].append(Follower(row, facts))
                return False
            self._claims[question] = []
            return True

    def released_by(self, outcome: Outcome) -> list[Follower]:
        """The followers of this outcome, which the ledger has taken over; the claim ends."""
        with self._guard:
            return self._claims.pop((outcome.id.task, outcome.facts.request_sha256), [])
