"""What a file of the corpus is made by, and which outcomes are right for it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Make = Callable[[random.Random], bytes]
"""Bytes from dice: the same dice give the same bytes."""

ROW = frozenset({"row"})
TORN = frozenset({"truncated", "unreadable"})
EITHER = ROW | TORN
FOREIGN = frozenset({"not_an_image"})
UNSUPPORTED = frozenset({"unsupported_format"})
TOO_MANY = frozenset({"too_many_pixels"})
ANY = EITHER | FOREIGN | UNSUPPORTED | TOO_MANY | {"too_small", "bad_aspect"}
"""Nobody can tell what a random change has hit: everything but a crash, a hang or a failure of another stage."""


@dataclass(frozen=True)
class Recipe:
    """A kind of file. `outcomes` are right: "row", or kinds of failure.

    `at_most` bounds how many a corpus holds of a costly kind. `upright`: seen the right way up, the picture is wider
    than high, and red at its top left and only there.
    """

    what: str
    suffix: str
    make: Make
    outcomes: frozenset[str] = ROW
    at_most: int | None = None
    upright: bool = False


class Shelf:
    """Recipes of one family, in the order in which they were put here."""

    def __init__(self, family: str) -> None:
        self._family = family
        self._recipes: list[Recipe] = []

    def put(
        self,
        what: str,
        suffix: str,
        make: Make,
        outcomes: frozenset[str] = ROW,
        *,
        at_most: int | None = None,
        upright: bool = False,
    ) -> None:
        """One more recipe."""
        self._recipes.append(Recipe(f"{self._family}: {what}", suffix, make, outcomes, at_most, upright))

    def __iter__(self) -> Iterator[Recipe]:
        return iter(self._recipes)

    def whole(self) -> list[Recipe]:
        """The recipes of cheap files that can only be rows."""
        return [recipe for recipe in self._recipes if recipe.outcomes == ROW and recipe.at_most is None]
