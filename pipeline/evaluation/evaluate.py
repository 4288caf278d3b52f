"""Judges answers by their labels: scores of samples, figures over groups of them, verdicts expected and given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.core.errors import ConfigError
from pipeline.evaluation.answers import Answer, verdict_of
from pipeline.evaluation.labels import Label, labels_by_key
from pipeline.evaluation.metrics import METRICS, reference_of, scores_of
from pipeline.evaluation.moderation import flip_matrix
from pipeline.evaluation.resampling import (
    draws,
    groups_of,
    interval,
    mean,
    mean_columns,
    rates_of,
    verdict_columns,
    weight,
)
from pipeline.evaluation.results import Evaluation, Figure, Sample


def evaluate(labels: Sequence[Label], answers: Sequence[Answer]) -> Evaluation:
    """The evaluation of the answers that have a label; others are not judged.

    Raises ConfigError when none has one: then labels and manifest are not about the same pictures.
    """
    known = labels_by_key(labels, (answer.key for answer in answers))
    if not known:
        keys = ", ".join(sorted({answer.key for answer in answers})[:3]) or "no row at all"
        raise ConfigError(
            [
                f"No label belongs to a row of the manifest: its keys are like {keys}, the labels' ids like "
                f"{', '.join(label.id for label in labels[:3])}. A key is a label's id, its file, or the file's end."
            ]
        )
    samples = tuple(_sample(known[answer.key], answer) for answer in answers if answer.key in known)
    judged = [one for one in samples if one.kind == "moderate" and one.reference is not None]
    pairs = defaultdict(list)
    for one in judged:
        pairs[one.task].append((verdict_of(one.reference), verdict_of(one.answer)))
    flips = {task: flip_matrix(of_task) for task, of_task in pairs.items()}
    return Evaluation(samples, tuple(_figures(samples)), flips)


def by_group(samples: Sequence[Sample]) -> dict[tuple[str, str], list[Sample]]:
    """The samples of each (task, group): tasks in their order, "all" first, the other groups by name."""
    found: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        for group in groups_of(sample):
            found[sample.task, group].append(sample)
    tasks = list(dict.fromkeys(sample.task for sample in samples))
    order = sorted(found, key=lambda name: (tasks.index(name[0]), name[1] != "all", name[1]))
    return {name: found[name] for name in order}


def _sample(label: Label, answer: Answer) -> Sample:
    return Sample(
        task=answer.task,
        kind=answer.kind,
        key=answer.key,
        image=answer.uri,
        category=label.category,
        languages=label.languages,
        tags=label.tags,
        answer=answer.text,
        failure=answer.failure,
        reference=reference_of(label, answer),
        scores=scores_of(label, answer),
        request_sha256=answer.request_sha256,
    )


def _figures(samples: Sequence[Sample]) -> Iterator[Figure]:
    for (task, group), members in by_group(samples).items():
        for metric in METRICS:
            scored = [one for one in members if metric in one.scores]
            if scored:
                columns = mean_columns([one.scores[metric] for one in scored], [weight(metric, one) for one in scored])
                low, high = interval(mean(draws(len(scored)) @ columns))
                value = float(mean(columns.sum(0, keepdims=True))[0])
                yield Figure(task, metric, group, len(scored), value, low, high)
        yield from _rates(task, group, [one for one in members if "verdict" in one.scores])


def _rates(task: str, group: str, judged: Sequence[Sample]) -> Iterator[Figure]:
    if not judged:
        return
    columns = verdict_columns(judged, [one.answer for one in judged])
    drawn = rates_of(columns, draws(len(judged)))
    for metric, value in rates_of(columns).items():
        if not np.isnan(value[0]):
            yield Figure(task, metric, group, len(judged), float(value[0]), *interval(drawn[metric]))
