import random
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import jiwer
import pytest
from PIL import Image, ImageDraw, ImageFont

from pipeline.embedded.reading import Box, level, read_lines
from tests.embedded.conftest import SAMPLES, Server, png, show

WORDS = re.findall(
    r"\w+",
    "amber anchor basket bridge candle copper dragon engine feather forest garden hammer island jacket kettle ladder"
    " marble needle orange pepper quartz ribbon saddle temple urchin velvet window yellow zephyr Monday Berlin 1984",
)


def text_of(answer: str) -> str:
    head, _, text = answer.partition("\n\n")
    assert head in ("language: und", "language: none")
    assert bool(text) == (head == "language: und")
    return " ".join(text.split())


def is_latin(text: str) -> bool:
    letters = [character for character in text if character.isalpha()]
    return all("LATIN" in unicodedata.name(character) for character in letters)


def read_all(server: Server, pictures: list[bytes]) -> list[str]:
    with ThreadPoolExecutor(2) as two:
        return [text_of(answer) for answer in two.map(lambda raw: server.ask("embedded/ocr", raw), pictures)]


def error_rates(title: str, names: list[str], truths: list[str], texts: list[str]) -> list[float]:
    rates = [jiwer.cer(" ".join(truth.split()), text) for truth, text in zip(truths, texts, strict=True)]
    show(f"\n{title}: median {median(rates):.3f}")
    for name, rate in zip(names, rates, strict=True):
        show(f"  {name:24} {rate:.3f}")
    return rates


def test_reads_the_text_of_the_samples(server: Server, labels: list[dict[str, Any]]) -> None:
    exact = [
        label
        for label in labels
        if label["text"] and label["text_complete"] and label["category"] != "person" and is_latin(label["text"])
    ]
    assert len(exact) >= 12
    texts = read_all(server, [(SAMPLES / label["file"]).read_bytes() for label in exact])
    rates = error_rates("samples", [label["id"] for label in exact], [label["text"] for label in exact], texts)
    assert median(rates) < 0.10


def test_reads_random_words(server: Server) -> None:
    chance = random.Random(20261123)
    truths, pictures = [], []
    for _ in range(20):
        lines = [" ".join(chance.sample(WORDS, 3)) for _ in range(5)]
        image = Image.new("RGB", (400, 300), chance.choice(["white", "#ffeecc", "#ddeeff"]))
        font = ImageFont.load_default(size=chance.randint(16, 24))
        ImageDraw.Draw(image).multiline_text((24, 24), "\n".join(lines), fill="black", font=font, spacing=16)
        truths.append(" ".join(lines))
        pictures.append(png(image))
    texts = read_all(server, pictures)
    rates = error_rates("random words", [str(number) for number in range(20)], truths, texts)
    assert median(rates) < 0.05


def test_reads_nothing_into_photos_without_text(server: Server, labels: list[dict[str, Any]]) -> None:
    photos = [label for label in labels if label["category"] == "photo"]
    assert len(photos) >= 5
    for label, text in zip(
        photos, read_all(server, [(SAMPLES / label["file"]).read_bytes() for label in photos]), strict=True
    ):
        assert len(text) <= 3, label["id"]


def test_a_picture_without_text_has_no_language(server: Server) -> None:
    assert server.ask("embedded/ocr", png(Image.new("RGB", (80, 60), "white"))) == "language: none"


def page(*boxes: tuple[str, float, float, float]) -> list[Box]:
    """Boxes 20 pixels high from (text, left, right, centre)."""
    return [Box(text, left, right, centre, 20.0) for text, left, right, centre in boxes]


def order(boxes: list[Box]) -> list[str]:
    return [" ".join(box.text for box in line) for line in read_lines(boxes)]


def test_columns_of_prose_are_read_one_after_the_other() -> None:
    left = [(f"left column, line {number} of prose", 0.0, 300.0, 100.0 + 30 * number) for number in range(5)]
    right = [(f"right column, line {number} of prose", 340.0, 640.0, 100.0 + 30 * number) for number in range(5)]
    headline, foot = ("Headline over both", 100.0, 500.0, 40.0), ("Foot under both", 100.0, 500.0, 300.0)
    boxes = page(*right, foot, *left, headline)
    expected = [headline[0], *(box[0] for box in left), *(box[0] for box in right), foot[0]]
    assert order(boxes) == expected


def test_a_table_is_read_across() -> None:
    names = [(f"a{row}", 0.0, 60.0, 30.0 * row) for row in range(5)]
    numbers = [(f"b{row}", 200.0, 260.0, 30.0 * row) for row in range(5)]
    assert order(page(*numbers, *names)) == [f"a{row} b{row}" for row in range(5)]


def test_panels_whose_lines_do_not_meet_are_columns() -> None:
    left = [(f"a{row}", 0.0, 60.0, 40.0 * row) for row in range(4)]
    right = [(f"b{row}", 200.0, 260.0, 15.0 + 40.0 * row) for row in range(4)]
    assert order(page(*left, *right)) == ["a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3"]


@pytest.mark.parametrize("slope", [0.0, 0.07, -0.07])
def test_a_tilted_line_stays_one_line(slope: float) -> None:
    def quad(left: float, right: float, top: float) -> list[tuple[float, float]]:
        corners = [(left, top), (right, top), (right, top + 20), (left, top + 20)]
        return [(x, y + slope * x) for x, y in corners]

    quads = [quad(500, 800, 0), quad(0, 300, 0), quad(0, 300, 30), quad(500, 800, 30)]
    lines = read_lines(level(quads, ["right", "left", "below left", "below right"]))
    assert [[box.text for box in line] for line in lines] == [["left", "right"], ["below left", "below right"]]
