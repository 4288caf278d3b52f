"""The regression's page as a person's browser shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.reporting.regress_page import regress_page
from tests.reporting import regressions
from tests.reporting.hostile import PAYLOADS, hostile_comparison, hostile_evaluation
from tests.support.browser import Page, browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.fixture(scope="module")
def sample_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    now = regressions.evaluation()
    path = tmp_path_factory.mktemp("page") / "report.html"
    page = regress_page("The samples", now, regressions.comparison(now), regressions.small_pictures())
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture
def page(chromium: Page, sample_page: Path) -> Page:
    chromium.complaints.clear()
    chromium.requests.clear()
    chromium.open(sample_page)
    return chromium


def chosen(page: Page, name: str, value: str) -> str:
    """Choose in a filter, and what the page says then of how much it shows."""
    page.value(
        f"""(() => {{
            const select = document.querySelector('[data-filter="{name}"]');
            select.value = "={value}";
            select.dispatchEvent(new Event("input", {{bubbles: true}}));
        }})()"""
    )
    return str(page.value("document.getElementById('shown').textContent"))


def typed(page: Page, text: str) -> str:
    page.value("document.getElementById('words').focus()")
    page.ask("Input.insertText", text=text)
    return str(page.value("document.getElementById('shown').textContent"))


SHOWN = "[...document.querySelectorAll('.card')].filter((card) => card.offsetHeight)"


def test_every_picture_is_shown_and_nothing_is_fetched_or_complained_of(page: Page) -> None:
    widths = page.value(
        """Promise.all([...document.querySelectorAll(".card img")].map(async (image) => {
            image.scrollIntoView();
            await image.decode();
            return image.naturalWidth;
        }))"""
    )
    assert len(widths) == 33
    assert all(0 < width <= 160 for width in widths)
    assert [one[:40] for one in page.requests if not one.startswith(("file:", "data:image/jpeg"))] == []
    assert page.complaints == [], "its own style and script are what the policy lets in"


def test_a_category_hides_the_others_and_counts(page: Page) -> None:
    assert chosen(page, "category", "sign").startswith("9 of ")
    assert page.value(f"{SHOWN}.map((card) => card.querySelector('h3').textContent)") == [
        "sign-give-way",
        "sign-motorway-m1",
        "sign-wet-paint",
    ]
    assert chosen(page, "task", "ocr").startswith("3 of ")
    assert page.value("document.querySelector('.card:not([hidden]) [data-task=\"=caption\"]').offsetHeight") == 0


def test_a_language_moved_only_and_text_narrow_it_down(page: Page) -> None:
    assert chosen(page, "language", "he").startswith("3 of ")
    page.value("document.getElementById('moved-only').click()")
    assert page.value("document.getElementById('shown').textContent").startswith("1 of ")
    assert typed(page, "no such words anywhere").startswith("0 of ")
    assert page.value("document.getElementById('nothing').offsetHeight") > 0
    page.open(Path(page.value("decodeURIComponent(location.pathname)")))
    assert typed(page, "SNUFF-box that").startswith("1 of ")


def test_before_and_after_of_what_moved_stand_side_by_side_without_a_click(page: Page) -> None:
    before, after = page.value(
        """(() => {
            const moved = [...document.querySelectorAll(".question[data-moved]")].find(
                (one) => one.closest(".card").querySelector("h3").textContent === "doc-huck-finn-page");
            moved.scrollIntoView();
            return [".was", ".now"].map((pane) => {
                const text = moved.querySelector(pane + " .text");
                const box = text.getBoundingClientRect();
                return {text: text.innerText, left: box.left, top: box.top, right: box.right, height: box.height,
                        marked: [...text.querySelectorAll("ins, del")].map((one) => one.tagName + one.textContent)};
            });
        })()"""
    )
    assert "a good going-over in the morning" in before["text"]
    assert "a good golng-over ln the morning" in after["text"]
    assert (before["marked"], after["marked"]) == (["DELi", "DELin"], ["INSl", "INSln"])
    assert before["height"] > 0
    assert before["top"] == after["top"]
    assert before["right"] <= after["left"]


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_sticks_out_at_the_side(chromium: Page, sample_page: Path, width: int) -> None:
    chromium.open(sample_page, width)
    assert chromium.value("document.documentElement.scrollWidth") <= width


def test_a_dark_screen_gets_a_dark_page_and_paper_a_light_one(page: Page) -> None:
    def lightness(media: str) -> int:
        page.ask(
            "Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": "dark"}]
        )
        return int(page.value("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]"))

    try:
        assert lightness("screen") < 50
        assert lightness("print") == 255
    finally:
        page.ask("Emulation.setEmulatedMedia", media="", features=[])


def test_texts_have_the_direction_of_their_script(page: Page) -> None:
    directions = page.value(
        """[...document.querySelectorAll(".card")].filter((card) => card.querySelector("h3").textContent
            === "syn-hebrew-arabic")[0].querySelectorAll(".reference .text").values().map(
            (text) => getComputedStyle(text).direction).toArray()"""
    )
    assert "rtl" in directions
    assert "ltr" in directions


def test_hostile_text_executes_nothing(chromium: Page, tmp_path: Path) -> None:
    now = hostile_evaluation()
    path = tmp_path / "report.html"
    path.write_text(regress_page(PAYLOADS[0], now, hostile_comparison(now), {}), encoding="utf-8")
    chromium.requests.clear()
    chromium.dialogs.clear()
    chromium.complaints.clear()
    chromium.open(path)
    chromium.value(
        """(() => {
            for (const closed of document.querySelectorAll("details")) { closed.open = true; }
            for (const one of document.querySelectorAll("body *")) {
                for (const kind of ["click", "mouseover", "focus", "toggle", "error", "load"]) {
                    one.dispatchEvent(new Event(kind, {bubbles: true}));
                }
            }
        })()"""
    )
    for name in ("task", "category", "language"):
        for number in range(1, chromium.value(f"document.querySelector('[data-filter={name}]').length")):
            chromium.value(
                f"""(() => {{
                    const select = document.querySelector('[data-filter={name}]');
                    select.selectedIndex = {number};
                    select.dispatchEvent(new Event("input", {{bubbles: true}}));
                }})()"""
            )
    chromium.value("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))")
    assert chromium.value("typeof window.planted") == "undefined"
    assert chromium.dialogs == []
    assert [one for one in chromium.requests if not one.startswith("file:")] == []
    assert chromium.complaints == [], "the policy had nothing to refuse: all of it was text"
    assert chromium.value("document.querySelectorAll('script').length") == 1
    assert chromium.value("document.querySelectorAll('img, iframe, object, embed, base, link').length") == 0


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_without_a_browser_only_ci_fails(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(outcome, match="is installed"), browser():
        pass


def test_the_policy_alone_would_stop_a_script(chromium: Page, sample_page: Path, tmp_path: Path) -> None:
    """The second line of defence: were something not escaped, it still would not run, nor fetch."""
    unescaped = '<script>planted = 1</script><img src="http://192.0.2.1/x" onerror="planted = 1"><p style="color: red">'
    path = tmp_path / "report.html"
    path.write_text(sample_page.read_text(encoding="utf-8").replace("</main>", unescaped + "</main>"), encoding="utf-8")
    chromium.complaints.clear()
    chromium.open(path)
    assert chromium.value("typeof window.planted") == "undefined"
    assert len(chromium.complaints) >= 3
    chromium.complaints.clear()
