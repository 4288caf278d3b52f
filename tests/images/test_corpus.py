"""One file of every cheap kind in the corpus, straight through the preparer: the right verdict, and a clean picture."""

from __future__ import annotations

import pytest

from pipeline.core.errors import ItemError
from pipeline.core.pictures import ImageContract, PreparedImage
from pipeline.images.prepare import prepared
from pipeline.images.rules import ServerRules
from tests.corpus import CORPUS, dice_for
from tests.corpus.recipe import Recipe
from tests.corpus.sent import flaws

SEED = 11
MAX_SIDE = 96
"""Some of the pictures are larger, some are not."""

CHEAP = [recipe for recipe in CORPUS if recipe.at_most is None]


def _outcome(source: bytes) -> PreparedImage | ItemError:
    try:
        (image,) = prepared(source, ImageContract(MAX_SIDE), ServerRules(frozenset({"JPEG", "PNG"})))
    except ItemError as caught:
        return caught
    return image


@pytest.mark.parametrize("recipe", CHEAP, ids=lambda recipe: recipe.what)
def test_a_file_of_each_kind(recipe: Recipe) -> None:
    source = recipe.make(dice_for(recipe, SEED, 0))
    outcome, again = _outcome(source), _outcome(source)
    if isinstance(outcome, ItemError):
        assert outcome.kind in recipe.outcomes, outcome.message
        assert " at 0x" not in outcome.message
        assert isinstance(again, ItemError)
        assert (again.kind, again.message) == (outcome.kind, outcome.message)
    else:
        assert "row" in recipe.outcomes, "a picture came out"
        assert flaws(outcome.data, MAX_SIDE, upright=recipe.upright) == []
        assert again == outcome
