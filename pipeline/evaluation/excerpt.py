"""What of a sample's answers before and after is shown where space is short."""

from __future__ import annotations

from pipeline.evaluation.results import Moved

_BEFORE_DIFFERENCE = 60
"""Characters that are shown before the first that differs."""


def excerpts(moved: Moved, limit: int) -> tuple[str, str]:
    """The answer before and the one now, or why there is none, each in at most `limit` characters and two ellipses.

    Where they are cut, the cut shows where they begin to differ.
    """
    before = _ended(moved.answer_before, moved.failure_before)
    after = _ended(moved.now.answer, moved.now.failure)
    equal = next(
        (place for place, (old, new) in enumerate(zip(before, after, strict=False)) if old != new), len(before)
    )
    start = max(0, equal - _BEFORE_DIFFERENCE) if max(len(before), len(after)) > limit else 0
    return _cut(before, start, limit), _cut(after, start, limit)


def _ended(answer: str | None, failure: str | None) -> str:
    return f"failed: {failure}" if answer is None else answer or "(nothing)"


def _cut(text: str, start: int, limit: int) -> str:
    end = start + limit
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")
