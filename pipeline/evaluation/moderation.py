"""How good verdicts are: precision, recall and F1 for "unsafe", Cohen's kappa, and which verdict became which.

A row that failed has the verdict "failed": it is never right, and unsafe pictures among them were missed.
All work on counts of (expected verdict, given verdict), so that a resampled set needs only other counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from pipeline.evaluation.labels import VERDICTS

GIVEN = (*VERDICTS, "failed")
"""What a row may have ended with. The first three are what may be expected."""
RATES = ("precision", "recall", "f1", "kappa")
"""The metrics of a set of verdicts as a whole."""


def agreement(expected: str, given: str) -> float:
    """How right one verdict is: 1 the same, 0.5 a step off ("unsure" for "safe" or "unsafe"), 0 otherwise."""
    if given not in VERDICTS:
        return 0.0
    return 1 - abs(VERDICTS.index(expected) - VERDICTS.index(given)) / 2


def flip_matrix(pairs: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], int]:
    """How often each pair of verdicts occurs."""
    return dict(sorted(Counter(pairs).items()))


def one_hot(pairs: Iterable[tuple[str, str]]) -> Any:
    """A row a pair (expected, given), a column a combination, 1 where it is this one: 12 columns."""
    places = [VERDICTS.index(expected) * len(GIVEN) + GIVEN.index(given) for expected, given in pairs]
    return np.eye(len(VERDICTS) * len(GIVEN))[places]


def rates(counts: Any) -> dict[str, Any]:
    """The four rates of sets of verdicts, from their summed `one_hot` rows (sets x 12); NaN where one has none.

    Precision has none where nothing was called unsafe, recall where nothing is, F1 where neither; kappa where chance
    alone explains everything (all expected and given alike).
    """
    table = counts.reshape(-1, len(VERDICTS), len(GIVEN))
    unsafe = VERDICTS.index("unsafe")
    hit = table[:, unsafe, unsafe]
    called, there = table[:, :, unsafe].sum(1), table[:, unsafe, :].sum(1)
    total = table.sum((1, 2))
    expected, given = table.sum(2), table.sum(1)
    observed = np.trace(table[:, :, : len(VERDICTS)], axis1=1, axis2=2)
    by_chance = (expected * given[:, : len(VERDICTS)]).sum(1)
    return {
        "precision": _ratio(hit, called),
        "recall": _ratio(hit, there),
        "f1": _ratio(2 * hit, called + there),
        "kappa": _ratio(observed * total - by_chance, total * total - by_chance),
    }


def _ratio(above: Any, below: Any) -> Any:
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below != 0)
