"""What a regression says in a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from pipeline.evaluation.results import Change, Comparison, Evaluation, Moved, Sample
from pipeline.reporting.regress_words import print_comparison, verdict

WORSE = Change("ocr", "cer", "all", 20, 0.01, 0.08, 0.03, "worse")


def moved(key: str, *, alarming: bool = False, answer: str = "now") -> Moved:
    now = Sample("ocr", "ocr", key, key, "doc", answer=answer, scores={"cer": 0.5})
    return Moved(now, "before", None, "cer", 0.0, 0.5, "worse", alarming=alarming)


def test_a_figure_that_got_worse_is_told_with_the_samples_that_fell() -> None:
    said = verdict(Comparison((WORSE,), (moved("a.png"), moved("b.png"))))
    assert said == ("Regressed: ocr cer (all) 0.010 -> 0.080; fell furthest: a.png (ocr cer), b.png (ocr cer).")


def test_groups_of_what_got_worse_as_a_whole_are_not_told_again() -> None:
    group = Change("ocr", "cer", "category: doc", 9, 0.01, 0.2, 0.05, "worse")
    assert "category: doc" not in verdict(Comparison((WORSE, group), ()))
    assert "category: doc" in verdict(Comparison((group,), ()))


def test_many_samples_are_counted() -> None:
    said = verdict(Comparison((), tuple(moved(f"{number}.png", alarming=True) for number in range(30))))
    assert "7.png (ocr cer) and 22 more" in said


def test_what_is_better_says_how_to_keep_it() -> None:
    better = Change("ocr", "cer", "all", 20, 0.08, 0.01, 0.03, "better")
    assert "--update-baseline" in verdict(Comparison((better,), ()))
    assert verdict(Comparison((), ())) == "No change beyond noise."


def test_no_name_or_answer_steers_the_terminal() -> None:
    hostile = moved("a\x1b]0;owned\x07[bold].png", alarming=True, answer="\x1b[31m[red]\u202e")
    comparison = Comparison((WORSE,), (hostile,))
    out = io.StringIO()
    print_comparison(Evaluation((), ()), comparison, Console(file=out, width=200))
    said = out.getvalue() + verdict(comparison)
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "\u202e" not in said
    assert "[bold].png" in out.getvalue()
    assert "[red]" in out.getvalue()
