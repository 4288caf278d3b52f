"""Documents with the real command: every page, in order, in one row; never a silent cut."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.integration.command import Job
from tests.support import scripts
from tests.support.exchange import Usage
from tests.support.fake_server import FakeServer

WORDS = (
    *("amber anchor", "basket bridge", "candle copper", "dragon engine", "feather forest", "garden hammer"),
    *("island jacket", "kettle ladder", "marble needle", "orange pepper", "quartz ribbon", "saddle temple"),
)


def _page(words: str, mode: str = "L") -> Image.Image:
    page = Image.new("L", (620, 877), "white")
    ImageDraw.Draw(page).text((60, 90), words, fill="black", font_size=44)
    return page.convert(mode)


def write_document(path: Path, pages: list[Image.Image]) -> None:
    first, *others = pages
    options: dict[str, Any] = {"compression": "group4"} if first.mode == "1" else {}
    first.save(path, save_all=True, append_images=others, **options)


@pytest.mark.slow
def test_twelve_pages_are_read_in_order_into_one_row(tmp_path: Path) -> None:
    """By the embedded reader: a fax, a PDF and an animation that says something on every frame."""
    folder = tmp_path / "scans"
    folder.mkdir()
    write_document(folder / "fax.tif", [_page(words, "1") for words in WORDS])
    write_document(folder / "paper.pdf", [_page(words) for words in reversed(WORDS)])
    write_document(folder / "moving.gif", [_page(words) for words in WORDS[:3]])
    job = Job(
        tmp_path,
        folder,
        "",
        tasks=[{"kind": "ocr"}],
        images={"pages": "all"},
        provider={"dialect": "embedded", "base_url": None, "model": None},
    )
    config = job.write().read_text().replace("base_url = null\n", "").replace("model = null\n", "")
    job.config.write_text(config)
    ended = run_as_written(job)
    assert ended.code == 0, ended.stderr
    rows = {row["key"]: row for row in job.rows("ocr")}
    found = {key: (row["pages"], [line for line in row["text"].splitlines() if line]) for key, row in rows.items()}
    assert found == {
        "fax.tif": (12, list(WORDS)),
        "paper.pdf": (12, list(reversed(WORDS))),
        "moving.gif": (3, list(WORDS[:3])),
    }


def run_as_written(job: Job) -> Any:
    from tests.integration.command import COMMAND, Running

    with Running([*COMMAND, "run", str(job.config)], env=job.env) as running:
        return running.end(180)


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    for pages in (1, 30, 31, 40):
        write_document(folder / f"{pages:02}.tif", [_page(f"page {number}", "1") for number in range(pages)])
        write_document(folder / f"{pages:02}.pdf", [_page(f"page {number}") for number in range(pages)])
    return folder


def _fireworks(tmp_path: Path, documents: Path, fake_server: FakeServer, pages: str) -> Job:
    return Job(
        tmp_path,
        documents,
        fake_server.base_url,
        tasks=[{"kind": "ocr"}],
        images={"pages": pages, "max_side": 400},
        provider={"dialect": "fireworks", "model": "accounts/fireworks/models/qwen2p5-vl-32b-instruct"},
        env={"FIREWORKS_API_KEY": "key"},
    )


def test_more_pages_than_a_request_takes_are_one_failure_that_says_so(
    tmp_path: Path, documents: Path, fake_server: FakeServer
) -> None:
    fake_server.script = scripts.text("language: en\n\nText.")
    job = _fireworks(tmp_path, documents, fake_server, "all")
    ended = job.run()
    assert ended.code == 3, "half of the documents have no answer, and that is no success"
    assert {row["key"]: row["pages"] for row in job.rows("ocr")} == {
        "01.pdf": 1,
        "01.tif": 1,
        "30.pdf": 30,
        "30.tif": 30,
    }
    failures = {row["key"]: (row["kind"], row["message"]) for row in job.failures("ocr")}
    assert set(failures) == {"31.pdf", "31.tif", "40.pdf", "40.tif"}
    for key, (kind, message) in failures.items():
        assert kind == "image_rejected"
        assert f"{key[:2]} pages" in message
        assert "at most 30" in message
        assert "images.pages" in message
    sizes = sorted(len(request.images_base64()) for request in fake_server.requests)
    assert sizes == [1, 1, 30, 30]
    assert all(sum(map(len, request.images_base64())) < 10_000_000 for request in fake_server.requests)


def test_the_pages_of_a_request_keep_their_order(tmp_path: Path, documents: Path, fake_server: FakeServer) -> None:
    fake_server.script = scripts.text("language: en\n\nText.")
    _fireworks(tmp_path, documents, fake_server, "all").run()
    (longest, _) = sorted(fake_server.requests, key=lambda request: -len(request.images_base64()))[:2]
    from binascii import a2b_base64

    def marked(page: Image.Image) -> tuple[int, int, int, int]:
        box = page.convert("L").point(lambda value: 255 if value < 128 else 0).getbbox()
        assert box is not None
        return box

    sent = [Image.open(io.BytesIO(a2b_base64(data))) for data in longest.images_base64()]
    # "page 9" is shorter than "page 10": the width of the print tells where the numbers get a second digit.
    widths = [marked(page)[2] for page in sent]
    assert max(widths[:10]) < min(widths[10:])


def test_only_the_first_page_is_sent_unless_more_is_asked_for(
    tmp_path: Path, documents: Path, fake_server: FakeServer
) -> None:
    fake_server.script = scripts.text("language: en\n\nText.")
    job = _fireworks(tmp_path, documents, fake_server, "first")
    assert job.run().code == 0
    assert {row["pages"] for row in job.rows("ocr")} == {1}
    assert job.failures("ocr") == []
    assert {len(request.images_base64()) for request in fake_server.requests} == {1}


def test_what_pictures_cost_is_told_beside_what_was_expected(
    tmp_path: Path, documents: Path, fake_server: FakeServer
) -> None:
    fake_server.script = scripts.text("language: en\n\nText.", Usage(prompt=1000, images=100))
    job = _fireworks(tmp_path, documents, fake_server, "first")
    ended = job.run()
    # 283 x 400 pixels are 10 x 14 cells of 28; the first pages of the documents of one kind are the same question.
    assert "image tokens of ocr: 280 expected, 200 counted by accounts/fireworks" in ended.stdout
    assert "0.71 of what was expected" in ended.stdout
    assert "280 expected, 200 counted" in job.command("status").stdout
