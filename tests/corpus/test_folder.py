"""The corpus is what it says: the same for a seed, large and various enough, and quick to write."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from pipeline.core.errors import KINDS
from tests.corpus import CORPUS, dice_for, members
from tests.corpus.folder import planned


def test_the_same_seed_gives_the_same_files_in_another_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.corpus", str(tmp_path / "it"), "--files", "60", "--seed", "3"]
    root = Path(__file__).parents[2]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "60 files" in ended.stdout
    lines = [json.loads(line) for line in (tmp_path / "it" / "corpus.jsonl").read_text().splitlines()]
    expected = list(members(60, 3))
    assert [line["image"] for line in lines] == [member.image for member, _ in expected]
    assert [line["what"] for line in lines] == [member.what for member, _ in expected]
    assert [frozenset(line["outcomes"]) for line in lines] == [member.outcomes for member, _ in expected]
    for member, data in expected:
        assert (tmp_path / "it" / member.image).read_bytes() == data, member.what


def test_every_cheap_recipe_is_repeatable_and_most_differ_by_seed() -> None:
    cheap = [recipe for recipe in CORPUS if recipe.at_most is None][::3]
    once = [recipe.make(dice_for(recipe, 7, 0)) for recipe in cheap]
    again = [recipe.make(dice_for(recipe, 7, 0)) for recipe in cheap]
    other = [recipe.make(dice_for(recipe, 8, 0)) for recipe in cheap]
    changed = [recipe.what for recipe, first, second in zip(cheap, once, again, strict=True) if first != second]
    assert not changed
    assert sum(first != second for first, second in zip(once, other, strict=True)) > 0.9 * len(cheap)


def test_the_kinds_are_many_and_their_outcomes_exist() -> None:
    assert len(CORPUS) > 600
    assert max(Counter(recipe.what for recipe in CORPUS).values()) == 1
    for recipe in CORPUS:
        assert recipe.outcomes, recipe.what
        assert all(kind == "row" or KINDS[kind].stage == "prepare" for kind in recipe.outcomes), recipe.what
    families = Counter(recipe.what.split(":")[0] for recipe in CORPUS)
    assert all(count >= 8 for count in families.values()), families
    assert len(families) == 13, families


def test_names_are_hostile_but_possible_and_nobody_has_two() -> None:
    names = [name for name, _, _ in planned(2200)]
    assert len(set(names)) == 2200
    assert all(0 < len(name.encode()) <= 255 and "/" not in name and "\0" not in name for name in names)
    assert max(len(name.encode()) for name in names) == 255
    for part in ("\n", "🖼", "%", "'", '"', " ", "\\", "\x1b"):
        assert sum(part in name for name in names) > 5, part
    assert any(name.startswith("-") for name in names)


def test_costly_kinds_are_few_and_every_kind_is_there() -> None:
    counts = Counter(recipe.what for _, recipe, _ in planned(2200))
    for recipe in CORPUS:
        assert 1 <= counts[recipe.what] <= (recipe.at_most or 4), recipe.what
