"""The answers that a later run is compared with: a JSON file fit for review, sorted, a few lines a sample.

{"format": 1, "made_with": {"vlm-batch": "0.1.0", ...}, "samples": {"<task>": {"<key>": {"answer": ..., "failure":
..., "request_sha256": ..., "scores": {"cer": 0.02}}}}}
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.core.errors import ConfigError
from pipeline.evaluation.results import Evaluation
from pipeline.storage.local import replace

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Record:
    """How one sample stood: answer or failure, scores, and the question as it was asked."""

    answer: str | None
    failure: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    request_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is compared with, by (task, key). `made_with` names versions and models, for people."""

    samples: Mapping[tuple[str, str], Record]
    made_with: Mapping[str, str] = field(default_factory=dict)


def baseline_of(evaluation: Evaluation, made_with: Mapping[str, str]) -> Baseline:
    """An evaluation as a baseline for later ones."""
    samples = {
        (one.task, one.key): Record(one.answer, one.failure, one.scores, one.request_sha256)
        for one in evaluation.samples
    }
    return Baseline(samples, made_with)


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write a baseline, whole or not at all, over what stands there. Raises LedgerError."""
    samples: dict[str, dict[str, Any]] = {}
    for (task, key), record in baseline.samples.items():
        samples.setdefault(task, {})[key] = {
            "answer": record.answer,
            "failure": record.failure,
            "request_sha256": record.request_sha256,
            "scores": dict(record.scores),
        }
    whole = {"format": FORMAT, "made_with": dict(baseline.made_with), "samples": samples}
    text = json.dumps(whole, ensure_ascii=False, indent=1, sort_keys=True)
    replace(path, (text + "\n").encode(), path.parent)


def read_baseline(path: Path) -> Baseline:
    """A baseline from its file. Raises ConfigError that says what to do when it is missing or damaged."""
    advice = "Write it with vlm-batch regress CONFIG --update-baseline"
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError([f"There is no baseline {path}. {advice}, look at it, and commit it."]) from None
    except OSError as error:
        raise ConfigError([f"Cannot read the baseline {path}: {error.strerror}."]) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            [f"The baseline {path} is not JSON ({error}). Restore it, or make it anew: {advice}."]
        ) from None
    if isinstance(whole, dict) and whole.get("format") != FORMAT:
        found = json.dumps(whole.get("format"))[:40]
        raise ConfigError([f"The baseline {path} has format {found}, this version reads {FORMAT}. {advice}."])
    try:
        samples = {
            (task, key): _record(raw) for task, of_task in whole["samples"].items() for key, raw in of_task.items()
        }
        return Baseline(samples, {str(name): str(value) for name, value in whole["made_with"].items()})
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        told = f"{type(error).__name__}: {error}"
        raise ConfigError(
            [f"The baseline {path} is damaged ({told}). Restore it, or make it anew: {advice}."]
        ) from None


def _record(raw: Mapping[str, Any]) -> Record:
    for name in ("answer", "failure", "request_sha256"):
        if not isinstance(raw[name], str | None):
            raise TypeError(f"{name} is no text")
    scores = {str(name): float(score) for name, score in raw["scores"].items()}
    for name, score in scores.items():
        if not math.isfinite(score):
            raise ValueError(f"the score {name} is {score}")
    return Record(raw["answer"], raw["failure"], scores, raw["request_sha256"])
