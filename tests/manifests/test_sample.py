"""A few rows, spread over the plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.manifests import sample
from pipeline.manifests.comparison import NothingAsked
from pipeline.manifests.growth import grow_plan
from pipeline.manifests.plan import PlannedManifest, load_plan
from pipeline.manifests.sample import sampled
from tests.manifests.pages import only


@pytest.fixture
def source(tmp_path: Path) -> PlannedManifest:
    """Twenty listings of ten rows."""
    units = []
    for number in range(20):
        page = tmp_path / f"{number:02}.jsonl"
        page.write_text("".join(f'{{"image": "{number}-{row}.jpg"}}\n' for row in range(10)))
        units.append(only(page))
    plan = grow_plan(load_plan(tmp_path / "plan"), units, ["caption"], NothingAsked(), tmp_path / "tmp")
    return PlannedManifest(plan, {unit.name: unit for unit in units})


def keys(source: PlannedManifest, most: int, shards: int = 20, wanted: int = 10) -> list[str]:
    rows = sampled(source, source.shards[:shards], lambda _, ordinal: ordinal < wanted, most)
    return [Path(row.key).stem for row in rows]


def test_all_of_a_few(source: PlannedManifest) -> None:
    assert len(keys(source, 100, shards=3)) == 30
    assert keys(source, 100, shards=2, wanted=2) == ["0-0", "0-1", "1-0", "1-1"]
    assert keys(source, 100, shards=0) == []


def test_the_first_and_the_last_of_many(source: PlannedManifest) -> None:
    found = keys(source, 32)
    assert len(found) == 32
    assert found[:2] == ["0-0", "0-1"]
    assert found[-2:] == ["19-8", "19-9"]
    assert len({name.split("-")[0] for name in found}) == 16


def test_pictures_in_the_manifest_are_left_after_a_few(
    source: PlannedManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "HEAVY_BYTES", 0)  # any row is too much
    assert keys(source, 100, shards=3) == ["0-0", "1-0", "2-0"]
