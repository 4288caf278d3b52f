"""What `check` found out about a server, line by line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from rich.console import Console

Mark = Literal["fine", "wrong", "open"]
_SIGNS: Final[Mapping[Mark, str]] = {"fine": "✓", "wrong": "✗", "open": "?"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. Open is what the server did not tell, or what a run can do without."""

    topic: str
    mark: Mark
    said: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """All findings, and what finding out has cost: calls, tokens and USD, None where the server or we cannot tell."""

    findings: Sequence[Finding]
    calls: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None

    @property
    def fine(self) -> bool:
        """Whether nothing is missing that a run needs."""
        return all(finding.mark != "wrong" for finding in self.findings)


def as_json(probe: Probe) -> dict[str, Any]:
    """For a program."""
    return {"fine": probe.fine, **asdict(probe)}


def print_probe(probe: Probe, console: Console) -> None:
    """For a person."""
    for finding in probe.findings:
        advice = f" {finding.advice}" if finding.advice else ""
        line = f"{_SIGNS[finding.mark]} {finding.topic:<7} {finding.said}{advice}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    tokens = ", ".join(
        f"{'an unknown number of' if count is None else format(count, ',')} tokens {way}"
        for count, way in ((probe.prompt_tokens, "in"), (probe.completion_tokens, "out"))
    )
    cost = "an unknown price" if probe.cost_usd is None else f"${probe.cost_usd:,.6f}"
    console.print(f"{probe.calls} calls, {tokens}, {cost}. No output was touched.", highlight=False, soft_wrap=True)
