"""Holds an evaluation against the baseline and tells a change from noise (decision 012)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from pipeline.evaluation.answers import may_pass, verdict_of
from pipeline.evaluation.baseline import Baseline, Record
from pipeline.evaluation.collapse import exchanged, fell
from pipeline.evaluation.evaluate import by_group
from pipeline.evaluation.metrics import METRICS
from pipeline.evaluation.moderation import RATES, flip_matrix
from pipeline.evaluation.resampling import (
    by_length,
    draws,
    mean,
    mean_columns,
    most_by_chance,
    rates_of,
    standard_error,
    verdict_columns,
    weight,
)
from pipeline.evaluation.results import Change, Comparison, Evaluation, Moved, Sample, Verdict

WIDER = 1.8
"""How much wider the band of a group other than "all" is: a set has dozens, and one of them is always unlucky."""

CHANCE = 0.0015
"""How rarely noise may turn as many samples of a set as count as a change; of a group, a hundredth of that."""
LEAST = 5
"""Samples that a group other than "all" has at least, to be judged: single ones are judged by themselves."""

_Records = Mapping[tuple[str, str], Record]


def compare(evaluation: Evaluation, baseline: Baseline) -> Comparison:
    """What changed since the baseline, and whether by more than noise."""
    before = baseline.samples
    now = {(one.task, one.key): one for one in evaluation.samples}
    both = [one for place, one in now.items() if place in before]
    failed_in_passing = [one for one in both if may_pass(one.failure) and before[one.task, one.key].failure is None]
    comparable = [one for one in both if not may_pass(one.failure) and not may_pass(_record(before, one).failure)]
    changes = tuple(_changes(comparable, before))
    return Comparison(
        changes=changes,
        moved=_moved(comparable, before, changes),
        missing=tuple(place for place in before if place not in now),
        added=tuple(place for place in now if place not in before),
        flips=_flips(comparable, before),
        problems=(*_problems(failed_in_passing), *_unjudged(both, before)),
    )


def _record(before: _Records, one: Sample) -> Record:
    return before[one.task, one.key]


def _problems(failed: Sequence[Sample]) -> Iterator[str]:
    by_task: dict[str, list[Sample]] = defaultdict(list)
    for one in failed:
        by_task[one.task].append(one)
    for task, rows in by_task.items():
        kinds = ", ".join(sorted({(one.failure or "").partition(":")[0] for one in rows}))
        keys = ", ".join(one.key for one in rows[:5]) + (", ..." if len(rows) > 5 else "")
        yield (
            f"{task}: {len(rows)} row{'s' if len(rows) > 1 else ''} answered in the baseline failed for a reason that "
            f"may pass ({kinds}): {keys}. Run the regression again."
        )


def _unjudged(both: Sequence[Sample], before: _Records) -> Iterator[str]:
    """What the baseline judged and the run does not: a gate that lost its labels must not pass."""
    advice = "Restore the labels, or write the baseline anew with --update-baseline."
    if before and not both:
        yield f"Nothing that the baseline holds was judged: no task and key are in both. {advice}"
    lost: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in both:
        for metric in _record(before, one).scores:
            if metric not in one.scores:
                lost[one.task, metric].append(one.key)
    for (task, metric), keys in lost.items():
        samples = f"{len(keys)} sample{'s' if len(keys) > 1 else ''}"
        yield f"{task}: {metric} is in the baseline for {samples} and not any more, such as {keys[0]}. {advice}"


def _flips(samples: Sequence[Sample], before: _Records) -> dict[str, Mapping[tuple[str, str], int]]:
    pairs = defaultdict(list)
    for one in samples:
        if one.kind == "moderate":
            pairs[one.task].append((verdict_of(_record(before, one).answer), verdict_of(one.answer)))
    return {task: flip_matrix(of_task) for task, of_task in pairs.items()}


def _changes(samples: Sequence[Sample], before: _Records) -> Iterator[Change]:
    for (task, group), members in by_group(samples).items():
        for metric in METRICS:
            scored = [one for one in members if metric in one.scores and metric in _record(before, one).scores]
            if scored:
                yield _mean_change(task, metric, group, scored, before)
        judged = [one for one in members if one.kind == "moderate" and one.reference is not None]
        if judged and group == "all":  # in small groups a rate hangs on one or two verdicts, which `verdict` judges
            yield from _rate_changes(task, group, judged, before)


def _mean_change(task: str, metric: str, group: str, samples: Sequence[Sample], before: _Records) -> Change:
    weights = [weight(metric, one) for one in samples]
    columns = [
        mean_columns([_record(before, one).scores[metric] for one in samples], weights),
        mean_columns([one.scores[metric] for one in samples], weights),
    ]
    times = draws(len(samples))
    drawn = mean(times @ columns[1]) - mean(times @ columns[0])
    before_now = [float(mean(side.sum(0, keepdims=True))[0]) for side in columns]
    rule, count = METRICS[metric], len(samples)
    if rule.flips is not None:
        most = most_by_chance(count, rule.flips, CHANCE if group == "all" else CHANCE / 100)
        turned = [one.scores[metric] - _record(before, one).scores[metric] for one in samples]
        risen = sum(by > 0 for by in turned) - sum(by < 0 for by in turned)
        return _change(task, metric, group, count, before_now, most / count, risen / count)
    error = standard_error(drawn, count, rule.spread)
    least = by_length(metric, samples) if metric in {"cer", "wer"} else 0.0
    band = max(rule.band, rule.deviations * error, least) * (1 if group == "all" else WIDER)
    return _change(task, metric, group, count, before_now, band)


def _rate_changes(task: str, group: str, samples: Sequence[Sample], before: _Records) -> Iterator[Change]:
    answers = [[_record(before, one).answer for one in samples], [one.answer for one in samples]]
    columns = [verdict_columns(samples, side) for side in answers]
    times = draws(len(samples))
    values = [rates_of(side) for side in columns]
    drawn = [rates_of(side, times) for side in columns]
    # Ninety-nine safe pictures say nothing of how far the one unsafe may swing: those that differ carry the change.
    kinds = Counter(
        (verdict_of(one.reference), verdict_of(old), verdict_of(new))
        for one, old, new in zip(samples, *answers, strict=True)
    )
    carrying = max(1, len(samples) - max(kinds.values()))
    for metric in RATES:
        pair = [float(side[metric][0]) for side in values]
        if not np.isnan(pair).any():
            error = standard_error(drawn[1][metric] - drawn[0][metric], carrying, METRICS[metric].spread)
            band = max(METRICS[metric].band, METRICS[metric].deviations * error)
            yield _change(task, metric, group, len(samples), pair, band)


def _change(
    task: str, metric: str, group: str, samples: int, values: Sequence[float], band: float, rise: float | None = None
) -> Change:
    """A figure's change, judged by `rise`, how far it got better: where None, by that of the values."""
    before, after = values
    if rise is None:
        rise = after - before if METRICS[metric].better == "higher" else before - after
    too_few = group != "all" and samples < LEAST
    verdict: Verdict = "same" if too_few or abs(rise) <= band else "better" if rise > 0 else "worse"
    return Change(task, metric, group, samples, before, after, band, verdict)


def _moved(samples: Sequence[Sample], before: _Records, changes: Sequence[Change]) -> tuple[Moved, ...]:
    """The samples that moved by themselves, then those that make up a changed figure, the furthest first."""
    swapped = exchanged(samples, before)
    alone = [_alone(one, _record(before, one), swapped.get((one.task, one.key))) for one in samples]
    found = [moved for moved in alone if moved is not None]
    named = {(moved.now.task, moved.now.key) for moved in found}
    groups = by_group(samples)
    for change in changes:
        if change.verdict == "same" or change.metric in RATES:
            continue
        for one in groups[change.task, change.group]:
            if (one.task, one.key) not in named and (moved := _along(one, _record(before, one), change)):
                named.add((one.task, one.key))
                found.append(moved)
    return tuple(sorted(found, key=lambda one: (not one.alarming, one.verdict != "worse", -_distance(one))))


def _distance(moved: Moved) -> float:
    return abs((moved.after or 0) - (moved.before or 0))


def _alone(now: Sample, before: Record, swapped: str | None) -> Moved | None:
    """How a sample moved, judged by itself; None when that may be noise."""
    after = Record(now.answer, now.failure, now.scores)
    if (now.failure is None) != (before.failure is None):
        worse = now.failure is not None
        return _move(now, before, "answered", "worse" if worse else "better", alarming=worse)
    if now.failure is not None:
        return None
    if metric := swapped or fell(now, before, after):
        return _move(now, before, metric, "worse", alarming=True)
    if metric := fell(now, after, before):
        return _move(now, before, metric, "better")
    if now.kind == "moderate" and verdict_of(before.answer) != verdict_of(now.answer):
        return _move(now, before, "verdict", "same")
    return None


def _along(now: Sample, before: Record, change: Change) -> Moved | None:
    """A sample that moved the way of a changed figure, and further than the metric's band."""
    if change.metric not in now.scores or change.metric not in before.scores:
        return None
    distance = now.scores[change.metric] - before.scores[change.metric]
    same_way = distance * (change.after - change.before) > 0
    far = same_way and abs(distance) > METRICS[change.metric].band
    return _move(now, before, change.metric, change.verdict) if far else None


def _move(now: Sample, before: Record, metric: str, verdict: Verdict, *, alarming: bool = False) -> Moved:
    asked = (before.request_sha256, now.request_sha256)
    return Moved(
        now=now,
        answer_before=before.answer,
        failure_before=before.failure,
        metric=metric,
        before=before.scores.get(metric),
        after=now.scores.get(metric),
        verdict=verdict,
        alarming=alarming,
        asked_differently=None not in asked and asked[0] != asked[1],
    )
