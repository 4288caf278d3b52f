"""Several pictures in one request are the pages of one document: each is looked at, in order."""

from __future__ import annotations

import json
from typing import Any

from PIL import Image, ImageDraw

from tests.embedded.conftest import SAMPLES, Server, data_uri, png


def _asked(model: str, *pages: bytes, **extra: object) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": data_uri(page)}} for page in pages]
    return {"model": model, "messages": [{"role": "user", "content": parts}], **extra}


def _answer(server: Server, model: str, *pages: bytes) -> str:
    response = server.post(_asked(model, *pages))
    assert response.status_code == 200, response.text
    content = response.json()["choices"][0]["message"]["content"]
    assert isinstance(content, str)
    return content


def _page(words: str) -> bytes:
    page = Image.new("RGB", (400, 120), "white")
    if words:
        ImageDraw.Draw(page).text((20, 40), words, fill="black", font_size=36)
    return png(page)


def test_the_text_of_every_page_is_read_in_their_order(server: Server) -> None:
    words = ["copper kettle", "", "silver anchor", "amber window"]
    answer = _answer(server, "embedded/ocr", *map(_page, words))
    assert answer == "language: und\n\ncopper kettle\n\nsilver anchor\n\namber window"
    assert _answer(server, "embedded/ocr", _page(""), _page("")) == "language: none"


def test_a_document_is_as_bad_as_its_worst_page(server: Server) -> None:
    cat, sign = ((SAMPLES / f"images/{name}").read_bytes() for name in ("photo-cat.jpg", "sign-give-way.png"))

    def score(*pages: bytes) -> float:
        found = json.loads(_answer(server, "embedded/moderate", *pages))["scores"]["sexual"]
        assert isinstance(found, float)
        return found

    assert score(cat) != score(sign)
    assert score(cat, sign) == score(sign, cat) == max(score(cat), score(sign))


def test_every_page_is_captioned_by_its_number(server: Server) -> None:
    cat = (SAMPLES / "images/photo-cat.jpg").read_bytes()
    alone = _answer(server, "embedded/caption", cat)
    white = _answer(server, "embedded/caption", _page(""))
    assert _answer(server, "embedded/caption", cat, _page("")) == f"Page 1: {alone}\nPage 2: {white}"


def test_a_page_that_cannot_be_read_fails_the_whole_request(server: Server) -> None:
    response = server.post(_asked("embedded/ocr", _page("copper kettle"), b"no picture"))
    assert response.status_code == 400
    assert "cannot be decoded" in response.json()["error"]["message"]
