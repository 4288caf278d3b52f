"""The corpus as a whole: which files there are, what they are called, and where they lie."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.corpus.bombs import BOMBS, SHAPES
from tests.corpus.damage import DAMAGES, misnamed
from tests.corpus.films import AVIFS, GIFS, WEBPS
from tests.corpus.jpegs import JPEGS
from tests.corpus.pngs import PNGS
from tests.corpus.rasters import BMPS, PPMS
from tests.corpus.recipe import Recipe
from tests.corpus.strangers import STRANGERS
from tests.corpus.tiffs import TIFFS

_FORMATS = (JPEGS, PNGS, GIFS, WEBPS, AVIFS, TIFFS, BMPS, PPMS)
CORPUS: tuple[Recipe, ...] = (
    *itertools.chain(*_FORMATS, SHAPES, BOMBS, STRANGERS, DAMAGES),
    *misnamed([recipe for shelf in _FORMATS for recipe in shelf.whole()]),
)
"""Every kind of file."""

_NAMES = (
    "größe 寸法 {n}",
    "🖼️ {n} 👩‍👩‍👧",
    "two  blanks {n} ",
    " before {n}",
    "-{n}",
    "--output={n}",
    "line\nbreak {n}",
    "tab\tand\rreturn {n}",
    "100% %s %d %20 {n}",
    "{n} 'single' \"double\" `back`",
    "$(echo {n}) ; & | < >",
    "{{key}} {{{{n}}}} {n}",
    "* ? [{n}]",
    "back\\slash {n}",
    "~{n}",
    "#{n} ! @ ^ = +",
    "\u202egpj.{n}",
    "e\u0301 {n}",
    "\x01\x1b[31m{n}",
    "NUL.{n}",
    "a,b;c {n}",
    "<b>{n} &amp; <br>",
    "long {n} " + "x" * 300,
    "lang {n} " + "ü" * 150,
)
"""Names that programs have stumbled over; `{n}` is the file's number."""

_LONGEST = 255
"""Bytes that a name may have on common file systems."""


@dataclass(frozen=True)
class Member:
    """One file of a corpus: its path in the listing, what it is, what may become of it."""

    image: str
    what: str
    outcomes: frozenset[str]
    upright: bool


def dice_for(recipe: Recipe, seed: int, time: int) -> random.Random:
    """The dice that make a recipe's file for the so-manieth time."""
    return random.Random(f"{seed} {recipe.what} {time}")


def planned(files: int) -> Iterator[tuple[str, Recipe, int]]:
    """Name, recipe and round of `files` files: every recipe in turn, as often as it takes, costly ones less often.

    Every seventh has a hostile name, of a number and the recipe's suffix like all others.
    """
    rounds = ((time, recipe) for time in itertools.count() for recipe in CORPUS)
    wanted = ((time, recipe) for time, recipe in rounds if recipe.at_most is None or time < recipe.at_most)
    for number, (time, recipe) in enumerate(itertools.islice(wanted, files)):
        yield _name(number, recipe), recipe, time


def members(files: int, seed: int) -> Iterator[tuple[Member, bytes]]:
    """`files` members with their bytes."""
    for name, recipe, time in planned(files):
        data = recipe.make(dice_for(recipe, seed, time))
        yield Member(f"files/{name}", recipe.what, recipe.outcomes, recipe.upright), data


def _name(number: int, recipe: Recipe) -> str:
    if number % 7:
        return f"{number:05d}{recipe.suffix}"
    template = _NAMES[number // 7 % len(_NAMES)]
    stem = template.format(n=f"{number:05d}", key="{key}").encode()[: _LONGEST - len(recipe.suffix)]
    return stem.decode(errors="ignore") + recipe.suffix


def written(folder: Path, files: int, seed: int) -> list[Member]:
    """The corpus below `folder`: `files/` and the listing `corpus.jsonl`. Raises FileExistsError if it is there."""
    (folder / "files").mkdir(parents=True)
    found = []
    with (folder / "corpus.jsonl").open("x", encoding="utf-8") as listing:
        for member, data in members(files, seed):
            with (folder / member.image).open("xb") as file:
                file.write(data)
            line = {"image": member.image, "what": member.what, "outcomes": sorted(member.outcomes)}
            listing.write(json.dumps(line) + "\n")
            found.append(member)
    return found
