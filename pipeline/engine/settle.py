"""What a frame means for its question: the one place where an answer is read, live and in recovery alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.core.errors import REPAIRABLE, CallError, ItemError
from pipeline.core.ports import Provider, Task
from pipeline.core.types import Completion, Envelope, Failure, Frame, Life, Problem, Row, Spent, Usage


@dataclass(frozen=True, slots=True)
class Settler:
    """Turns frames into outcomes. `repairs` is how often an unusable answer is asked again."""

    tasks: Mapping[str, Task]
    provider: Provider
    repairs: int

    def settle(self, frame: Frame, life: Life) -> Life:
        """Where the question stands after this frame. Depends on bytes alone, so that replay agrees with life."""
        if frame.problem is not None:
            # A paid answer that could not be used says more than the error that ended its repair.
            failure = _failure(frame, frame.problem, life.spent, None)
            if life.unusable is not None:
                ended = replace(
                    life.unusable.envelope,
                    attempts=frame.attempts,
                    finished_at=frame.received_at,
                    run_id=frame.run_id,
                )
                failure = replace(life.unusable, envelope=ended)
            return Life(life.spent, life.unusable, failure)
        task = self.tasks[frame.row.task]
        try:
            completion = self.provider.read(frame.body)
        except CallError as error:
            # No completion in it, so no usage to count; its text is kept in case nothing better comes.
            spent = Spent(frame.attempts, life.spent.answers, life.spent.cost_usd)
            text = frame.body.decode("utf-8", "replace")[:4096]
            unread = Completion(text, None, None, None, None, Usage())
            problem = Problem(error.kind, error.message, error.status)
            return Life(spent, life.unusable or _failure(frame, problem, spent, unread))
        spent = life.spent.plus(self.provider.cost(task.fixed, completion.usage), frame.attempts)
        try:
            answer = task.parse(completion)
        except ItemError as error:
            problem = Problem(error.kind, error.message, frame.status)
            failure = _failure(frame, problem, spent, completion)
            again = error.kind in REPAIRABLE and spent.answers <= self.repairs
            return Life(spent, failure, None if again else failure)
        return Life(spent, None, Row(frame.row, frame.facts, answer, _envelope(frame, spent, completion)))


def _failure(frame: Frame, problem: Problem, spent: Spent, completion: Completion | None) -> Failure:
    return Failure(frame.row, frame.facts, problem, _envelope(frame, spent, completion))


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
