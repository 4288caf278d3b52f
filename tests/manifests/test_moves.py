"""Rows that get a new place: what was spent on them comes along, and what ended may be asked again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from pipeline.core.errors import ManifestError
from pipeline.core.outcomes import Move, Spent
from pipeline.core.types import RowId
from pipeline.manifests.growth import is_outdated
from pipeline.manifests.listing import Listing
from pipeline.manifests.plan import load_plan
from pipeline.manifests.unit import PlannedRow
from tests.manifests.job import QUARTER, Job, captions, images
from tests.manifests.pages import listing, only, opened


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "run")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "train.jsonl"


def seen(page: Path) -> dict[str, str]:
    unit = only(page)
    return {unit.name: unit.fingerprint()}


def test_what_was_spent_goes_to_the_new_place(job: Job, page: Path) -> None:
    job.run([only(listing(page, *images("a", "b", "c")))], "caption", "ocr")
    job.settle(("a", "ocr"), ("b", "caption"), ("b", "ocr"))
    job.spend(QUARTER, ("a", "caption"))
    job.spend(Spent(1, 0, None), ("c", "ocr"))
    plan = job.run([only(listing(page, *images("c", "b", "a", "d")))], "caption", "ocr")
    assert [(shard.number, shard.tasks) for shard in plan.active] == [
        (2, ("caption", "ocr")),
        (3, ("caption",)),
        (4, None),
    ]
    assert plan.moved == [Move("ocr", 1, 2, 2, 0, 1, 0, None), Move("caption", 1, 0, 3, 0, 2, 1, 0.25)]
    assert load_plan(job.root / "plan").moved == plan.moved

    plan = job.run([only(listing(page, *images("a", "c")))], "caption", "ocr")
    assert plan.moved[2:] == [Move("caption", 3, 0, 5, 0, 2, 1, 0.25), Move("ocr", 2, 0, 6, 0, 1, 0, None)]
    assert [(question, job.account(row)) for question, row in job.places()] == [
        (("a", "caption"), QUARTER),
        (("c", "caption"), Spent()),
        (("c", "ocr"), Spent(1, 0, None)),
    ]


def test_a_row_that_comes_back_finds_what_was_spent_long_ago(job: Job, page: Path) -> None:
    job.run([only(listing(page, *images("a", "b")))])
    job.spend(QUARTER, ("a", "caption"))
    assert job.run([only(listing(page, *images("b")))]).moved == []
    assert job.run([only(listing(page, *images("b", "c")))]).moved == []
    plan = job.run([only(listing(page, *images("c", "a")))])
    assert plan.moved == [Move("caption", 1, 0, 5, 1, 2, 1, 0.25)]
    assert len(job.run([only(listing(page, *images("a")))]).moved) == 2, "from its last place only"


def test_each_former_place_is_moved_by_itself(job: Job, page: Path) -> None:
    """A version that knew no moves left the same picture unsettled in two retired shards."""
    job.run([only(listing(page, *images("a", "b")))])
    job.run([only(listing(page, *images("a")))])
    job.spent = {RowId("caption", 1, 0): QUARTER, RowId("caption", 2, 0): Spent(1, 1, 0.5)}
    plan = job.run([only(listing(page, *images("c", "a")))])
    assert plan.moved == [Move("caption", 1, 0, 4, 0, 2, 1, 0.25), Move("caption", 2, 0, 4, 0, 1, 1, 0.5)]
    assert job.account(RowId("caption", 4, 0)) == Spent(3, 2, 0.75)


def test_what_is_settled_anywhere_is_not_moved(job: Job, page: Path) -> None:
    both = ("caption", "ocr")
    job.run([only(listing(page, *images("a", "b")))], *both)
    job.run([only(listing(page, *images("a")))], *both)
    job.spent[RowId("caption", 1, 0)] = QUARTER
    job.settle(("a", "caption"))
    plan = job.run([only(listing(page, *images("a", "c")))], *both)
    assert (plan.moved, job.todo()) == ([], [("a", "ocr"), ("c", "caption"), ("c", "ocr")])


def test_a_record_of_an_older_version_has_no_moves(job: Job, page: Path) -> None:
    job.run([only(listing(page, *images("a")))])
    path = job.root / "plan/000001.json"
    record = orjson.loads(path.read_bytes())
    assert record.pop("moved") == []
    path.write_bytes(orjson.dumps(record))
    assert load_plan(job.root / "plan").moved == []
    path.write_bytes(orjson.dumps(record | {"moved": [["caption", 1]]}))
    with pytest.raises(ManifestError, match=r"Cannot read the plan .*000001\.json"):
        load_plan(job.root / "plan")


# Rows that ended in a retired shard and are to be asked again


def test_a_reopened_row_of_an_unchanged_listing_gets_a_new_place(job: Job, page: Path) -> None:
    both = ("caption", "ocr")
    job.run([only(listing(page, *images("a", "b")))], *both)
    job.spend(QUARTER, ("a", "caption"), ("b", "caption"))
    job.settle(("a", "caption"), ("b", "caption"))
    job.run([only(listing(page, *images("c", "b", "a")))], *both)
    assert job.todo() == [("c", "caption"), ("c", "ocr"), ("b", "ocr"), ("a", "ocr")]

    job.reopen(("a", "caption"))
    assert is_outdated(job.plan, seen(page), both, job.reopened)
    assert not is_outdated(job.plan, seen(page), both)
    plan = job.run([only(page)], *both)
    assert (plan.generation, plan.new_rows, plan.vanished, plan.unplaced, plan.retired) == (3, 1, 0, 0, {1})
    assert [(shard.number, shard.rows, shard.tasks) for shard in plan.active] == [
        (2, 1, None),
        (3, 2, ("ocr",)),
        (4, 1, ("caption",)),
    ]
    assert plan.moved == [Move("caption", 1, 0, 4, 0, 2, 1, 0.25)]
    assert job.run([only(page)], *both).generation == 3
    plan = job.run([only(page)], *both, "moderate")
    assert sorted(job.todo()) == sorted(
        [(key, task) for key in "abc" for task in (*both, "moderate") if (key, task) != ("b", "caption")]
    )


def test_a_reopened_row_that_cost_nothing_is_placed_too(job: Job, page: Path) -> None:
    job.run([only(listing(page, *images("a", "b")))])
    job.settle(*captions("a", "b"))
    job.run([only(listing(page, *images("b", "a")))])
    job.reopen(("b", "caption"))
    assert job.run([only(page)]).moved == [Move("caption", 1, 1, 2, 0, 0, 0, 0.0)]
    assert job.todo() == captions("b")


def test_only_the_tasks_named_are_asked_again(job: Job, page: Path) -> None:
    both = ("caption", "ocr")
    job.run([only(listing(page, *images("a")))], *both)
    job.settle(("a", "caption"), ("a", "ocr"))
    job.run([only(listing(page, *images("a")))], *both)
    job.reopen(("a", "caption"), ("a", "ocr"))
    job.reopened = {("ocr", 1)}
    assert job.run([only(page)], *both).moved == [Move("ocr", 1, 0, 2, 0, 0, 0, 0.0)]
    assert job.todo() == [("a", "ocr")]


def test_reopened_rows_that_the_manifest_no_longer_names_are_counted(job: Job, page: Path) -> None:
    job.run([only(listing(page, *images("a", "b", "c")))])
    job.settle(*captions("a", "b", "c"))
    job.run([only(listing(page, *images("c")))])
    files = job.files()
    job.reopen(*captions("a", "b"))
    plan = job.run([only(page)])
    assert (plan.generation, plan.unplaced, job.files(), job.todo()) == (2, 2, files, [])

    job.reopened = {("caption", 1)}
    plan = job.run([only(listing(page, *images("c", "b")))])
    assert (plan.generation, plan.unplaced, job.todo()) == (3, 1, captions("b"))


def test_a_reopened_row_is_planned_where_a_changed_listing_names_it(tmp_path: Path, job: Job) -> None:
    listing(tmp_path / "a.jsonl", *images("a", "z"))
    job.run(opened(tmp_path / "*.jsonl"))
    job.settle(*captions("a", "z"))
    listing(tmp_path / "a.jsonl", *images("z", "a"))
    listing(tmp_path / "b.jsonl", *images("b"))
    job.run(opened(tmp_path / "*.jsonl"))
    listing(tmp_path / "b.jsonl", *images("b", "a"))  # not refused: what is settled is not compared between listings
    job.reopen(("a", "caption"))
    plan = job.run(opened(tmp_path / "*.jsonl"))
    assert sorted(job.todo()) == captions("a", "b")
    assert {plan.shards[move.to_shard].unit[-7:] for move in plan.moved} == {"b.jsonl"}


def test_a_reopened_row_that_two_unchanged_listings_name_is_planned_once(tmp_path: Path, job: Job) -> None:
    listing(tmp_path / "a.jsonl", *images("a", "b"))
    job.run(opened(tmp_path / "*.jsonl"))
    job.settle(*captions("a", "b"))
    listing(tmp_path / "a.jsonl", *images("b", "a"))
    job.run(opened(tmp_path / "*.jsonl"))
    listing(tmp_path / "b.jsonl", *images("a"))
    job.run(opened(tmp_path / "*.jsonl"))
    job.reopen(("a", "caption"))
    assert len(job.run(opened(tmp_path / "*.jsonl")).moved) == 1
    assert job.todo() == captions("a")


def test_what_is_asked_already_is_not_placed_again(job: Job, page: Path) -> None:
    """A version that knew no moves planned a row anew and kept its failure in the retired shard."""
    job.run([only(listing(page, *images("a")))])
    job.run([only(listing(page, *images("b", "a")))])
    job.spent[RowId("caption", 1, 0)] = QUARTER
    job.reopened = {("caption", 1)}
    plan = job.run([only(page)])
    assert (plan.generation, plan.unplaced, job.todo()) == (2, 0, captions("b", "a"))


def test_only_retired_shards_and_tasks_of_today_are_reopened(job: Job, page: Path) -> None:
    job.run([only(listing(page, *images("a")))], "caption", "ocr")
    job.settle(("a", "caption"), ("a", "ocr"))
    job.reopen(("a", "caption"))
    assert not is_outdated(job.plan, seen(page), ["caption"], job.reopened), "it is asked again where it is"
    assert job.run([only(page)], "caption", "ocr").generation == 1
    assert job.todo() == captions("a")
    job.run([only(listing(page, *images("a")))], "caption")
    job.reopened = {("ocr", 1), ("caption", 99)}
    assert not is_outdated(job.plan, seen(page), ["caption"], job.reopened)
    assert job.run([only(page)], "caption").generation == 2


def test_a_listing_that_changes_while_it_is_planned_is_refused(
    job: Job, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers of its rows would stand for others."""
    job.run([only(listing(page, *images("a", "b")))])
    job.settle(("a", "caption"))
    unit = only(listing(page, *images("a", "b", "c")))
    rows = Listing.rows

    def rows_then_edited(self: Listing) -> Iterator[PlannedRow]:
        yield from rows(self)
        monkeypatch.setattr(Listing, "rows", rows)
        listing(page, *images("c", "b", "a"))

    monkeypatch.setattr(Listing, "rows", rows_then_edited)
    with pytest.raises(ManifestError, match=r"train.jsonl was changed while it was being planned. Run the same"):
        job.run([unit])
    assert load_plan(job.root / "plan").generation == 1
    job.run([only(page)])
    assert sorted(job.todo()) == captions("b", "c")
