"""What happened in this run so far: plain counts, for the progress line and the closing table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pipeline.core.outcomes import Failure, Outcome
from pipeline.engine.learning import TokenLearner


@dataclass(slots=True)
class Stats:
    """Counts of one run; `to_do` is None until the plan is known. Money in USD, tokens as the server counted them."""

    to_do: int | None = None
    answered: Counter[str] = field(default_factory=Counter)
    """Usable answers by task."""
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Failures by (task, kind)."""
    requests: int = 0
    refused_by_quota: int = 0
    retries: int = 0
    repairs: int = 0
    shared: int = 0
    """Questions that were not asked, because an equal one was."""
    in_flight: int = 0
    in_vain: int = 0
    """Requests that reached the server and brought no answer: given up, timed out, cut off. They may be billed."""
    safe: int = 0
    """Frames known to be on the disk."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    image_tokens: TokenLearner = field(default_factory=TokenLearner)
    """What pictures were expected to cost, and what they cost."""

    def count(self, outcome: Outcome) -> None:
        """One more finished question."""
        usage = outcome.envelope.usage
        if isinstance(outcome, Failure):
            self.failed[outcome.id.task, outcome.problem.kind] += 1
        else:
            self.answered[outcome.id.task] += 1
        self.prompt_tokens += usage.prompt_tokens or 0
        self.cached_tokens += usage.cached_tokens or 0
        self.completion_tokens += usage.completion_tokens or 0
        self.cost_usd += outcome.envelope.cost_usd or 0.0
        if outcome.envelope.dedup_of is None:
            facts = outcome.facts
            self.image_tokens.add(outcome.id.task, facts.model, facts.image_tokens_expected, usage)

    @property
    def finished(self) -> int:
        """Questions of this run that have an outcome."""
        return self.answered.total() + self.failed.total()
