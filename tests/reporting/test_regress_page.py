"""The regression's page as text: it says what happened, and what strangers wrote stays text."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.results import Change, Comparison, Evaluation, Figure, Moved, Sample
from pipeline.reporting.regress_page import regress_page
from tests.reporting.hostile import PAYLOADS, hostile_comparison, hostile_evaluation

_VOID = {"meta", "img", "input"}


class Read(HTMLParser):
    """Elements with their attributes, and the text outside of script and style. Fails on tags that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), "no attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] not in (["script"], ["style"]):
            self.text += data

    def skeleton(self) -> list[tuple[str, tuple[str, ...]]]:
        """Which elements have which attributes."""
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]


SAMPLE = Sample("read", "ocr", "a", "a.png", "doc", ("de",), ("table",), "now", None, "truth", {"cer": 0.2, "wer": 0.3})
NOW = Evaluation((SAMPLE,), (Figure("read", "cer", "all", 1, 0.2, 0.1, 0.3),))
SAME = Comparison((Change("read", "cer", "all", 1, 0.2, 0.2, 0.01, "same"),), ())
MOVED = Moved(SAMPLE, "then", None, "cer", 0.1, 0.2, "worse")


def written(one: str) -> tuple[Evaluation, Comparison]:
    """The same text in every field."""
    sample = Sample(one, one, one, one, one, (one,), (one,), one, None, one, {one: 0.5})
    failed = replace(sample, key=one + "2", answer=None, failure=one)
    flips = {one: {(one, "safe"): 1}}
    now = Evaluation((sample, failed), (Figure(one, one, one, 1, 0.5, 0.4, 0.6),), flips)
    change = Change(one, one, one, 1, 0.4, 0.5, 0.01, "worse")
    moved = (
        Moved(sample, "before", None, one, 0.4, 0.5, "worse", alarming=True),
        Moved(failed, None, one, one, None, None, "worse", alarming=True),
    )
    return now, Comparison((change,), moved, ((one, one),), ((one, one),), flips, (one,))


@pytest.mark.parametrize(
    ("comparison", "headline"),
    [
        (None, "No baseline yet"),
        (SAME, "No change"),
        (replace(SAME, changes=(replace(SAME.changes[0], before=0.4, verdict="better"),)), "Better"),
        (replace(SAME, changes=(replace(SAME.changes[0], before=0.1, verdict="worse"),)), "Regressed"),
        (replace(SAME, problems=("3 answers are in no cassette.",)), "Regressed"),
        (replace(SAME, missing=(("read", "gone.png"),)), "Regressed"),
    ],
)
def test_the_verdict_comes_first_and_in_words(comparison: Comparison | None, headline: str) -> None:
    read = Read(regress_page("The samples", NOW, comparison, {}))
    title, verdict = f"{headline}: The samples", f" {headline}\n"
    assert -1 < read.text.index(title) < read.text.index(verdict) < read.text.index("Figures")
    assert ("--update-baseline" in read.text) == (headline in ("Better", "No baseline yet"))


def test_a_figure_stands_beside_the_baseline_with_band_and_interval() -> None:
    change = Change("read", "cer", "all", 1, 0.123, 0.2, 0.011, "worse")
    read = Read(regress_page("t", NOW, replace(SAME, changes=(change,)), {}))
    (chart,) = [attributes for tag, attributes in read.elements if tag == "svg"]
    assert chart["aria-label"] == "0.200, 95 % interval 0.100 to 0.300, baseline 0.123 ± 0.011"
    for shown in ("0.123", "0.200", "0.100 – 0.300", "± 0.011", "✕ worse", "0 to 0.5"):
        assert shown in read.text
    drawn = {attributes.get("class"): attributes for _, attributes in read.elements}
    assert drawn["value"]["cx"] == "64.0", "0.2 of 0.5, on 160 units"
    assert (drawn["interval"]["x1"], drawn["interval"]["x2"]) == ("32.0", "96.0")
    assert drawn["before"]["x1"] == "39.4"


def test_what_moved_comes_first_and_opened_with_the_reason_of_a_failure() -> None:
    calm = replace(SAMPLE, key="calm")
    failed = replace(SAMPLE, key="broken", answer=None, failure="cut: 512 tokens were not enough")
    moved = Moved(failed, "then", None, "cer", 0.1, None, "worse", alarming=True, asked_differently=True)
    now = Evaluation((calm, SAMPLE, failed), NOW.figures)
    read = Read(regress_page("t", now, Comparison((), (MOVED, moved)), {}))
    order = [read.text.rindex(key) for key in ("broken", "a.png", "calm")]
    assert read.text.index("Failed: cut: 512 tokens were not enough") > 0
    assert "Asked differently than for the baseline" in read.text
    opened = {attributes["id"]: "open" in attributes for tag, attributes in read.elements if "data-task" in attributes}
    assert opened == {"sample-3": True, "sample-2": True, "sample-1": False}
    assert list(opened) == ["sample-3", "sample-2", "sample-1"]
    assert order[0] < order[2]
    assert any(tag == "a" and attributes["href"] == "#sample-3" for tag, attributes in read.elements)


def test_questions_about_one_picture_share_its_thumbnail() -> None:
    now = Evaluation((SAMPLE, replace(SAMPLE, task="caption"), replace(SAMPLE, key="b")), ())
    page = regress_page("t", now, None, {"a": b"\xff\xd8small"})
    assert page.count("data:image/jpeg;base64,/9hzbWFsbA==") == 1
    assert "no picture to show" in Read(page).text


def test_without_a_script_all_of_it_can_be_read() -> None:
    elements = Read(regress_page("t", NOW, SAME, {})).elements
    hidden = [attributes.get("id") for _, attributes in elements if "hidden" in attributes]
    assert hidden == ["filters", "nothing"]


def test_nothing_outside_is_named_and_nothing_is_let_in() -> None:
    page = regress_page("t", NOW, SAME, {})
    assert re.findall(r"https?://|//[a-z]|@import|url\(", page) == []
    (policy,) = [attributes["content"] for _, attributes in Read(page).elements if "http-equiv" in attributes]
    assert re.fullmatch(
        r"default-src 'none'; img-src data:; style-src 'sha256-\S{44}'; script-src 'sha256-\S{44}'; "
        r"base-uri 'none'; form-action 'none'",
        policy or "",
    )


def test_payloads_in_every_field_stay_text() -> None:
    now = hostile_evaluation()
    page = regress_page(PAYLOADS[0], now, hostile_comparison(now), {})
    page.encode("utf-8")
    tags = {tag for tag, _ in Read(page).elements}
    assert tags.isdisjoint({"iframe", "img", "base", "b", "textarea"})
    assert page.count("<script") == 1
    assert "{{ 7 * 7 }}{% raw %}" in page
    for invisible in "\0\u202e\u2066":
        assert invisible not in page
    assert "⟨U+0000⟩" in page
    assert "⟨U+202E⟩gnp.exe" in page
    assert "⟨U+D800⟩" in page


PLAIN = Read(regress_page("x", *written("x"), {})).skeleton()


@settings(max_examples=60)
@given(st.text(alphabet=st.sampled_from("<>\"'&/=`-!\\ \n\0\r\u202e\ud800{}%#;ax"), min_size=1, max_size=30))
def test_no_text_changes_what_elements_and_attributes_there_are(text: str) -> None:
    now, comparison = written(text)
    # The differences mark other stretches in another text.
    marks = {"ins", "del"}
    skeleton = Read(regress_page(text, now, comparison, {})).skeleton()
    assert [one for one in skeleton if one[0] not in marks] == [one for one in PLAIN if one[0] not in marks]


def test_two_thousand_samples_make_a_page_of_a_few_megabytes() -> None:
    samples = tuple(
        replace(SAMPLE, key=f"{number}", task=task, answer="word " * 60, reference="word " * 60)
        for number in range(667)
        for task in ("caption", "ocr", "moderate")
    )
    moved = tuple(Moved(one, "words " * 60, None, "cer", 0.1, 0.2, "worse") for one in samples[::20])
    page = regress_page("t", Evaluation(samples, ()), Comparison((), moved), {f"{n}": b"x" * 3_200 for n in range(667)})
    assert page.count('class="card"') == 667
    assert len(page.encode()) < 7_000_000
