"""A regression as Markdown, for a comment on a pull request: the verdict, what changed, and the samples that moved.

Keys, groups and answers were written by strangers: outside of fences everything is escaped, and a fence is longer than
any run of backticks within it. GitHub takes comments of at most 65,536 characters: every list ends after so many
entries, and after so many characters as they are written, since a hostile one becomes a dozen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from pipeline.evaluation.excerpt import excerpts
from pipeline.evaluation.junit import span
from pipeline.evaluation.metrics import METRICS
from pipeline.evaluation.results import Change, Comparison, Evaluation, Moved

_MOVED = 30
"""Samples shown at most."""
_ROWS = 100
"""Figures shown at most."""
_LENGTH = 400
"""Characters of an answer shown at most."""
_NAMES = 80
"""Characters of a key or group shown at most."""
_LIST_ROOM, _FIGURES_ROOM, _FLIPS_ROOM, _SAMPLES_ROOM = 6_500, 14_000, 1_000, 28_000
"""Characters that each of the three lists, the figures, the changed verdicts and the samples take: 62,500 in all."""
_SIGNS = {"worse": "**worse**", "better": "better", "same": "same"}


def markdown(evaluation: Evaluation, comparison: Comparison) -> str:
    """The comment."""
    blocks = [
        _verdict(evaluation, comparison),
        *_listed("Problems", comparison.problems),
        *_listed("Missing, though the baseline has them", [f"{task}: {key}" for task, key in comparison.missing]),
        *_figures(comparison.changes),
        *_flips(comparison.flips),
        *_samples(comparison.moved),
        *_listed("New, not in the baseline", [f"{task}: {key}" for task, key in comparison.added]),
    ]
    return "\n\n".join(blocks) + "\n"


def _verdict(evaluation: Evaluation, comparison: Comparison) -> str:
    worse = sum(change.verdict == "worse" for change in comparison.changes)
    fell = sum(one.alarming for one in comparison.moved)
    if comparison.regressed:
        parts = [
            f"{worse} figure{'s' * (worse != 1)} got worse" if worse else "",
            f"{fell} sample{'s' * (fell != 1)} fell by more than noise" if fell else "",
            f"{len(comparison.missing)} missing" if comparison.missing else "",
            "see the problems below" if comparison.problems else "",
        ]
        title, told = "Regression", "; ".join(part for part in parts if part)
    elif comparison.improved:
        title, told = "Better", "nothing got worse. Consider a new baseline: `--update-baseline`"
    else:
        title, told = "No change", "all that moved is within noise"
    samples = len({one.key for one in evaluation.samples})
    return f"## {title}\n\n{told[:1].upper()}{told[1:]}. {samples} pictures, {len(evaluation.samples)} answers."


def _figures(changes: Sequence[Change]) -> Iterator[str]:
    shown = [change for change in changes if change.group == "all" or change.verdict != "same"]
    shown.sort(key=lambda change: change.verdict != "worse")
    if not shown:
        return
    rows = [
        f"| {escaped(one.task)} | {one.metric} ({METRICS[one.metric].better} is better) | {escaped(one.group)} | "
        f"{one.samples} | {one.before:.3f} | {one.after:.3f} | ±{one.band:.3f} | {_SIGNS[one.verdict]} |"
        for one in shown
    ]
    head = "| task | metric | group | samples | before | after | noise | |\n|---|---|---|--:|--:|--:|--:|---|"
    fitting = _fitting(rows, _ROWS, _FIGURES_ROOM)
    yield "\n".join([head, *fitting])
    if more := len(rows) - len(fitting):
        yield f"And {more} more figures."


def _flips(flips: Mapping[str, Mapping[tuple[str, str], int]]) -> Iterator[str]:
    told = []
    for task, counts in flips.items():
        turned = [f"{before} → {now}: {count}" for (before, now), count in counts.items() if before != now]
        if turned:
            told.append(f"Verdicts of {escaped(task)} that changed: {escaped(', '.join(turned))}.")
    fitting = _fitting(told, _MOVED, _FLIPS_ROOM)
    yield from fitting
    if more := len(told) - len(fitting):
        yield f"And {more} more tasks whose verdicts changed."


def _samples(moved: Sequence[Moved]) -> Iterator[str]:
    if not moved:
        return
    yield "### Samples that moved"
    fitting = _fitting([_sample(one) for one in moved[:_MOVED]], _MOVED, _SAMPLES_ROOM)
    yield from fitting
    if more := len(moved) - len(fitting):
        yield f"And {more} more samples."


def _sample(one: Moved) -> str:
    before, after = excerpts(one, _LENGTH)
    asked = ", asked differently" if one.asked_differently else ""
    return (
        f"{_SIGNS[one.verdict]} {escaped(one.now.task)}: {escaped(one.now.key)}, {one.metric} "
        f"{escaped(span(one.before, one.after))}{asked}\n\nBefore:\n{fenced(before)}\nAfter:\n{fenced(after)}"
    )


def _listed(title: str, entries: Sequence[str]) -> Iterator[str]:
    if entries:
        fitting = _fitting([f"- {escaped(one, 500)}" for one in entries[:_MOVED]], _MOVED, _LIST_ROOM)
        left_out = len(entries) - len(fitting)
        more = [f"- and {left_out} more"] if left_out else []
        yield "\n".join([f"### {title}\n", *fitting, *more])


def _fitting(entries: Sequence[str], most: int, room: int) -> list[str]:
    """The first entries: at most so many, and as many as there is room for, in characters."""
    lengths = accumulate(len(one) + 2 for one in entries[:most])
    return [one for one, length in zip(entries, lengths, strict=False) if length <= room]


def escaped(text: str, limit: int = _NAMES) -> str:
    """Text that is only text in a line or a table's cell: no markup, link, mention, or end of the cell."""
    line = " ".join(text.split())
    line = line if len(line) <= limit else line[:limit] + "…"
    entities = re.sub(r"[^\w\s.,:;/()…→-]|[_]", lambda found: _entity(found[0]), line)
    # An address becomes a link, and a dash or number at the beginning a list, without any mark around them.
    return re.sub(r"(?i)(https?|ftp)(:)|(www)(\.)|^([-+]|\d+(?=[.)]))", _unlinked, entities)


def _entity(mark: str) -> str:
    """A character by its number. Behind @ and # a word joiner: GitHub looks for mentions in what is rendered."""
    return f"&#{ord(mark)};" + ("&#8288;" if mark in "@#" else "")


def _unlinked(found: re.Match[str]) -> str:
    mark = found[2] or found[4]
    if mark:
        return f"{found[1] or found[3]}&#{ord(mark)};"
    return found[0][:-1] + f"&#{ord(found[0][-1])};"


def fenced(text: str) -> str:
    """Text in a fence that it cannot close."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    safe = re.sub(r"[^\S\n]|[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff]", " ", "\n".join(text.splitlines()))
    return f"{fence}text\n{safe}\n{fence}"
