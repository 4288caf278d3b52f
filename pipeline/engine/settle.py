"""What a frame means for its question: the one place where an answer is read, live, in recovery and once more later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from pipeline.core.errors import KINDS, REPAIRABLE, CallError, ItemError
from pipeline.core.outcomes import Envelope, Failure, Frame, Life, Outcome, Problem, Row, Spent
from pipeline.core.ports import Provider, Task
from pipeline.core.types import Completion, Usage


class Reading(NamedTuple):
    """What a reply holds: its completion, and its price in USD (None where nobody can tell).

    With an `error` there is no answer in it: the completion is what came of one, or the reply's beginning.
    """

    completion: Completion
    cost_usd: float | None
    error: CallError | None = None


@dataclass(frozen=True, slots=True)
class Settler:
    """Turns frames into outcomes.

    `repairs` is how often an unusable answer is asked again; a failure that has spent `lifetime_attempts` requests over
    all runs is final, whatever its kind.
    """

    tasks: Mapping[str, Task]
    provider: Provider
    repairs: int
    lifetime_attempts: int = 60

    def read(self, frame: Frame) -> Reading:
        """What the reply in this frame holds."""
        try:
            completion = self.provider.read(frame.body, frame.notes)
        except CallError as error:
            if error.part is None:
                text = frame.body.decode("utf-8", "replace")[:4096]
                return Reading(Completion(text, None, None, None, Usage()), None, error)
            return Reading(error.part, self._price(frame, error.part), error)
        return Reading(completion, self._price(frame, completion))

    def settle(self, frame: Frame, life: Life, reading: Reading | None = None) -> Life:
        """Where the question stands after this frame, whose `reading` may be at hand.

        Depends on bytes alone, so that replay agrees with life.
        """
        if frame.problem is not None:
            if not frame.ended:
                spent = replace(life.spent, attempts=frame.attempts)
                return Life(spent, life.unusable, None, frame.failed, frame.next_try_at)
            # A paid answer that could not be used says more than the error that ended its repair. Of a reply without
            # an answer only the text is kept: the error that came last says why there is none.
            failure = self._failure(frame, frame.problem, life.spent, None)
            if life.unusable is not None:
                ended = replace(
                    life.unusable.envelope,
                    attempts=frame.attempts,
                    finished_at=frame.received_at,
                    run_id=frame.run_id,
                    cost_usd=life.spent.cost_usd,
                )
                failure = replace(life.unusable if life.spent.answers else failure, envelope=ended)
            return Life(life.spent, life.unusable, failure)
        completion, cost_usd, unread = reading or self.read(frame)
        if unread is not None:
            # Its text is kept in case nothing better comes, and never instead of an answer.
            spent = life.spent.broken_off(cost_usd, frame.attempts)
            problem = Problem(unread.kind, unread.message, unread.status)
            kept = life.unusable if spent.answers else self._failure(frame, problem, spent, completion)
            return Life(spent, kept, None, life.failed)
        spent = life.spent.plus(cost_usd, frame.attempts)
        try:
            answer = self.tasks[frame.row.task].parse(completion, frame.facts.pages)
        except ItemError as error:
            problem = Problem(error.kind, error.message, frame.status)
            failure = self._failure(frame, problem, spent, completion)
            again = error.kind in REPAIRABLE and spent.answers <= self.repairs
            return Life(spent, failure, None if again else failure, life.failed)
        return Life(spent, None, Row(frame.row, frame.facts, answer, _envelope(frame, spent, completion)))

    def share(self, frame: Frame, life: Life, leader: Outcome) -> Outcome:
        """The outcome of a copy: its leader's, under its own name. It costs nothing beyond what it spent itself."""
        envelope = replace(
            leader.envelope,
            run_id=frame.run_id,
            finished_at=frame.received_at,
            attempts=frame.attempts,
            usage=Usage(),
            cost_usd=life.spent.cost_usd,
            latency_ms=None,
            dedup_of=frame.dedup_of,
        )
        return replace(leader, id=frame.row, facts=frame.facts, envelope=envelope)

    def read_again(self, outcome: Outcome) -> Outcome:
        """What the kept answer is to the parser of today; the same object where there is nothing to read again.

        Nothing is asked and nothing was paid, so the envelope stays as it is. What was refused, by the model or by the
        server's filter, stays refused: its `raw_text` may be the answer's `refusal` member, which is told apart from
        the model's text by nothing that is kept, and a refused picture must never come out as `safe`.
        """
        kept = outcome.envelope
        if kept.raw_text is None or (isinstance(outcome, Failure) and not _may_be_read_again(outcome.problem.kind)):
            return outcome
        completion = Completion(kept.raw_text, kept.finish_reason, None, kept.served_model, kept.usage)
        try:
            answer = self.tasks[outcome.id.task].parse(completion, outcome.facts.pages)
        except ItemError as error:
            status = outcome.problem.http_status if isinstance(outcome, Failure) else None
            return Failure(outcome.id, outcome.facts, Problem(error.kind, error.message, status), kept)
        return Row(outcome.id, outcome.facts, answer, kept)

    def _price(self, frame: Frame, completion: Completion) -> float | None:
        if completion.cost_usd is not None:
            return completion.cost_usd
        return self.provider.cost(frame.facts.model, completion.usage)

    def _failure(self, frame: Frame, problem: Problem, spent: Spent, completion: Completion | None) -> Failure:
        retryable = KINDS[problem.kind].retryable and frame.attempts < self.lifetime_attempts
        next_try_at = (frame.next_try_at or frame.received_at) if retryable else None
        return Failure(
            frame.row, frame.facts, problem, _envelope(frame, spent, completion), retryable, next_try_at=next_try_at
        )


def _may_be_read_again(kind: str) -> bool:
    """Whether a failure's text is a model's answer that its parser found unusable."""
    return KINDS[kind].stage == "parse" and kind != "refusal"


def _envelope(frame: Frame, spent: Spent, completion: Completion | None) -> Envelope:
    return Envelope(
        run_id=frame.run_id,
        finished_at=frame.received_at,
        attempts=frame.attempts,
        usage=completion.usage if completion else Usage(),
        raw_text=((completion.text or completion.refusal or "") if completion else None),
        finish_reason=completion.finish_reason if completion else None,
        served_model=completion.served_model if completion else None,
        cost_usd=spent.cost_usd,
        latency_ms=frame.latency_ms,
        request_id=frame.request_id,
    )
