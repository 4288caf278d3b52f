"""A call: one question until it is answered or given up. A retry is a loop in here, never a road back.

The order that keeps money: read the body, journal it, and only then look at it.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
import structlog

from pipeline.core.errors import CallError, ItemError, ServerError
from pipeline.core.outcomes import Life, Outcome
from pipeline.core.ports import Pacer, Provider
from pipeline.core.types import Repair, RowId
from pipeline.engine.breaker import Breaker
from pipeline.engine.events import Events
from pipeline.engine.purse import Purse
from pipeline.engine.questions import Question
from pipeline.engine.retry import LONGEST_WAIT_S, RetryPolicy, backoff
from pipeline.engine.shutdown import Stop
from pipeline.engine.stats import Stats
from pipeline.engine.warming import Warming
from pipeline.engine.withheld import Tried, Withheld

log = structlog.get_logger()
_HOSTS_OWN = frozenset({403, 404})
"""Statuses of a picture's host that a server may pass on as its own; whether they are shows once it has the picture."""


@dataclass(slots=True)
class _Attempts:
    """The requests of one call: `sent` counts those neither refused by quota nor lost in an outage, over all runs."""

    sent: int
    failed: int = 0
    first_at: float | None = None


class Calls:
    """Makes calls. One for all workers: the breaker and the pacer see every attempt."""

    def __init__(
        self,
        *,
        provider: Provider,
        pacer: Pacer,
        events: Events,
        shelve: Callable[[RowId, Life], None],
        inline: Callable[[Question, Repair | None], Awaitable[Question]],
        warming: Warming,
        purse: Purse,
        policy: RetryPolicy,
        repairs: int,
        proven: bool,
        stop: Stop,
        stats: Stats,
        random_source: random.Random,
    ) -> None:
        self._provider = provider
        self._pacer = pacer
        self._events = events
        self._shelve = shelve
        self._inline = inline
        self._warming = warming
        self._purse = purse
        self._policy = policy
        self._repairs = repairs
        self._breaker = Breaker(patience_s=policy.total_seconds, proven=proven)
        self._stop = stop
        self._stats = stats
        self._random = random_source
        self._withheld = Withheld(self._breaker, events, stop)
        self.released = self._withheld.released

    async def call(self, question: Question, life: Life) -> Outcome | None:
        """The outcome, already journaled; None when a drain came first or a refusal is kept back (see `released`).

        `life` is where earlier runs left the question. Stops the run when no request can succeed. Raises LedgerError
        when an answer cannot be kept.
        """
        outcome, life = await self._ask(question, life)
        if outcome is None and life != Life():
            self._shelve(question.row, life)
        return outcome

    async def _ask(self, question: Question, life: Life) -> tuple[Outcome | None, Life]:
        """The outcome, and where the question stands without one."""
        attempts = _Attempts(sent=life.spent.attempts, failed=life.failed)
        repair: Repair | None = None
        if not await self._pause(self._sleep_until, life.next_try_at or 0.0):
            return None, life
        while True:
            if life.spent.answers != (repair.number if repair else 0):
                repair = repair_after(life)
                self._stats.repairs += 1
                question = question.again(self._provider.render(question.prompt, repair))
            sent = attempts.sent
            attempt = await self._attempt(question, attempts, life)
            if attempt is None:
                return None, life
            tried, again_s = attempt
            life = tried.life
            if tried.error is not None:
                if again_s is None:
                    if self._withheld.take(question.row, question.facts, tried, attempts.sent):
                        return None, life
                    return self._give_up(question, tried, attempts.sent), life
                if attempts.sent > sent:
                    life = self._events.failed(
                        question.row, question.facts, tried.error, life, attempts.sent, attempts.failed, again_s
                    )
                try:
                    again = await self._again(question, tried.error, again_s, repair)
                except ItemError as error:
                    return self._events.ended(question.row, question.facts, error, life, attempts.sent), life
                if again is None:
                    return None, life
                question = again
            elif life.outcome is not None:
                return life.outcome, life

    async def _attempt(self, question: Question, attempts: _Attempts, life: Life) -> tuple[Tried, float | None] | None:
        """One request, and the seconds until the next (None: there is none). None when the run stops first."""
        if not (
            await self._pause(self._warming.wait, question) and await self._pause(self._pacer.acquire, question.row)
        ):
            self._warming.over(question, answered=False)
            return None
        try:
            number = attempts.sent + 1
            tried = await self._try(question, attempts, number, life)
            if tried.error is None:
                return tried, None
            if tried.error.ends_run and not _is_unfetched(question, tried.error):
                self._stop.fail(ServerError(tried.error.message))
                return tried, 0.0
            return tried, self._judge(question, tried.error, attempts, number, repairs=life.spent.answers > 0)
        except ServerError as error:
            # Before the slot is given back: nobody may go next with a request that cannot succeed.
            self._stop.fail(error)
            return None
        finally:
            self._warming.over(question, answered=False)
            self._pacer.release(question.row)

    async def _again(
        self, question: Question, error: CallError, wait_s: float, repair: Repair | None
    ) -> Question | None:
        """The question as it is asked next, once that may be; None when a drain came first. Raises ItemError."""
        if not _is_unfetched(question, error):
            return question if await self._pause(anyio.sleep, wait_s) else None
        with self._stop.waiting() as waiting:
            question = await self._inline(question, repair)
        return None if waiting.cancelled_caught else question

    def _give_up(self, question: Question, tried: Tried, attempts: int) -> Outcome:
        if tried.error is None:
            raise AssertionError("only a failed attempt ends a question without an answer")
        return self._events.ended(question.row, question.facts, tried.error, tried.life, attempts, tried.body)

    async def _sleep_until(self, unix_s: float) -> None:
        # Capped: a clock that was set back must not keep a row waiting for hours.
        if (wait_s := min(unix_s - self._events.now(), LONGEST_WAIT_S)) > 0:
            await anyio.sleep(wait_s)

    async def _pause(self, wait: Callable[[Any], Awaitable[None]], argument: object) -> bool:
        """Wait with nothing in flight; False when a drain ended the wait."""
        with self._stop.waiting() as waiting:
            await wait(argument)
        return not waiting.cancelled_caught

    async def _try(self, question: Question, attempts: _Attempts, number: int, life: Life) -> Tried:
        """One request. A reply of status 2xx takes this `number` for good: recovery knows replies by it."""
        started = anyio.current_time()
        if attempts.first_at is None:
            attempts.first_at = started
        self._stats.requests += 1
        self._stats.in_flight += 1
        try:
            reply = await self._provider.send(question.body, question.route)
        except CallError as error:
            self._stats.in_vain += error.reached
            return Tried(life, error)
        except anyio.get_cancelled_exc_class():
            self._stats.in_vain += 1
            raise
        finally:
            self._stats.in_flight -= 1
        if not 200 <= reply.status < 300:
            refusal = self._provider.refusal(reply)
            if isinstance(refusal, ServerError) and question.linked is not None and reply.status in _HOSTS_OWN:
                refusal = CallError("image_rejected", str(refusal), reply.status, of_address=True)
            if isinstance(refusal, ServerError) and refusal.of_form and life.spent.answers:
                # The question itself was answered: what is refused is what its repair changes.
                refusal = CallError("bad_request", str(refusal), reply.status)
            if isinstance(refusal, CallError):
                return Tried(life, refusal, reply.body)
            raise refusal
        attempts.sent = number
        latency_ms = round((anyio.current_time() - started) * 1000)
        request_id = self._provider.request_id(reply)
        settled, reading = self._events.answered(
            question.row,
            question.facts,
            reply,
            life,
            attempts.sent,
            latency_ms,
            request_id,
            self._provider.notes(reply),
        )
        self._pacer.answered()
        self._purse.pay(reading, question.facts.model)
        if reading.error is not None:
            return Tried(settled, reading.error)
        self._breaker.answered()
        self._warming.over(question, answered=True)
        return Tried(settled)

    def _judge(
        self, question: Question, error: CallError, attempts: _Attempts, number: int, *, repairs: bool
    ) -> float | None:
        """Seconds until the next attempt, None when there is none. Raises ServerError.

        A refusal by quota and an outage cost no attempt: the shared gate makes everybody wait instead. A server that
        cannot fetch a picture from its address is well: it gets the picture itself, at once. What `repairs` an answer
        was accepted before, so its refusal says nothing about the configuration.
        """
        if _is_unfetched(question, error):
            attempts.sent = number
            self._pacer.answered()
            return 0.0
        now = anyio.current_time()
        age_s = now - (attempts.first_at if attempts.first_at is not None else now)
        if self._breaker.outage(question.row, error, now):
            self._pacer.unreachable(error.retry_after)
            return 0.0
        if error.meaning.error_class == "quota":
            self._stats.refused_by_quota += 1
            self._pacer.refused(error.retry_after)
            return 0.0 if age_s < self._policy.total_seconds else None
        attempts.sent = number
        if error.meaning.error_class == "row":
            self._pacer.answered()
            if not repairs:
                self._breaker.refused(error)
            return None
        attempts.failed += 1
        if error.meaning.error_class == "answer":
            # The server threw away what its model wrote: bad luck once, the model's nature after that.
            return 0.0 if attempts.failed <= self._repairs else None
        if not self._policy.allows(attempts.failed, age_s):
            return None
        self._stats.retries += 1
        wait_s = backoff(attempts.failed, error.retry_after, self._random)
        log.debug("call.retry_scheduled", kind=error.kind, status=error.status, failed=attempts.failed, wait_s=wait_s)
        return wait_s


def repair_after(life: Life) -> Repair | None:
    """How a question is asked after the answers so far; None when it is asked for the first time.

    Of a row that was moved to another shard only their number is known: it is asked anew, with more room.
    """
    if not life.spent.answers:
        return None
    unusable = life.unusable
    if unusable is None:
        return Repair("cut", "", life.spent.answers)
    return Repair(unusable.problem.kind, unusable.envelope.raw_text or "", life.spent.answers)


def _is_unfetched(question: Question, error: CallError) -> bool:
    """Whether the server may have failed to fetch the picture that was sent by its address. Never after that."""
    return question.linked is not None and error.of_address
