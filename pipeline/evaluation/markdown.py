"""A regression as Markdown, for a comment on a pull request: the verdict, what changed, and the samples that moved.

Keys, groups and answers were written by strangers: outside of fences everything is escaped, and a fence is longer than
any run of backticks within it. GitHub takes comments of at most 65,536 characters: long lists and answers are cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

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
        for one in shown[:_ROWS]
    ]
    head = "| task | metric | group | samples | before | after | noise | |\n|---|---|---|--:|--:|--:|--:|---|"
    yield "\n".join([head, *rows])
    if len(shown) > _ROWS:
        yield f"And {len(shown) - _ROWS} more figures."


def _flips(flips: Mapping[str, Mapping[tuple[str, str], int]]) -> Iterator[str]:
    for task, counts in flips.items():
        turned = [f"{before} → {now}: {count}" for (before, now), count in counts.items() if before != now]
        if turned:
            yield f"Verdicts of {escaped(task)} that changed: {escaped(', '.join(turned))}."


def _samples(moved: Sequence[Moved]) -> Iterator[str]:
    if not moved:
        return
    yield "### Samples that moved"
    for one in moved[:_MOVED]:
        before, after = excerpts(one, _LENGTH)
        asked = ", asked differently" if one.asked_differently else ""
        yield (
            f"{_SIGNS[one.verdict]} {escaped(one.now.task)}: {escaped(one.now.key)}, {one.metric} "
            f"{escaped(span(one.before, one.after))}{asked}\n\nBefore:\n{fenced(before)}\nAfter:\n{fenced(after)}"
        )
    if len(moved) > _MOVED:
        yield f"And {len(moved) - _MOVED} more samples."


def _listed(title: str, entries: Sequence[str]) -> Iterator[str]:
    if entries:
        more = [f"- and {len(entries) - _MOVED} more"] if len(entries) > _MOVED else []
        yield "\n".join([f"### {title}\n", *(f"- {escaped(one, 600)}" for one in entries[:_MOVED]), *more])


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
