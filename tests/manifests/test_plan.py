"""The plan: shards that never change, and a manifest that grows, shrinks and moves without a question asked twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.core.errors import ManifestError
from pipeline.core.types import Column
from pipeline.manifests import generation
from pipeline.manifests.plan import PlannedManifest, load_plan
from tests.manifests.job import Job, captions, images
from tests.manifests.pages import listing, only, opened, touch


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "run")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "train.jsonl"


def test_a_new_manifest_is_planned_whole(job: Job, page: Path) -> None:
    plan = job.run([only(listing(page, *images("b", "a", "c")))])
    assert (plan.generation, plan.new_rows, plan.vanished) == (1, 3, 0)
    assert [(shard.number, shard.rows, shard.unit, shard.tasks) for shard in plan.active] == [(1, 3, str(page), None)]
    assert job.todo() == captions("b", "a", "c")
    assert job.files() == ["000001.json", "000001.rows"]
    assert list((job.root / "tmp").iterdir()) == []


def test_an_unchanged_manifest_makes_no_generation(job: Job, page: Path) -> None:
    listing(page, *images("a", "b"))
    job.run([only(page)])
    job.settle(("a", "caption"))
    plan = job.run([only(page)])
    assert (plan.generation, plan.new_rows) == (1, 0)
    assert job.todo() == captions("b")
    assert job.files() == ["000001.json", "000001.rows"]


def test_one_more_picture_is_one_more_question(tmp_path: Path, job: Job) -> None:
    touch(tmp_path / "pictures", "a.jpg", "b.jpg", "c.jpg")
    job.run([only(tmp_path / "pictures")])
    job.settle(*captions("a.jpg", "b.jpg", "c.jpg"))
    touch(tmp_path / "pictures", "aa.jpg")

    plan = job.run([only(tmp_path / "pictures")])
    assert (plan.generation, plan.new_rows, plan.vanished) == (2, 1, 0)
    assert job.todo() == captions("aa.jpg")
    assert plan.retired == {1}


def test_a_changed_listing_asks_what_is_new_or_not_done(job: Job, page: Path) -> None:
    job.run([only(listing(page, *images("a", "b", "c", "d")))])
    job.settle(*captions("a", "c"))
    plan = job.run([only(listing(page, *images("e", "d", "c", "b", "a")))])
    assert sorted(job.todo()) == captions("b", "d", "e")
    assert plan.vanished == 0

    plan = job.run([only(listing(page, *images("d", "a")))])
    assert job.todo() == captions("d")
    assert plan.vanished == 3


def test_rows_that_vanish_are_counted_whenever_they_were_settled(job: Job, page: Path) -> None:
    job.run([only(listing(page, *images("a", "b", "c")))])
    job.settle(*captions("a", "b", "c"))
    job.run([only(listing(page, *images("a", "b", "c", "d")))])
    job.settle(("d", "caption"))
    plan = job.run([only(listing(page, *images("b", "c", "d")))])
    assert (plan.new_rows, plan.vanished) == (0, 1)


def test_only_what_a_unit_changed_now_has_lost_is_counted(tmp_path: Path, job: Job) -> None:
    listing(tmp_path / "x.jsonl", *images("a", "c", "e"))
    listing(tmp_path / "y.jsonl", *images("b"))
    job.run(opened(tmp_path / "*.jsonl"))
    listing(tmp_path / "x.jsonl", *images("c"))
    listing(tmp_path / "y.jsonl", *images("b", "a"))
    assert job.run(opened(tmp_path / "*.jsonl")).vanished == 1, "e; the other listing names a"
    listing(tmp_path / "x.jsonl", *images("c", "e"))
    assert job.run(opened(tmp_path / "*.jsonl")).vanished == 0, "a is asked in the other listing, which has not changed"
    listing(tmp_path / "x.jsonl", *images("c"))
    job.run(opened(tmp_path / "*.jsonl"))
    listing(tmp_path / "y.jsonl", *images("b", "a", "d"))
    assert job.run(opened(tmp_path / "*.jsonl")).vanished == 0, "e was told last time"


def test_a_row_that_comes_back_is_not_asked_again(job: Job, page: Path) -> None:
    job.run([only(listing(page, *images("a", "b")))])
    job.settle(("a", "caption"))
    job.run([only(listing(page, *images("c")))])
    job.run([only(listing(page, *images("a", "b", "c")))])
    assert sorted(job.todo()) == captions("b", "c")


def test_a_unit_more_leaves_the_others_alone(tmp_path: Path, job: Job) -> None:
    listing(tmp_path / "x.jsonl", *images("a"))
    job.run(opened(tmp_path / "*.jsonl"))
    listing(tmp_path / "y.jsonl", *images("b"))
    plan = job.run(opened(tmp_path / "*.jsonl"))
    assert (plan.new_rows, plan.retired) == (1, set())
    assert [shard.unit for shard in plan.active] == [f"{tmp_path}/x.jsonl", f"{tmp_path}/y.jsonl"]
    assert job.todo() == captions("a", "b")


def test_a_unit_that_is_gone_is_asked_no_more(tmp_path: Path, job: Job) -> None:
    listing(tmp_path / "x.jsonl", *images("a", "b"))
    listing(tmp_path / "y.jsonl", *images("c"))
    job.run(opened(tmp_path / "*.jsonl"))
    job.settle(("a", "caption"))
    (tmp_path / "x.jsonl").unlink()
    plan = job.run(opened(tmp_path / "*.jsonl"))
    assert (plan.vanished, job.todo()) == (2, captions("c"))
    assert job.run(opened(tmp_path / "*.jsonl")).generation == 2


def test_rows_moved_to_another_unit_stay_what_they_are(tmp_path: Path, job: Job) -> None:
    listing(tmp_path / "x.jsonl", *images("a", "b", "c"))
    job.run(opened(tmp_path / "*.jsonl"))
    job.settle(("a", "caption"))
    (tmp_path / "x.jsonl").unlink()
    listing(tmp_path / "y.jsonl", *images("c", "b", "a"))
    plan = job.run(opened(tmp_path / "*.jsonl"))
    assert plan.vanished == 0
    assert sorted(job.todo()) == captions("b", "c")


def test_keys_that_stand_twice_are_named_before_anything_is_planned(tmp_path: Path, job: Job) -> None:
    listing(tmp_path / "x.jsonl", *images("a", "b", "a", "c", "b"))
    with pytest.raises(
        ManifestError, match=r"names keys more than once \(2 times too often\), for example 'a' again in row 3 of "
    ):
        job.run(opened(tmp_path / "x.jsonl"))
    assert load_plan(job.root / "plan").generation == 0
    listing(tmp_path / "x.jsonl", *images(*"abcdeedcba"))
    with pytest.raises(
        ManifestError, match=r"\(5 times too often\), for example 'e' again in row 6 of .*'d' .*'c' .*\. Set"
    ):
        job.run(opened(tmp_path / "x.jsonl"))

    listing(tmp_path / "x.jsonl", *images("a", "b"))
    job.run(opened(tmp_path / "*.jsonl"))
    listing(tmp_path / "y.jsonl", *images("c", "b"))
    with pytest.raises(ManifestError, match=r"names keys more than once \(1 times too often\), for example 'b' again"):
        job.run(opened(tmp_path / "*.jsonl"))
    assert load_plan(job.root / "plan").generation == 1


def test_broken_lines_of_two_listings_are_told_apart(tmp_path: Path, job: Job) -> None:
    for folder in ("x", "y"):
        listing(tmp_path / folder / "train.jsonl", *images(f"{folder}.jpg"), b"broken")
    job.run(opened(tmp_path / "*/train.jsonl"))
    assert sorted(job.todo()) == captions("x.jpg", "x/train.jsonl:2", "y.jpg", "y/train.jsonl:2")


# Tasks that come and go


def test_a_new_task_asks_only_itself_of_what_is_there(job: Job, page: Path) -> None:
    listing(page, *images("a", "b"))
    job.run([only(page)])
    job.settle(*captions("a", "b"))
    plan = job.run([only(page)], "caption", "ocr")
    assert plan.generation == 1
    assert job.todo() == [("a", "ocr"), ("b", "ocr")]


def test_a_new_task_on_a_grown_output_asks_only_itself(job: Job, page: Path) -> None:
    job.run([only(listing(page, *images("a", "b")))])
    job.settle(("a", "caption"))
    job.run([only(listing(page, *images("a", "b", "c")))])
    job.settle(("c", "caption"))
    job.run([only(page)], "caption", "ocr")
    assert sorted(job.todo()) == [("a", "ocr"), ("b", "caption"), ("b", "ocr"), ("c", "ocr")]
    assert job.run([only(page)], "caption", "ocr").generation == 3, "covered now"


def test_a_task_that_comes_back_finds_its_answers(job: Job, page: Path) -> None:
    both = ("caption", "ocr")
    job.run([only(listing(page, *images("a", "b")))], *both)
    job.settle(("a", "caption"), ("a", "ocr"), ("b", "ocr"))
    job.run([only(listing(page, *images("a", "b", "c")))], "caption")
    job.settle(("c", "caption"))
    job.run([only(page)], *both)
    assert sorted(job.todo()) == [("b", "caption"), ("c", "ocr")]


# What is kept on the disk


def test_kept_columns_are_fixed_with_the_first_generation(job: Job, page: Path) -> None:
    first = job.run([only(listing(page, {"image": "a", "n": 1}), keep=("n",))])
    assert first.kept == [Column("n", "int")]
    grown = job.run([only(listing(page, {"image": "a", "n": 1}, {"image": "b", "n": 0.5}), keep=("n",))])
    assert grown.kept == [Column("n", "int")]


def test_a_kept_column_that_differs_between_units_is_text(tmp_path: Path, job: Job) -> None:
    listing(tmp_path / "x.jsonl", {"image": "a", "n": 1, "m": 1})
    listing(tmp_path / "y.jsonl", {"image": "b", "n": 1, "m": "one"})
    units = opened(tmp_path / "*.jsonl", keep=("n", "m"))
    assert job.run(units).kept == [Column("n", "int"), Column("m", "string")]


def test_shards_are_split_and_numbered_on(job: Job, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert generation.SHARD_ROWS == 20_000
    monkeypatch.setattr(generation, "SHARD_ROWS", 3)
    plan = job.run([only(listing(page, *images(*"abcdefgh")))])
    assert [(shard.number, shard.rows) for shard in plan.active] == [(1, 3), (2, 3), (3, 2)]
    assert job.todo() == captions(*"abcdefgh")
    assert [row.ordinal for row in plan.placed(2)] == [0, 1, 2]

    plan = job.run([only(listing(page, *images(*"abcdefghi")))])
    assert [(shard.number, shard.rows) for shard in plan.active] == [(4, 3), (5, 3), (6, 2), (7, 1)]
    assert plan.retired == {1, 2, 3}
    reloaded = load_plan(job.root / "plan")
    assert reloaded.shards == plan.shards
    assert reloaded.retired == plan.retired


def test_a_listing_is_whole_before_the_next_one_begins(
    tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else thousands of listings would each hold back a part of a shard in memory."""
    monkeypatch.setattr(generation, "SHARD_ROWS", 2)
    listing(tmp_path / "x.jsonl", *images("a", "b", "c"))
    listing(tmp_path / "y.jsonl", *images("d", "e", "f"))
    plan = job.run(opened(tmp_path / "*.jsonl"))
    assert [(shard.rows, shard.unit[-7:]) for shard in plan.active] == [
        (2, "x.jsonl"),
        (1, "x.jsonl"),
        (2, "y.jsonl"),
        (1, "y.jsonl"),
    ]


def test_shard_numbers_are_never_used_again(job: Job, page: Path) -> None:
    """An answer is filed under its shard's number for ever."""
    job.run([only(listing(page, *images("a")))])
    job.run([only(listing(page))])
    assert job.plan.active == []
    plan = job.run([only(listing(page, *images("b")))])
    assert [shard.number for shard in plan.active] == [2]


def test_a_planning_that_was_killed_is_done_again(job: Job, page: Path) -> None:
    job.run([only(listing(page, *images("a")))])
    shutil.copy(job.root / "plan/000001.rows", job.root / "plan/000002.rows")  # its .json never came
    (job.root / "tmp/000002.rows").write_bytes(b"half")
    assert load_plan(job.root / "plan").generation == 1

    job.run([only(listing(page, *images("a", "b")))])
    assert job.plan.generation == 2
    assert sorted(job.todo()) == captions("a", "b")


def test_a_damaged_plan_is_named(job: Job, page: Path) -> None:
    plan = job.run([only(listing(page, *images("a")))])
    (job.root / "plan/000001.rows").write_bytes(b"not arrow")
    with pytest.raises(ManifestError, match=r"Cannot read .*000001\.rows"):
        list(plan.placed(1))
    (job.root / "plan/000001.json").write_bytes(b"{")
    with pytest.raises(ManifestError, match=r"Cannot read the plan .*000001\.json"):
        load_plan(job.root / "plan")


def test_the_engine_reads_rows_through_the_plan(job: Job, page: Path) -> None:
    plan = job.run([only(listing(page, {"image": "a", "n": 1}, {"image": "b"}), keep=("n",))])
    source = PlannedManifest(plan, {str(page): only(page, keep=("n",))})
    [shard] = source.shards
    assert [(row.shard, row.ordinal, row.key, row.columns) for row in source.scan(shard)] == [
        (1, 0, "a", {"n": 1}),
        (1, 1, "b", {"n": None}),
    ]
    listing(page, *images("a", "b"))
    with pytest.raises(ManifestError, match=r"was changed after it was planned. Run the same command again"):
        source.scan(shard)
