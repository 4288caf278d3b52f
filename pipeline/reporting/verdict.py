"""What `verify` says: for a person some lines, for a program one object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import Any

from pipeline.ledger.findings import Finding, Findings
from pipeline.ledger.verify import Checked

_WIDTH = 110


def verdict_lines(root: Path, findings: Findings, checked: Checked) -> Iterator[str]:
    """What was checked, then what was found, the verdict last."""
    yield str(root).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    for name, figures in _figures(checked):
        yield f"  {name:<10}{figures}"
    for finding in findings.damage():
        yield from _told(finding, finding.flaw.invariant)
    for note in findings.notes():
        yield from _told(note, "note")
    yield ""
    broken, notes = len(findings.damage()), len(findings.notes())
    aside = f" ({_count(notes, 'note')}, no damage)" if notes and not broken else ""
    yield f"verify: {_count(broken, 'finding')}" if broken else f"verify: ok{aside}"


def verdict(findings: Findings, checked: Checked) -> dict[str, Any]:
    """The same for `--json`."""
    return {
        "ok": not findings.damage(),
        "findings": _listed(findings.damage()),
        "notes": _listed(findings.notes()),
        "checked": asdict(checked),
    }


def _figures(checked: Checked) -> Iterator[tuple[str, str]]:
    yield "tasks", ", ".join(checked.tasks) or "none yet"
    retired = f", and {checked.retired_shards:,} retired" if checked.retired_shards else ""
    active = _count(checked.shards - checked.retired_shards, "shard")
    yield "planned", f"{_count(checked.questions, 'question')} in {active}{retired}; {checked.left:,} to do"
    everywhere = ", those in retired shards included" if checked.retired_shards else ""
    yield "answered", f"{checked.answered:,} in {_count(checked.parts, 'part')}{everywhere}"
    again = f", {checked.retryable:,} of them to be tried again" if checked.retryable else ""
    yield "failed", f"{checked.failed:,} in {_count(checked.snapshots, 'snapshot')}{again}"
    waiting = f", {_count(checked.uncommitted, 'row')} not committed yet" if checked.uncommitted else ""
    yield "journal", f"{_count(checked.frames, 'frame')} in {_count(checked.segments, 'segment')}{waiting}"
    cost = "unknown" if checked.cost_usd is None else f"${checked.cost_usd:,.4f}"
    yield "cost", f"{cost} over the life of the output"
    yield "_SUCCESS", "stands" if checked.success else "is not there"


def _told(finding: Finding, mark: str) -> Iterator[str]:
    flaw = finding.flaw
    yield ""
    often = f" ({finding.count:,})" if finding.count > 1 else ""
    yield _paragraph(f"{mark}: {flaw.what}{often}", "", "    ")
    for place in finding.places:
        yield f"    {place}"
    yield _paragraph(flaw.advice, "    -> ", "       ")


def _paragraph(text: str, first: str, further: str) -> str:
    return fill(text, _WIDTH, initial_indent=first, subsequent_indent=further, break_long_words=False)


def _listed(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [
        {
            "invariant": finding.flaw.invariant,
            "code": finding.code,
            "what": finding.flaw.what,
            "count": finding.count,
            "where": finding.places,
            "advice": finding.flaw.advice,
        }
        for finding in findings
    ]


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
