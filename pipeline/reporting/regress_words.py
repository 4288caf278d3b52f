"""What a regression found, in sentences for a terminal and for what refers to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.evaluation.answers import Answer
from pipeline.evaluation.results import Change, Comparison, Evaluation, Moved
from pipeline.providers.replaying import Missed
from pipeline.reporting.visible import visible

_NAMED: Final = 8
"""Samples or figures named in one sentence; the others are counted."""
_SHOWN: Final = 20
"""Samples that are shown with before and after; the page has them all."""
_LINE: Final = 60
"""Characters of an answer in the terminal."""


def verdict(comparison: Comparison) -> str:
    """What the regression comes to; names metric and samples of what got worse, or says what to do with better ones."""
    if comparison.regressed:
        return f"Regressed: {'; '.join(_reasons(comparison))}."
    if comparison.improved:
        better = _figures(change for change in comparison.changes if change.verdict == "better")
        moved = _keys([one for one in comparison.moved if one.verdict == "better"])
        found = "; ".join(part for part in (better, moved) if part)
        return (
            f"Better than the baseline: {found}. To keep it, run the same with --update-baseline and commit the file."
        )
    return "No change beyond noise."


def _reasons(comparison: Comparison) -> Iterator[str]:
    yield from (visible(problem.rstrip(".")) for problem in comparison.problems)
    worse = [change for change in comparison.changes if change.verdict == "worse"]
    overall = {(change.task, change.metric) for change in worse if change.group == "all"}
    # Where the whole set got worse, its groups did too.
    if telling := [one for one in worse if one.group == "all" or (one.task, one.metric) not in overall]:
        yield _figures(telling)
    alarming = [one for one in comparison.moved if one.alarming]
    if alarming:
        yield f"fell by themselves: {_keys(alarming)}"
    elif fell := [one for one in comparison.moved if one.verdict == "worse"]:
        yield f"fell furthest: {_keys(fell)}"
    if comparison.missing:
        yield f"not answered any more: {_listed([f'{key} ({task})' for task, key in comparison.missing])}"


def _figures(changes: Sequence[Change] | Iterator[Change]) -> str:
    return _listed(
        [
            f"{change.task} {change.metric} ({change.group}) {change.before:.3f} -> {change.after:.3f}"
            for change in changes
        ]
    )


def _keys(moved: Sequence[Moved]) -> str:
    return _listed([f"{one.now.key} ({one.now.task} {one.metric})" for one in moved])


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(map(visible, names[:_NAMED])) + (f" and {more} more" if more > 0 else "")


def misses(missed: Sequence[Missed], answers: Sequence[Answer]) -> tuple[str, ...]:
    """A sentence for each thing that changed so that no cassette answers any more, with the samples."""
    asked = {answer.request_sha256: f"{answer.key} ({answer.task})" for answer in answers}
    found: dict[tuple[str, ...], list[Missed]] = {}
    for one in missed:
        found.setdefault(tuple(change.what for change in one.changes), []).append(one)
    sentences = []
    for what, alike in found.items():
        names = [asked.get(one.request_sha256, f"a repair, {one.request_sha256[:12]}") for one in alike]
        because = f"since the recording {' and '.join(what)} changed" if what else "nothing like them was recorded"
        how = f" ({alike[0].changes[0].how})" if what else ""
        which = f"{because}{how}: {_listed(names)}"
        sentences.append(f"No cassette answers {len(alike):,} requests: {which}. Record again if that is meant.")
    return tuple(sentences)


def print_comparison(evaluation: Evaluation, comparison: Comparison | None, console: Console) -> None:
    """The figures over all samples, and the samples that moved with before and after."""
    before = {(one.task, one.metric, one.group): one for one in comparison.changes} if comparison else {}
    table = Table(box=None, pad_edge=False)
    for heading in ("task", "metric", "samples", "before", "now", "noise", ""):
        table.add_column(heading, justify="left" if heading in {"task", "metric", ""} else "right")
    for figure in evaluation.figures:
        change = before.get((figure.task, figure.metric, figure.group))
        if figure.group != "all" and (change is None or change.verdict == "same"):
            continue
        group = "" if figure.group == "all" else f" ({figure.group})"
        past = (f"{change.before:.3f}", f"{change.after:.3f}", f"±{change.band:.3f}", change.verdict) if change else ()
        now = past or ("", f"{figure.value:.3f}", "", "")
        table.add_row(figure.task, escape(figure.metric + group), f"{figure.samples:,}", *now)
    console.print(table)
    moved = comparison.moved if comparison else ()
    for one in moved[:_SHOWN]:
        console.print(escape(_moved_line(one)), highlight=False, soft_wrap=True)
    if len(moved) > _SHOWN:
        console.print(f"... and {len(moved) - _SHOWN:,} more; the page has all of them")


def _moved_line(one: Moved) -> str:
    scores = "" if one.before is one.after is None else f" {one.metric} {_score(one.before)} -> {_score(one.after)}"
    asked = ", asked differently" if one.asked_differently else ""
    was, now = _cut(one.answer_before, one.failure_before), _cut(one.now.answer, one.now.failure)
    return visible(f"{one.verdict}: {one.now.key} ({one.now.task}){scores}{asked}: {was} -> {now}")


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _cut(answer: str | None, failure: str | None) -> str:
    text = " ".join((failure or "nothing").split()) if answer is None else repr(" ".join(answer.split()))
    return text if len(text) <= _LINE else f"{text[: _LINE - 3]}..."
