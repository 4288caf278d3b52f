import json
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pipeline.embedded
from pipeline.embedded.caption import compose
from pipeline.embedded.colours import main_colours
from pipeline.embedded.nouns import general_nouns
from tests.embedded.conftest import SAMPLES, Server, show

MODELS = Path(pipeline.embedded.__file__).parent / "models"
IMAGENET: list[str] = json.loads((MODELS / "imagenet.json").read_text("utf-8"))
COCO: list[str] = json.loads((MODELS / "coco.json").read_text("utf-8"))


def names(noun: str, sentence: str) -> bool:
    return re.search(rf"\b{re.escape(noun)}(s|es)?\b", sentence, re.IGNORECASE) is not None


def hits(captions: Sequence[str], photos: Sequence[dict[str, Any]]) -> int:
    pairs = zip(captions, photos, strict=True)
    return sum(any(names(noun, caption) for noun in photo["subject"]) for caption, photo in pairs)


def claims(caption: str) -> list[str]:
    """The class names in the caption's first clause: the others name colours and quote what was read."""
    clause = caption.partition(";")[0]
    found = []
    for noun in sorted({*IMAGENET, *COCO, *general_nouns(IMAGENET), "people"}, key=len, reverse=True):
        if names(noun, clause):
            found.append(noun)
            clause = re.sub(rf"\b{re.escape(noun)}(s|es)?\b", "", clause, flags=re.IGNORECASE)
    return found


@pytest.fixture(scope="module")
def captions(server: Server, photos: list[dict[str, Any]]) -> list[str]:
    pictures = [(SAMPLES / photo["file"]).read_bytes() for photo in photos]
    with ThreadPoolExecutor(2) as two:
        answers = list(two.map(lambda raw: server.ask("embedded/caption", raw), pictures))
    show()
    for photo, caption in zip(photos, answers, strict=True):
        show(f"  {photo['id']:18} {caption}")
    return answers


def test_captions_name_what_the_photos_show(captions: list[str], photos: list[dict[str, Any]]) -> None:
    assert hits(captions, photos) >= 5


def test_captions_seldom_claim_what_is_not_there(captions: list[str], photos: list[dict[str, Any]]) -> None:
    wrong = {
        photo["id"]: false
        for photo, caption in zip(photos, captions, strict=True)
        if (false := [noun for noun in claims(caption) if noun not in {*photo["subject"], *photo["also"]}])
    }
    show(f"\n  wrong: {wrong}")
    assert len(wrong) <= 2


def test_the_caption_of_another_picture_does_not_fit(captions: list[str], photos: list[dict[str, Any]]) -> None:
    chance = random.Random(7)
    mean = sum(hits(chance.sample(captions, len(captions)), photos) for _ in range(100)) / 100
    show(f"\n  in place: {hits(captions, photos)} of {len(photos)}, shuffled: {mean:.2f}")
    assert mean <= 2


def test_a_page_of_text_is_called_one(server: Server) -> None:
    caption = server.ask("embedded/caption", (SAMPLES / "images/syn-table.png").read_bytes())
    assert re.fullmatch(
        r'An image with text; mostly white.*; the text reads "Planets of the inner Solar.*…"\.', caption
    )


def test_without_the_object_weights_the_other_models_still_answer(tmp_path: Path) -> None:
    here = Path(pipeline.embedded.__file__).parent
    shutil.copytree(here, tmp_path / "pipeline" / "embedded", ignore=shutil.ignore_patterns("centernet.onnx", "__py*"))
    (tmp_path / "pipeline" / "__init__.py").write_text("")
    script = (
        "import sys; from PIL import Image; from pipeline.embedded.answers import Models;"
        "from pipeline.embedded.pictures import Picture; image = Image.open(sys.argv[1]).convert('RGB');"
        "print(Models()._describe(Picture(image, image)))"
    )
    command = [sys.executable, "-c", script, str(SAMPLES / "images/photo-cat.jpg")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("A photo of a cat; mostly "), done.stderr


@pytest.mark.parametrize(
    ("objects", "label", "colours", "read", "expected"),
    [
        (
            ["person", "bus", "person", "person"],
            ("palace", 0.3),
            ["grey", "beige"],
            ([], 0.0),
            "A photo of three people and a bus; mostly grey and beige.",
        ),
        (
            ["cup"],
            ("espresso", 0.9),
            ["red"],
            (["Say  “hi”", "now"], 0.01),
            'A photo of a cup and espresso; mostly red; the text reads "Say “hi” now".',
        ),
        ([], ("cat", 0.49), ["black", "grey"], ([], 0.0), "No recognised object; mostly black and grey."),
        ([], ("airplane", 0.5), ["blue"], ([], 0.0), "A photo of an airplane; mostly blue."),
        (["knife"] * 12, ("uniform", 0.9), ["white"], ([], 0.0), "A photo of 12 knives and a uniform; mostly white."),
        (
            [],
            ("web site", 0.9),
            ["white"],
            (["one", "two", "three"], 0.5),
            'An image with text; mostly white; the text reads "one two three".',
        ),
        (["cat"], ("cat", 0.9), ["brown"], ([], 0.0), "A photo of a cat; mostly brown."),
    ],
)
def test_a_caption_says_what_was_seen_and_nothing_else(
    objects: list[str],
    label: tuple[str, float],
    colours: list[str],
    read: tuple[list[str], float],
    expected: str,
) -> None:
    assert compose(objects, label, colours, read) == expected


def test_a_long_text_is_cut_at_a_word() -> None:
    caption = compose([], ("cat", 0.0), ["white"], (["word " * 40], 0.9))
    quoted = caption.split('"')[1]
    assert len(quoted) <= 60
    assert quoted.endswith("word…")


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((0, 0, 0), "black"),
        ((255, 255, 255), "white"),
        ((128, 128, 128), "grey"),
        ((200, 20, 20), "red"),
        ((250, 140, 10), "orange"),
        ((245, 230, 30), "yellow"),
        ((30, 160, 50), "green"),
        ((30, 60, 200), "blue"),
        ((120, 30, 170), "purple"),
        ((250, 90, 180), "pink"),
        ((110, 70, 30), "brown"),
        ((225, 205, 170), "beige"),
    ],
)
def test_colours_have_their_everyday_names(rgb: tuple[int, int, int], name: str) -> None:
    assert main_colours(Image.new("RGB", (30, 20), rgb)) == [name]


def test_two_colours_are_named_by_their_share() -> None:
    image = Image.new("RGB", (100, 100), "white")
    image.paste((30, 60, 200), (0, 0, 100, 30))
    assert main_colours(image) == ["white", "blue"]


def test_every_class_keeps_a_noun_and_breeds_are_dogs() -> None:
    nouns = dict(zip(IMAGENET, general_nouns(IMAGENET), strict=True))
    assert len(general_nouns(IMAGENET)) == 1000
    for name, noun in (("beagle", "dog"), ("Mexican hairless", "dog"), ("tabby", "cat"), ("timber wolf", "wolf")):
        assert nouns[name] == noun
    for name, noun in (("robin", "bird"), ("goldfish", "fish"), ("school bus", "bus"), ("accordion", "accordion")):
        assert nouns[name] == noun
