"""Reports of a regression that strangers' texts cannot break: JUnit XML and Markdown."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.junit import junit
from pipeline.evaluation.markdown import escaped, fenced, markdown
from pipeline.evaluation.results import Change, Comparison, Evaluation, Moved, Sample
from tests.evaluation.scripted import SAMPLES, compared, run, up_to, with_texts

HOSTILE = (
    "</failure>]]>\x00\x1b[31m\ud800\ufffe|<script>alert(1)</script>\n```\n````\n"
    "# title @octocat #1 https://x.test `a|b`"
)
RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table"])


def parsed(document: str) -> Xml.Element:
    return Xml.fromstring(document)  # noqa: S314 - what the product wrote


def hostile() -> tuple[Evaluation, Comparison]:
    sample = Sample(HOSTILE, "ocr", HOSTILE, HOSTILE, HOSTILE, answer=HOSTILE, scores={"cer": 0.9})
    moved = Moved(sample, HOSTILE, None, "cer", 0.1, 0.9, "worse", alarming=True)
    change = Change(HOSTILE, "cer", f"tag: {HOSTILE}", 1, 0.1, 0.9, 0.05, "worse")
    gone = ((HOSTILE, HOSTILE + "2"),)
    return Evaluation((sample,), ()), Comparison((change,), (moved,), gone, gone, {}, (HOSTILE,))


def test_what_changed_is_a_failed_case_with_before_and_after() -> None:
    before, now = run(SAMPLES, 0, up_to(0.06)), run(SAMPLES, 1, up_to(0.06))
    comparison = compared(SAMPLES, before, with_texts(now, {("ocr", "syn-table"): "nothing to see"}))
    root = parsed(junit(evaluate(SAMPLES, now), comparison))
    assert [suite.get("name") for suite in root] == ["caption", "ocr", "moderate"]
    failed = [case for case in root.iter("testcase") if case.find("failure") is not None]
    assert (failed[0].get("classname"), failed[0].get("name")) == ("ocr", "syn-table")
    # Its tags' figures fell with it, where it is the only one that has them; nothing else did.
    assert {case.get("name", "").split(", ")[-1] for case in failed[1:]} <= {"tag: table", "tag: sans"}
    told = failed[0].find("failure")
    assert told is not None
    assert "cer" in told.get("message", "")
    assert "nothing to see" in (told.text or "")
    assert root.get("failures") == str(len(failed))
    assert int(root.get("tests", "0")) >= 33 + 23


def test_a_figure_that_got_worse_is_a_failed_case() -> None:
    before, now = run(SAMPLES, 0, up_to(0.06)), run(SAMPLES, 1, up_to(0.06, 0.1))
    comparison = compared(SAMPLES, before, now)
    root = parsed(junit(evaluate(SAMPLES, now), comparison))
    failed = {case.get("name") for case in root.iter("testcase") if case.find("failure") is not None}
    assert "cer, all" in failed
    assert "**worse**" in markdown(evaluate(SAMPLES, now), comparison)


def test_hostile_text_leaves_the_xml_whole() -> None:
    root = parsed(junit(*hostile()))
    assert [suite.get("failures") for suite in root] == ["3", "1"]
    assert not list(root.iter("script"))


def test_hostile_text_stays_in_its_cell_and_its_fence() -> None:
    text = markdown(*hostile())
    html = RENDERER.render(text.encode("utf-8").decode())
    assert "<script" not in html
    assert "<a " not in html
    assert html.count("<h1") == 0
    assert html.count("<tr") == 2
    assert html.count("<td") == 8
    assert html.count("<pre>") == 2
    outside = re.sub(r"<pre>.*?</pre>", "", html, flags=re.DOTALL)
    assert not re.search(r"@octocat|#1\b", outside)
    assert text.count("https://") == 2, "only in the fences: anywhere else it would become a link"


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("`~|<>*_-+#@[]()\\\n\r\x85\u2028 a1.:!&;"), max_size=30))
@example("a\n```\n# b")
@example("a\n`````\n# b")
def test_any_text_is_only_text(text: str) -> None:
    line = RENDERER.parse(f"x {escaped(text)}")
    assert [token.type for token in line] == ["paragraph_open", "inline", "paragraph_close"]
    assert {child.type for child in line[1].children or ()} <= {"text", "text_special"}
    row = RENDERER.parse(f"| a | b |\n|---|---|\n| {escaped(text)} | c |")
    assert [token.type for token in row].count("td_open") == 2
    assert [token.type for token in RENDERER.parse(fenced(text) + "\nend")] == [
        "fence", "paragraph_open", "inline", "paragraph_close",
    ]  # fmt: skip


def test_the_verdict_comes_first_and_long_answers_are_cut_where_they_differ() -> None:
    sample = Sample("ocr", "ocr", "page", "page.png", "doc", answer="a" * 5000 + "NEW" + "c" * 5000)
    moved = Moved(sample, "a" * 5000 + "OLD" + "c" * 5000, None, "cer", 0.1, 0.9, "worse", alarming=True)
    text = markdown(Evaluation((sample,), ()), Comparison((), (moved,)))
    assert text.startswith("## Regression\n\n1 sample fell")
    assert "OLD" in text
    assert "NEW" in text
    assert len(text) < 1500
    assert markdown(Evaluation((sample,), ()), Comparison((), ())).startswith("## No change")
    better = replace(moved, alarming=False, verdict="better")
    assert "--update-baseline" in markdown(Evaluation((sample,), ()), Comparison((), (better,)))


@pytest.mark.parametrize("mark", ["a", "漢", "<", "_", "@", "`", "\U0001f600"])
def test_a_comment_is_never_longer_than_github_takes_and_says_what_is_left_out(mark: str) -> None:
    samples = [Sample(f"{n}" + mark * 80, "ocr", f"{n}" + mark * 80, "", "", answer=mark * 600) for n in range(200)]
    moved = tuple(Moved(one, f"x{mark}" * 300, None, "cer", 0.1, 0.9, "worse", alarming=True) for one in samples)
    changes = tuple(Change(one.task, "cer", f"tag: {one.key}", 1, 0.1, 0.9, 0.05, "worse") for one in samples)
    places = tuple((one.task, one.key) for one in samples)
    flips = {one.task: {("safe", "unsafe"): 3} for one in samples}
    problems = tuple(f"{n}" + mark * 700 for n in range(200))
    text = markdown(Evaluation(tuple(samples), ()), Comparison(changes, moved, places, places, flips, problems))
    assert len(text) < 65_536
    shown = len(re.findall(r"^Before:$", text, re.MULTILINE))
    assert shown > 3
    assert f"And {200 - shown} more samples." in text
    assert re.search(r"^And 1\d\d more figures\.$", text, re.MULTILINE)
    assert re.search(r"^And 1\d\d more tasks", text, re.MULTILINE)
    assert len(re.findall(r"^- and 1\d\d more$", text, re.MULTILINE)) == 3
