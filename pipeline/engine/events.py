"""The events of a question: each is journaled first and then read, so that live and recovered runs cannot differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from pipeline.core.errors import CallError, ItemError
from pipeline.core.outcomes import Frame, Life, Outcome, Problem
from pipeline.core.types import Facts, Reply, RowId
from pipeline.engine.settle import Reading, Settler

log = structlog.get_logger()


class Events:
    """Writes down what happens to questions. `now` gives Unix seconds. Every method raises LedgerError."""

    def __init__(
        self, journal: Callable[[Frame], None], settler: Settler, run_id: str, now: Callable[[], float]
    ) -> None:
        self._journal = journal
        self._settler = settler
        self._run_id = run_id
        self.now = now

    def answered(
        self,
        row: RowId,
        facts: Facts,
        reply: Reply,
        life: Life,
        attempts: int,
        latency_ms: int,
        request_id: str | None,
        notes: Mapping[str, str],
    ) -> tuple[Life, Reading]:
        """A reply was received whole: where its question stands now, and what the reply holds."""
        frame = replace(
            self._event(row, facts, attempts),
            status=reply.status,
            latency_ms=latency_ms,
            request_id=request_id,
            body=reply.body,
            notes=notes,
        )
        self._journal(frame)
        reading = self._settler.read(frame)
        return self._settler.settle(frame, life, reading), reading

    def failed(
        self, row: RowId, facts: Facts, error: CallError, life: Life, attempts: int, failed: int, wait_s: float
    ) -> Life:
        """An attempt failed and is to be made again: a checkpoint, so that no kill gives the row its attempts back."""
        frame = replace(self._problem(row, facts, error, attempts, wait_s), ended=False, failed=failed)
        self._journal(frame)
        return self._settler.settle(frame, life)

    def ended(
        self, row: RowId, facts: Facts, error: ItemError, life: Life, attempts: int, body: bytes = b""
    ) -> Outcome:
        """A question ended without an answer."""
        wait_s = (error.retry_after or 0.0) if isinstance(error, CallError) else 0.0
        frame = replace(self._problem(row, facts, error, attempts, wait_s), body=body)
        self._journal(frame)
        outcome = self._settler.settle(frame, life).outcome
        if outcome is None:
            raise AssertionError("a frame that ends its question always settles it")
        log.debug("row.failed", key=facts.key, task=row.task, kind=error.kind, message=error.message)
        return outcome

    def shared(self, row: RowId, facts: Facts, leader: Outcome, life: Life) -> Outcome:
        """A row shares the outcome of an equal question."""
        frame = replace(
            self._event(row, facts, life.spent.attempts),
            copy_of=leader.id,
            dedup_of=leader.envelope.dedup_of or leader.facts.key,
        )
        self._journal(frame)
        return self._settler.share(frame, life, leader)

    def _problem(self, row: RowId, facts: Facts, error: ItemError, attempts: int, wait_s: float) -> Frame:
        frame = self._event(row, facts, attempts)
        problem = Problem(error.kind, error.message, error.status)
        return replace(frame, status=error.status, problem=problem, next_try_at=frame.received_at + wait_s)

    def _event(self, row: RowId, facts: Facts, attempts: int) -> Frame:
        return Frame(
            row=row,
            facts=facts,
            attempts=attempts,
            status=None,
            received_at=self.now(),
            latency_ms=None,
            request_id=None,
            run_id=self._run_id,
        )
