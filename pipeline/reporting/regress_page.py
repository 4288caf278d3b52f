"""The page of a regression: one HTML file that needs nothing else, for a person who wants to see what changed.

All that comes from pictures, labels and models is hostile. Jinja2 escapes every value, `visible` writes out what
escaping leaves, and the page's policy lets nothing run but its own script and nothing be fetched at all.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.evaluation.results import Comparison, Evaluation
from pipeline.reporting.regress_figures import CHART_WIDTH, figure_tables
from pipeline.reporting.regress_samples import picture_cards, places
from pipeline.reporting.visible import shortened, visible

_LISTED: Final = 20
"""Names in a list of the verdict; the others are counted."""


def regress_page(
    title: str, evaluation: Evaluation, comparison: Comparison | None, thumbnails: Mapping[str, bytes]
) -> str:
    """HTML, fit for UTF-8. `comparison` is None without a baseline; `thumbnails` are JPEGs by a sample's key."""
    pages = Environment(
        loader=PackageLoader("pipeline", "reporting/templates"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"shortened": shortened, "verdicts": _verdicts}
    pages.globals |= {"listed": _LISTED, "chart_width": CHART_WIDTH}
    cards = picture_cards(evaluation, comparison, thumbnails)
    samples = evaluation.samples
    return pages.get_template("regress.html.j2").render(
        title=title,
        evaluation=evaluation,
        comparison=comparison,
        headline=_headline(comparison),
        tables=figure_tables(evaluation, comparison),
        cards=cards,
        alarms=list(places(cards)),
        failures=sum(sample.answer is None for sample in samples),
        moved=sum(bool(question.moves) for card in cards for question in card.questions),
        tasks=_each(sample.task for sample in samples),
        categories=sorted({sample.category for sample in samples}),
        languages=sorted({language for sample in samples for language in sample.languages}),
        policy=_policy(pages),
    )


def _shown(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _policy(pages: Environment) -> str:
    """The Content-Security-Policy: pictures inside the page, its one style and its one script by their hashes."""

    def source(name: str) -> str:
        return f"'sha256-{b64encode(sha256(pages.get_template(name).render().encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; img-src data:; style-src {source('regress.css')}; "
        f"script-src {source('regress.js')}; base-uri 'none'; form-action 'none'"
    )


def _headline(comparison: Comparison | None) -> tuple[str, str]:
    """The verdict as a class of the style sheet, and in words."""
    if comparison is None:
        return "same", "No baseline yet"
    if comparison.regressed:
        return "worse", "Regressed"
    return ("better", "Better") if comparison.improved else ("same", "No change")


def _each(names: Iterable[str]) -> list[str]:
    """Each once, in order."""
    return list(dict.fromkeys(names))


def _verdicts(counts: Mapping[tuple[str, str], int]) -> list[str]:
    """What a flip matrix has as rows and columns."""
    return sorted({verdict for pair in counts for verdict in pair})
