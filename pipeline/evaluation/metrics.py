"""The table of metrics, and the scores that a label allows for an answer.

A row that failed has the worst score of every metric: a model that gives up on hard pictures must not look better.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from pipeline.evaluation.answers import Answer, moderation_text, verdict_of
from pipeline.evaluation.ask import ask_scores, shown
from pipeline.evaluation.captions import chrf, keywords
from pipeline.evaluation.labels import Label
from pipeline.evaluation.moderation import agreement
from pipeline.evaluation.text import cer, told, unspaced, wer

Better = Literal["higher", "lower"]


class Metric(NamedTuple):
    """Which way a metric is better, and what of its changes is noise (decision 012).

    A figure over all samples has moved when it changed by more than `band`, and by more than `deviations` standard
    errors of the change. `spread` is how far one sample's score is expected to differ from run to run by noise alone:
    what is assumed of a group that is too small to show it, and what bounds the scatter of one that shows more.

    Where `flips` is given, changes are counted instead: it is the share of samples that noise alone turns each way.
    """

    better: Better
    band: float
    spread: float
    deviations: float = 4.0
    flips: float | None = None


METRICS: dict[str, Metric] = {
    "answered": Metric("higher", 0.02, 0.2, flips=0.02),
    "cer": Metric("lower", 0.028, 0.07, 2.6),
    "wer": Metric("lower", 0.10, 0.15),
    "facts": Metric("higher", 0.10, 0.5, flips=0.2),
    "chrf": Metric("higher", 0.15, 0.15, 4.5),
    "keywords": Metric("higher", 0.10, 0.4),
    "verdict": Metric("higher", 0.05, 0.25, flips=0.02),
    "precision": Metric("higher", 0.10, 0.5),
    "recall": Metric("higher", 0.10, 0.5),
    "f1": Metric("higher", 0.10, 0.5),
    "kappa": Metric("higher", 0.15, 0.5),
    "exact": Metric("higher", 0.05, 0.5, flips=0.02),
    "numeric": Metric("higher", 0.05, 0.5, flips=0.02),
    "fields": Metric("higher", 0.05, 0.4),
}
"""Every metric, in the order in which they are shown."""


def reference_of(label: Label, answer: Answer) -> str | None:
    """The best answer that the label knows of, as it is shown; None where it knows none."""
    if answer.kind == "caption":
        return label.captions[0] if label.captions else None
    if answer.kind == "ocr":
        facts = "\n".join(label.must_contain) or None
        return facts if label.text is None else label.text
    if answer.kind == "moderate":
        return None if label.verdict is None else moderation_text(label.verdict, label.categories)
    return shown(label.answers[answer.task]) if answer.task in label.answers else None


def scores_of(label: Label, answer: Answer) -> dict[str, float]:
    """A score for each metric that the label allows, to six places."""
    scores = {"answered": float(answer.text is not None), **_SCORES[answer.kind](label, answer)}
    return {name: round(score, 6) for name, score in scores.items()}


def _caption(label: Label, answer: Answer) -> dict[str, float]:
    scores = _facts(label, answer)
    if label.captions:
        scores["chrf"] = 0.0 if answer.text is None else chrf(label.captions, answer.text)
    named = keywords(label.subjects, label.captions, answer.text or "")
    return scores if named is None else {**scores, "keywords": named}


def _ocr(label: Label, answer: Answer) -> dict[str, float]:
    scores = _facts(label, answer)
    if label.text is not None:
        scores["cer"] = 1.0 if answer.text is None else cer(label.text, answer.text, label.languages)
        if not unspaced(label.languages):
            scores["wer"] = 1.0 if answer.text is None else wer(label.text, answer.text)
    return scores


def _facts(label: Label, answer: Answer) -> dict[str, float]:
    return {"facts": told(label.must_contain, answer.text or "")} if label.must_contain else {}


def _moderate(label: Label, answer: Answer) -> dict[str, float]:
    return {} if label.verdict is None else {"verdict": agreement(label.verdict, verdict_of(answer.text))}


def _ask(label: Label, answer: Answer) -> dict[str, float]:
    if answer.task not in label.answers:
        return {}
    return ask_scores(label.answers[answer.task], answer.text, answer.fields)


_SCORES = {"caption": _caption, "ocr": _ocr, "moderate": _moderate, "ask": _ask}
