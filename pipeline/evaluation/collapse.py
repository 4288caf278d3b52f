"""Which single samples fell so far that no noise explains it, whatever the set's figures say (decision 012).

The same rules, read backwards, tell which samples rose as far.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.evaluation.baseline import Record
from pipeline.evaluation.results import Sample
from pipeline.evaluation.text import cer, normalise

_LEAST_TO_COMPARE = 8
"""Characters that two exchanged answers have at least: shorter ones are equal by chance."""


def tolerance(reference: str) -> float:
    """How far a text's character error rate may move by noise, by the characters of its reference.

    A run's errors change by less than 20 points; in a short text, chance adds to that: four standard deviations of
    counting errors at 6 % are one over the root of the length. Where nothing is to be read, anything is too much.
    """
    length = len(normalise(reference))
    return 0.2 + 1 / math.sqrt(length) if length else 0.9


def fell(sample: Sample, good: Record, bad: Record) -> str | None:
    """The metric in which a sample fell beyond noise from the record `good` to the record `bad`; None when it did not.

    `sample` tells what kind of answer it is and what was expected. Both records are answers, not failures.
    """
    if good.answer == bad.answer:
        return None
    if good.answer and not (bad.answer or "").strip() and _lost_anything(good, bad):
        return _main_metric(good)
    return _RULES[sample.kind](sample, good, bad)


def exchanged(samples: Sequence[Sample], before: Mapping[tuple[str, str], Record]) -> dict[tuple[str, str], str]:
    """Samples that exchanged their answers and are worse for it: the metric in which they are, by (task, key).

    Only answers that one sample alone gave count, and only those long enough not to be equal by chance; answers to
    questions may be short, since two that turn into each other's by chance are rare.
    """
    given = Counter((task, record.answer) for (task, _), record in before.items())
    owner = {(task, record.answer): key for (task, key), record in before.items()}
    now = {(one.task, one.key): one for one in samples}
    found = {}
    for one in samples:
        here, answer = (one.task, one.key), one.answer
        least = 1 if one.kind == "ask" else _LEAST_TO_COMPARE
        if here not in before or answer is None or len(answer) < least or given[one.task, answer] != 1:
            continue
        there = (one.task, owner[one.task, answer])
        mine = before[here].answer
        if there == here or there not in now or now[there].answer != mine or one.kind == "moderate":
            continue
        if mine is None or len(mine) < least or given[one.task, mine] != 1:
            continue
        if metric := _fallen_metric(one, before[here]) or _fallen_metric(now[there], before[there]):
            found[here] = metric
    return found


def _fallen_metric(one: Sample, before: Record) -> str | None:
    """The first of a kind's metrics that is worse by a tenth."""
    for metric in ("cer", "keywords", "chrf", "facts", "exact", "numeric", "fields"):
        if metric in one.scores and metric in before.scores:
            fall = min(1.0, before.scores[metric]) - min(1.0, one.scores[metric])
            if (-fall if metric == "cer" else fall) >= 0.1:
                return metric
    return None


def _lost_anything(good: Record, bad: Record) -> bool:
    """Whether an answer that became empty was worth anything."""
    metric = _main_metric(good)
    if metric is None or metric not in bad.scores:
        return False
    change = min(1.0, bad.scores[metric]) - min(1.0, good.scores[metric])
    return change > 0 if metric == "cer" else change < 0


def _main_metric(record: Record) -> str | None:
    return next((m for m in ("cer", "keywords", "chrf", "facts", "exact", "verdict") if m in record.scores), None)


def _text(sample: Sample, good: Record, bad: Record) -> str | None:
    if "cer" in good.scores and "cer" in bad.scores:
        rise = min(1.0, bad.scores["cer"]) - min(1.0, good.scores["cer"])
        return "cer" if rise >= tolerance(sample.reference or "") else None
    lost = good.scores.get("facts", 0) - bad.scores.get("facts", 0)
    other = good.answer is not None and cer(good.answer, bad.answer or "", sample.languages) >= tolerance(good.answer)
    return "facts" if lost >= 0.5 and other else None


def _caption(_sample: Sample, good: Record, bad: Record) -> str | None:
    """Reworded captions lose likeness to the references, but keep naming most of what they named."""
    near, far = good.scores.get("chrf"), bad.scores.get("chrf")
    named, still = good.scores.get("keywords"), bad.scores.get("keywords")
    if named is not None and still is not None:
        less_like = near is None or far is None or (near - far >= 0.1 and far <= 0.35)
        return "keywords" if named >= 0.3 and still <= named / 3 and less_like else None
    if near is not None and far is not None:
        return "chrf" if near >= 0.35 and far <= min(0.2, near / 2) else None
    return None


def _moderation(_sample: Sample, good: Record, bad: Record) -> str | None:
    """From right to its opposite, across "unsure"."""
    return "verdict" if good.scores.get("verdict", 0) - bad.scores.get("verdict", 0) >= 1 else None


def _answer(sample: Sample, good: Record, bad: Record) -> str | None:
    """From right to another answer altogether; one that is only spelled differently is for the figures to judge.

    Short answers are for the figures too, which count them: noise turns one in thirty, and none is alike.
    """
    for metric in ("numeric", "fields", "exact"):
        if good.scores.get(metric) == 1 and bad.scores.get(metric) == 0:
            expected = _values(sample.reference or "")
            other = cer(expected, _values(bad.answer or "")) >= tolerance(expected)
            return metric if other and len(normalise(expected)) >= _LEAST_TO_COMPARE else None
    return None


def _values(answer: str) -> str:
    """The values of an answer of several fields, without their names; any other answer as it is."""
    try:
        fields = json.loads(answer)
    except (ValueError, RecursionError):
        return answer
    return " ".join(str(fields[name]) for name in sorted(fields)) if isinstance(fields, dict) else answer


_RULES = {"caption": _caption, "ocr": _text, "moderate": _moderation, "ask": _answer}
