"""Sample sets and runs over them with scripted noise: a provider that answers a little differently each time.

The right answers are taken from the labels; noise is seeded. Nothing is sent anywhere.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.evaluation.answers import Answer
from pipeline.evaluation.baseline import baseline_of
from pipeline.evaluation.compare import compare
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.labels import Label, read_labels
from pipeline.evaluation.results import Comparison

ROOT = Path(__file__).parents[2]
SAMPLES = read_labels(ROOT / "data/samples/labels.jsonl")
_WORDS = re.findall(
    r"\S+",
    "the of a river stone garden letter winter number seven light paper morning street window report total 2024 12.50 "
    "invoice station under Müller élève city bridge north open closed value account page library fee due date order",
)
_OBJECTS = re.findall(
    r"\S+", "cat dog car boat house tree lamp chair bird horse bottle bicycle train clock flower bridge"
)
_PLACES = ("on a wooden table", "in a green field", "beside an old wall", "under a bright sky", "in front of a window")
_OPENINGS = ("A photo of", "There is", "The picture shows", "An image with", "")
_COLOURS = re.findall(r"\S+", "red blue green white black brown yellow grey")
TASKS = ("caption", "ocr", "moderate", "ask")
Noise = Callable[[str, random.Random], str]


def text_of(length: int, chance: random.Random) -> str:
    """Made-up text of about so many characters."""
    words: list[str] = []
    while len(" ".join(words)) < length:
        words.append(chance.choice(_WORDS))
    return " ".join(words)[:length].strip()


def sample_set(size: int, seed: int, *, short: float = 0.3, long: int = 800) -> list[Label]:
    """Labels with text (a share of it 10 to 60 characters), captions, and a verdict each, a fifth of them unsafe."""
    chance = random.Random(seed)
    labels = []
    for number in range(size):
        length = chance.randint(10, 60) if chance.random() < short else chance.randint(80, long)
        thing, colour, place = chance.choice(_OBJECTS), chance.choice(_COLOURS), chance.choice(_PLACES)
        unsafe = chance.random() < 0.2
        text = text_of(length, chance)
        labels.append(
            Label(
                id=f"sample-{number:02}",
                category=chance.choice(("doc", "photo", "sign")),
                languages=(chance.choice(("en", "de")),),
                tags=tuple(sorted(chance.sample(("ocr", "table", "scan", "colour", "hard"), 2))),
                text=text,
                captions=(f"A {colour} {thing} {place}.", f"{thing} that is {colour}, {place}."),
                subjects=((thing,),) if chance.random() < 0.6 else (),
                must_contain=(" ".join(text.split()[:2]),) if chance.random() < 0.3 else (),
                verdict="unsafe" if unsafe else "safe",
                answers={"ask": text.split()[0]} if chance.random() < 0.5 else {},
            )
        )
    return labels


def mistyped(rate: float) -> Noise:
    """Each character is wrong with this chance: replaced, left out, or doubled."""

    def spoil(text: str, chance: random.Random) -> str:
        out = []
        for character in text:
            if chance.random() >= rate:
                out.append(character)
            elif (how := chance.random()) < 0.6:
                out.append(chance.choice("abcdefghijklmnopqrstuvwxyz"))
            elif how < 0.8:
                out.append(character * 2)
        return "".join(out)

    return spoil


def up_to(rate: float, more: float = 0.0) -> Noise:
    """Each text gets an error rate of its own, evenly between 0 and `rate`, and `more` on top."""
    return lambda text, chance: mistyped(chance.uniform(0, rate) + more)(text, chance)


def exactly_up_to(rate: float, more: float = 0.0) -> Noise:
    """The same with the share of wrong characters itself drawn, rounded up."""

    def spoil(text: str, chance: random.Random) -> str:
        wrong = -int(-(chance.uniform(0, rate) + more) * len(text) // 1)
        letters = list(text)
        for place in chance.sample(range(len(letters)), min(wrong, len(letters))):
            letters[place] = chance.choice([one for one in "qxzkvw" if one != letters[place]])
        return "".join(letters)

    return spoil


def now_and_then(share: float, rate: float) -> Noise:
    """Most texts as they are, some with so many errors."""
    return lambda text, chance: mistyped(rate)(text, chance) if chance.random() < share else text


def reworded(captions: Sequence[str], chance: random.Random) -> str:
    """One of the captions in other words: another opening, a word or two left out, parts turned round."""
    words = chance.choice(captions).rstrip(".").split()
    if chance.random() < 0.5 and len(words) > 5:
        del words[chance.choice([place for place, word in enumerate(words) if word not in _OBJECTS])]
    if chance.random() < 0.3 and len(words) > 6:
        cut = len(words) // 2
        words = [*words[cut:], *words[:cut]]
    return f"{chance.choice(_OPENINGS)} {' '.join(words)}".strip()


def run(labels: Sequence[Label], seed: int, noise: Noise, flips: float = 0.03) -> list[Answer]:
    """One run over the labels: captions reworded, texts under `noise`, some verdicts unsure and some answers wrong."""
    chance = random.Random(seed)
    answers = []
    for label in labels:
        place = {"key": label.id, "uri": label.file or label.id}
        if label.captions:
            caption = reworded(label.captions, chance)
            answers.append(Answer("caption", "caption", text=caption, fields={"caption": caption}, **place))
        if label.text is not None:
            answers.append(Answer("ocr", "ocr", text=noise(label.text, chance), **place))
        if label.verdict:
            verdict = "unsure" if chance.random() < flips else label.verdict
            answers.append(Answer("moderate", "moderate", text=verdict, fields={"verdict": verdict}, **place))
        if "ask" in label.answers:
            right = str(label.answers["ask"])
            answer = f"{right[1:]}{right[:1]}x" if chance.random() < flips else right
            answers.append(Answer("ask", "ask", text=answer, fields={"answer": answer}, **place))
    return sorted(answers, key=lambda one: (TASKS.index(one.task), one.key))


def compared(labels: Sequence[Label], before: Sequence[Answer], now: Sequence[Answer]) -> Comparison:
    """A run beside an earlier one as its baseline."""
    return compare(evaluate(labels, now), baseline_of(evaluate(labels, before), {}))


def with_texts(answers: Sequence[Answer], texts: dict[tuple[str, str], str]) -> list[Answer]:
    """The answers with some texts put in their place, by (task, key)."""
    changed = []
    for one in answers:
        text = texts.get((one.task, one.key), one.text)
        changed.append(replace(one, text=text, fields={"answer": text} if one.kind == "ask" else one.fields))
    return changed


def told(comparison: Comparison) -> str:
    """Why a comparison is a regression, for the message of a test."""
    worse = [change for change in comparison.changes if change.verdict == "worse"]
    alarming = [
        (one.metric, one.now.key, one.before, one.after, one.answer_before, one.now.answer)
        for one in comparison.moved
        if one.alarming
    ]
    return f"{worse}\n{alarming}\n{comparison.missing} {comparison.problems}"
