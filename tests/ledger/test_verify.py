"""`verify` finds every single damage, names it, alters nothing, and is silent over what is sound."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ledger.findings import FLAWS
from tests.ledger.damages import FINISHED, STOPPED, Damage
from tests.ledger.outputs import finished, found, small, stopped, tree

ALL = [
    pytest.param(sort, code, damage, id=f"{damage.__name__}-{sort}-{code}")
    for sort, table in (("finished", FINISHED), ("stopped", STOPPED))
    for code, damages in table.items()
    for damage in damages
]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The outputs to be damaged; copy them first."""
    folder = tmp_path_factory.mktemp("sound")
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        finished(folder / "finished")
        stopped(folder / "stopped")
    return {"finished": folder / "finished", "stopped": folder / "stopped"}


def test_nothing_is_found_in_sound_outputs(sound: dict[str, Path]) -> None:
    assert found(sound["finished"]) == (set(), set())
    assert found(sound["stopped"]) == (set(), {"uncommitted"})


def test_every_kind_of_damage_is_tried() -> None:
    assert {code for code, flaw in FLAWS.items() if flaw.damage} == {*FINISHED, *STOPPED}


@pytest.mark.parametrize(("sort", "code", "damage"), ALL)
def test_every_damage_is_found(sound: dict[str, Path], tmp_path: Path, sort: str, code: str, damage: Damage) -> None:
    for seed in range(4):
        root = tmp_path / str(seed)
        shutil.copytree(sound[sort], root)
        damage(root, random.Random(seed))
        before = tree(root)
        assert code in found(root)[0], f"seed {seed}"
        assert tree(root) == before


@settings(max_examples=60, deadline=None)
@given(chosen=st.sampled_from([param.values for param in ALL]), seed=st.integers(0, 2**32))
def test_any_single_damage_is_found_and_nothing_is_altered(
    sound: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, chosen: tuple[str, str, Damage], seed: int
) -> None:
    sort, code, damage = chosen
    root = tmp_path_factory.mktemp("damaged") / "out"
    shutil.copytree(sound[sort], root)
    damage(root, random.Random(seed))
    before = tree(root)
    assert code in found(root)[0]
    assert tree(root) == before
    shutil.rmtree(root)
