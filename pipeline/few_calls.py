"""A few calls to a server outside of any run: bounded in number and time, counted, and never journaled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import anyio

from pipeline.core.errors import CallError, RunError
from pipeline.core.ports import Provider
from pipeline.core.types import Completion, Reply

MOST_CALLS: Final = 4
CALL_S: Final = 60.0
LONGEST_WAIT_S: Final = 5.0
"""Before the one retry, whatever the server asks for."""


@dataclass(slots=True)
class FewCalls:
    """At most four, each of at most 60 s; one of them may be a retry. The caller asks nothing when none is `left`."""

    provider: Provider
    made: int = 0
    answers: list[tuple[str, Completion]] = field(default_factory=list)
    """What was answered, each with the model that was asked."""
    _retried: bool = False

    @property
    def left(self) -> int:
        """How many more may be made."""
        return MOST_CALLS - self.made

    async def ask(self, model: str, body: bytes) -> Completion | RunError | CallError:
        """The completion, or why there is none."""
        found = self._read(await self.send(body))
        if isinstance(found, CallError) and _may_pass(found) and not self._retried and self.left:
            self._retried = True
            await anyio.sleep(min(found.retry_after or 1.0, LONGEST_WAIT_S))
            found = self._read(await self.send(body))
        if isinstance(found, Completion):
            self.answers.append((model, found))
        return found

    async def send(self, body: bytes) -> Reply | CallError:
        """One attempt."""
        self.made += 1
        try:
            with anyio.fail_after(CALL_S):
                return await self.provider.send(body)
        except TimeoutError:
            return CallError("timeout", f"no answer within {CALL_S:g} s")
        except CallError as error:
            return error

    def _read(self, reply: Reply | CallError) -> Completion | RunError | CallError:
        if isinstance(reply, CallError):
            return reply
        try:
            if reply.status >= 300:
                raise self.provider.refusal(reply)
            return self.provider.read(reply.body, self.provider.notes(reply))
        except (CallError, RunError) as error:
            return error

    def spent(self) -> tuple[int | None, int | None, float | None]:
        """Tokens in and out, and USD, of all answers; None where one of them does not tell."""
        usages = [completion.usage for _, completion in self.answers]
        costs = [
            self.provider.cost(model, completion.usage) if completion.cost_usd is None else completion.cost_usd
            for model, completion in self.answers
        ]
        return (
            _sum([usage.prompt_tokens for usage in usages]),
            _sum([usage.completion_tokens for usage in usages]),
            None if None in costs else sum(cost for cost in costs if cost is not None),
        )


def _may_pass(error: CallError) -> bool:
    return error.starting or (error.meaning.retryable and error.kind != "timeout" and not error.ends_run)


def _sum(counts: list[int | None]) -> int | None:
    return None if None in counts else sum(count for count in counts if count is not None)
