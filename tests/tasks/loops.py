"""Answers that loop, and long tables and lists that only look like it, by seed.

    python -m tests.tasks.loops SEED...

prints for each seed how many of 200 loops are found and how many of 200 legitimate texts are taken for one.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from pipeline.tasks.loops import find_loop

COUNT = 200


class Scripted(NamedTuple):
    """An answer as a server might give it."""

    kind: str
    text: str
    finish_reason: str

    @property
    def is_loop_to_us(self) -> bool:
        return find_loop(self.text, cut=self.finish_reason != "stop") is not None


def _words(text: str, between: str = " ") -> list[str]:
    return text.split(between)


_NOUNS = _words("dog cat street table lamp window woman man child bicycle invoice receipt tower boat letter river cup")
_ADJECTIVES = _words("red small bright old wooden blurred tall green empty wet narrow painted broken round dark")
_VERBS = _words("stands lies shows holds faces covers reaches follows carries hides")
_PLACES = _words("near the wall|on the left side|in the background|under a cloudy sky|next to the door|at a table", "|")
_FIRST = _words("Anna Bela Carlos Dmitri Elif Farah Goran Hanna Ivo Jamal Keiko Lena Marta Nils Olga Pedro")
_LAST = _words("Adler Brown Costa Duval Eriksen Fuchs Garcia Haas Ito Jensen Kovacs Lopez Moreau Novak Okafor")
_GOODS = _words("bolt nut washer bracket hinge cable switch fuse valve pump filter gasket bearing spring clamp hose")


def _sentence(chance: random.Random) -> str:
    first, second = chance.sample(_NOUNS, 2)
    return (
        f"The {chance.choice(_ADJECTIVES)} {first} {chance.choice(_VERBS)} the {chance.choice(_ADJECTIVES)} {second} "
        f"{chance.choice(_PLACES)}."
    )


def _paragraph(chance: random.Random, sentences: int) -> str:
    return " ".join(_sentence(chance) for _ in range(sentences))


def _filled(unit: Callable[[int], str], length: int) -> str:
    """Units until the text is so long; the last one is cut in the middle."""
    text, number = "", 0
    while len(text) < length:
        number += 1
        text += unit(number)
    return text[:length]


# ---- loops: what stands before, the unit, and how long a token limit lets them grow ----


def _word(chance: random.Random) -> str:
    return chance.choice(_ADJECTIVES) + chance.choice([" ", ", ", " and ", "\n", "-"])


def _phrase(chance: random.Random) -> str:
    return f"{chance.choice(_ADJECTIVES)} {chance.choice(_NOUNS)} {chance.choice(_PLACES)}{chance.choice([', ', ' '])}"


def _line(chance: random.Random) -> str:
    return f"{chance.choice(['- ', '* ', '', '> '])}{_sentence(chance)}\n"


def _table_row(chance: random.Random) -> str:
    return f"| {chance.choice(_GOODS)} | {chance.randint(1, 99)} | {chance.choice(_ADJECTIVES)} |\n"


def _json_object(chance: random.Random) -> str:
    value = {"name": chance.choice(_GOODS), "colour": chance.choice(_ADJECTIVES), "count": chance.randint(1, 9)}
    return json.dumps(value) + ", "


def _json_text(chance: random.Random) -> str:
    return f'"{chance.choice(_ADJECTIVES)} {chance.choice(_NOUNS)}", '


def _number(chance: random.Random) -> str:
    return f"{chance.choice([0, 1, 7, 42, 0.5])}{chance.choice([', ', ' ', ','])}"


def _foreign(chance: random.Random) -> str:
    return chance.choice(["图片显示一只猫。", "これは猫です。", "Это изображение кошки. ", "यह एक बिल्ली है। "])


def _counted(chance: random.Random) -> Callable[[int], str]:
    sentence, start = _sentence(chance), chance.randint(1, 30)
    form = chance.choice(["{n}. {s}\n", "Figure {n}: {s} ", "{s} ({n}) ", "## Step {n}\n{s}\n\n"])
    return lambda number: form.format(n=number + start, s=sentence)


def _shuffled(chance: random.Random) -> Callable[[int], str]:
    sentences = [_sentence(chance) for _ in range(chance.randint(2, 3))]
    return lambda _: chance.choice(sentences) + " "


_UNITS: dict[str, Callable[[random.Random], str]] = {
    "word": _word,
    "phrase": _phrase,
    "sentence": lambda chance: _sentence(chance) + " ",
    "two sentences": lambda chance: _paragraph(chance, 2) + " ",
    "paragraph": lambda chance: _paragraph(chance, chance.randint(4, 9)) + "\n\n",
    "line": _line,
    "table row": _table_row,
    "json object": _json_object,
    "json text": _json_text,
    "number": _number,
    "foreign": _foreign,
    "letter": lambda chance: chance.choice("aeioIO哈"),
    "rule": lambda chance: chance.choice(["-", ".", "_", "* ", "=-"]),
    "blanks": lambda chance: chance.choice([" ", "\n", "\n\n", " \n", "\t"]),
}
_SETTINGS = {
    "json object": '{"items": [',
    "json text": '{"labels": [',
    "number": '{"values": [',
    "table row": "| item | count | state |\n|---|---|---|\n",
    "blanks": '{"total": 12.5, "currency": "EUR"',
}


def loop(chance: random.Random) -> Scripted:
    """An answer that a model would never have ended, mostly cut by its token limit."""
    kind = chance.choice([*_UNITS, "counted", "shuffled"])
    before = _SETTINGS.get(kind, _paragraph(chance, chance.randint(0, 4)) + chance.choice([" ", "\n"]))
    length = chance.randint(1200, 12_000)
    if kind == "paragraph":
        length = max(length, 4000)
    if kind in ("counted", "shuffled"):
        unit = (_counted if kind == "counted" else _shuffled)(chance)
        return Scripted(kind, before + _filled(unit, max(length, 2500)), "length")
    said = _UNITS[kind](chance)
    endless = ("rule", "blanks", "table row", "number", "paragraph")
    reason = "stop" if chance.random() < 0.15 and kind not in endless else "length"
    if reason == "stop":  # said very often, and then closed
        length = max(length, 60 * len(said), 2500)
        closing = {"json object": "]}", "json text": "]}"}.get(kind, "")
        text = before + said * (length // len(said))
        return Scripted(kind, text.rstrip(", ") + closing if closing else text, "stop")
    return Scripted(kind, before + _filled(lambda _: said, length), reason)


# ---- long texts that are what stands on a page ----


def _inventory(chance: random.Random) -> Callable[[int], str]:
    bar = chance.choice(["| {} | {} | {} | {} |\n", "{}\t{}\t{}\t{}\n", "{};{};{};{}\n", "{},{},{},{}\n"])
    state = chance.choice(["in stock", "sold out", "0.00", "n/a"])
    few = _GOODS[: chance.randint(2, 16)]
    return lambda number: bar.format(1000 + number, chance.choice(few), chance.choice([1, 5, 10]), state)


def _statement(chance: random.Random) -> Callable[[int], str]:
    text = chance.choice(["Card payment", "Standing order rent", "Direct debit, thank you for your payment"])
    most = chance.choice([100, 99999])  # of one amount, or of many
    return lambda number: (
        f"{number % 28 + 1:02}.{number // 28 % 12 + 1:02}.2024  {text}  {chance.randint(100, most) / 100:,.2f}\n"
    )


def _people(chance: random.Random) -> Callable[[int], str]:
    title = chance.choice(["Employee", "Member of the club", "Delegate", "Passenger"])
    return lambda _: f"- {title}: {chance.choice(_FIRST)} {chance.choice(_LAST)}\n"


def _checks(chance: random.Random) -> Callable[[int], str]:
    columns = chance.randint(3, 12)
    return lambda number: f"| {number} | " + " | ".join(chance.choice(["yes", "no"]) for _ in range(columns)) + " |\n"


def _tasks_to_do(chance: random.Random) -> Callable[[int], str]:
    return lambda _: (
        f"- [{chance.choice(' x')}] {chance.choice(['Check', 'Replace', 'Order'])} {chance.choice(_GOODS)}\n"
    )


def _contents(chance: random.Random) -> Callable[[int], str]:
    return lambda number: f"{number}. {_sentence(chance)[4:40]} {'.' * chance.randint(20, 120)} {number * 3}\n"


def _form(chance: random.Random) -> Callable[[int], str]:
    fields = chance.sample(["Name", "Date", "Place", "Signature", "Amount", "Phone"], 3)
    line = "   ".join(f"{name}: {'_' * chance.randint(12, 30)}" for name in fields)
    return lambda number: f"{number}. {line}\n"


def _counting_up(chance: random.Random) -> Callable[[int], str]:
    form = chance.choice(["{}, ", "{}\n", "Page {}\n", "Seat {} ", "A{} | ", "Row {}: {}\n", "No. {}\n"])
    start, step = chance.randint(0, 900), chance.choice([1, 1, 2, 5, 10])
    return lambda number: form.format(start + step * number, start + step * number + 1)


def _objects(chance: random.Random) -> Callable[[int], str]:
    def one(number: int) -> str:
        price = chance.randint(1, 9999) / 100
        value = {"line": number, "item": chance.choice(_GOODS), "price": price, "note": None}
        return json.dumps(value) + ", "

    return one


def _rows_alike(chance: random.Random) -> Callable[[int], str]:
    """A table in which runs of rows are equal, as zeros and repeated items are."""
    row, left = "", 0

    def one(_: int) -> str:
        nonlocal row, left
        if left == 0:
            left = chance.randint(1, 8)
            row = f"| {chance.choice(_GOODS)} {chance.choice(_ADJECTIVES)} | {chance.randint(0, 9)} | 0.00 | 0.00 |\n"
        left -= 1
        return row

    return one


def _menu(chance: random.Random) -> Callable[[int], str]:
    return lambda _: (
        f"{chance.choice(_ADJECTIVES).title()} {chance.choice(_NOUNS)} with {chance.choice(_GOODS)} "
        f"{chance.randint(3, 30)}.{chance.choice(['00', '50'])}\n"
    )


def _prose(chance: random.Random) -> Callable[[int], str]:
    return lambda _: _sentence(chance) + " "


def _refrain(chance: random.Random) -> Callable[[int], str]:
    chorus = "".join(f"{_sentence(chance)}\n" for _ in range(2))
    return lambda _: "".join(f"{_sentence(chance)}\n" for _ in range(4)) + "\n" + chorus + "\n"


_PAGES: dict[str, Callable[[random.Random], Callable[[int], str]]] = {
    "inventory": _inventory,
    "statement": _statement,
    "people": _people,
    "checks": _checks,
    "contents": _contents,
    "tasks to do": _tasks_to_do,
    "form": _form,
    "counting up": _counting_up,
    "objects": _objects,
    "rows alike": _rows_alike,
    "menu": _menu,
    "prose": _prose,
    "refrain": _refrain,
}


def page(chance: random.Random) -> Scripted:
    """A long legitimate answer, whole or cut in the middle."""
    kind = chance.choice(list(_PAGES))
    text = _filled(_PAGES[kind](chance), chance.randint(1000, 15_000))
    return Scripted(kind, text, chance.choice(["stop", "length"]))


def scripted(make: Callable[[random.Random], Scripted], seed: int) -> list[Scripted]:
    chance = random.Random(f"{make.__name__} {seed}")
    return [make(chance) for _ in range(COUNT)]


def counted(seed: int) -> tuple[int, int, Counter[str], Counter[str]]:
    """Loops found, pages taken for loops, and the kinds of what was missed and mistaken."""
    missed = Counter(f"{one.kind} ({one.finish_reason})" for one in scripted(loop, seed) if not one.is_loop_to_us)
    mistaken = Counter(f"{one.kind} ({one.finish_reason})" for one in scripted(page, seed) if one.is_loop_to_us)
    return COUNT - missed.total(), mistaken.total(), missed, mistaken


if __name__ == "__main__":
    for seed in map(int, sys.argv[1:]):
        found, mistaken, missed, wrong = counted(seed)
        print(
            f"seed {seed}: {found} of {COUNT} loops found, {mistaken} of {COUNT} pages mistaken",
            dict(missed),
            dict(wrong),
        )
