"""A regression as JUnit XML, for a continuous integration that shows tests: a suite a task, a case a sample or figure.

The form is that of the Jenkins xUnit plugin's schema (junit-10.xsd), which GitLab and GitHub's reporters read too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree as Xml

from pipeline.evaluation.excerpt import excerpts
from pipeline.evaluation.results import Change, Comparison, Evaluation, Moved, Sample

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped."""

_Case = tuple[str, str | None, str]
"""A case's name, what is wrong with it in a line (None: nothing), and at length."""


def junit(evaluation: Evaluation, comparison: Comparison) -> str:
    """The document, without characters that XML cannot hold."""
    root = Xml.Element("testsuites", name="vlm-batch regress")
    tasks = dict.fromkeys([one.task for one in evaluation.samples] + [task for task, _ in comparison.missing])
    for task in tasks:
        _suite(root, task, [*_samples(task, evaluation, comparison), *_figures(task, comparison)])
    if comparison.problems:
        _suite(root, "run", [(f"problem {number}", said, said) for number, said in enumerate(comparison.problems, 1)])
    for total in ("tests", "failures"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _suite(root: Xml.Element, name: str, cases: list[_Case]) -> None:
    failures = sum(problem is not None for _, problem, _ in cases)
    suite = Xml.SubElement(root, "testsuite", name=_safe(name), tests=str(len(cases)), failures=str(failures))
    for case, problem, details in cases:
        element = Xml.SubElement(suite, "testcase", classname=_safe(name), name=_safe(case))
        if problem is not None:
            Xml.SubElement(element, "failure", message=_safe(problem), type="regression").text = _safe(details)


def _samples(task: str, evaluation: Evaluation, comparison: Comparison) -> Iterator[_Case]:
    alarming = {one.now.key: one for one in comparison.moved if one.alarming and one.now.task == task}
    for sample in evaluation.samples:
        if sample.task == task:
            yield _sample(sample, alarming.get(sample.key))
    for key in (key for of, key in comparison.missing if of == task):
        yield key, "missing", "The baseline has this sample, the run has no row for it."


def _sample(sample: Sample, moved: Moved | None) -> _Case:
    if moved is None:
        return sample.key, None, ""
    before, after = excerpts(moved, 2000)
    asked = "\nIt was asked differently: the request is another one." if moved.asked_differently else ""
    return sample.key, f"{moved.metric} {span(moved.before, moved.after)}", f"before: {before}\nafter:  {after}{asked}"


def _figures(task: str, comparison: Comparison) -> Iterator[_Case]:
    for change in comparison.changes:
        if change.task == task and change.verdict != "same":
            worse = f"{change.metric} {span(change.before, change.after)}" if change.verdict == "worse" else None
            yield f"{change.metric}, {change.group}", worse, _details(change)


def _details(change: Change) -> str:
    return (
        f"before {change.before:.4f}, after {change.after:.4f} over {change.samples} samples; "
        f"up to {change.band:.4f} would be noise"
    )


def span(before: float | None, after: float | None) -> str:
    """Two scores as "0.031 -> 0.950"; a score that is not there is a dash."""
    return " -> ".join("-" if value is None else f"{value:.3f}" for value in (before, after))


def _safe(text: str) -> str:
    return _NOT_XML.sub("�", text)
