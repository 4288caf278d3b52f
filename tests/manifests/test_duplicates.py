"""Keys that the manifest names again: refused, left out or numbered, and the same in every later run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import ManifestError
from pipeline.manifests.duplicates import OnDuplicateKey
from pipeline.manifests.plan import PlannedManifest
from tests.manifests.job import Job, captions, images
from tests.manifests.pages import listing, opened
from tests.manifests.tars import write_tar


def job_of(tmp_path: Path, policy: OnDuplicateKey) -> Job:
    job = Job(tmp_path / "out")
    job.on_duplicate_key = policy
    return job


def test_an_error_names_a_key_and_where_it_stands(tmp_path: Path) -> None:
    listing(tmp_path / "x.jsonl", *images("a", "b"))
    listing(tmp_path / "y.jsonl", *images("c", "b"))
    with pytest.raises(ManifestError, match=r"'b' again in row 2 of .*y\.jsonl\. Set .* manifest\.on_duplicate_key"):
        job_of(tmp_path, "error").run(opened(tmp_path / "*.jsonl"))


def test_the_first_is_kept_and_the_others_are_counted(tmp_path: Path) -> None:
    job = job_of(tmp_path, "first")
    listing(tmp_path / "x.jsonl", *images("a", "b", "a", "a"))
    listing(tmp_path / "y.jsonl", *images("b", "c"))
    plan = job.run(opened(tmp_path / "*.jsonl"))
    assert (job.todo(), plan.repeated) == (captions("a", "b", "c"), 3)
    # The first one goes: what was left out for it is planned now.
    listing(tmp_path / "x.jsonl", *images("a"))
    job.run(opened(tmp_path / "*.jsonl"))
    assert sorted(job.todo()) == captions("a", "b", "c")


def test_numbers_follow_the_order_and_stay(tmp_path: Path) -> None:
    job = job_of(tmp_path, "number")
    listing(tmp_path / "x.jsonl", *images("a", "b", "a", "a"))
    listing(tmp_path / "y.jsonl", *images("b", "c"))
    plan = job.run(opened(tmp_path / "*.jsonl"))
    assert (job.todo(), plan.repeated) == (captions("a", "b", "a#2", "a#3", "b#2", "c"), 3)
    job.settle(*captions("a#2", "b#2"))
    before = job.plan.generation
    job.run(opened(tmp_path / "*.jsonl"))
    assert job.plan.generation == before
    # Appended: only what is new is new, and shards of the other file stay.
    listing(tmp_path / "y.jsonl", *images("b", "c", "a", "b"))
    listing(tmp_path / "z.jsonl", *images("a"))
    plan = job.run(opened(tmp_path / "*.jsonl"))
    assert sorted(job.todo()) == captions("a", "a#3", "a#4", "a#5", "b", "b#3", "c")
    assert plan.new_rows == 4, "c moves, three are new"
    # A file before the others takes the names; nothing is planned twice.
    listing(tmp_path / "w.jsonl", *images("a"))
    job.run(opened(tmp_path / "*.jsonl"))
    assert sorted(job.todo()) == captions("a", "a#3", "a#4", "a#5", "a#6", "b", "b#3", "c")


def test_rows_of_two_files_are_told_apart_wherever_the_files_meet(tmp_path: Path) -> None:
    """Repeated rows are kept in groups by their number, and one group holds an end and a beginning."""
    listing(tmp_path / "x.jsonl", *images("a", *map(str, range(300)), "a"))
    listing(tmp_path / "y.jsonl", *images("a", *map(str, range(300, 697))))
    job = job_of(tmp_path, "number")
    job.run(opened(tmp_path / "*.jsonl"))
    assert [key for key, _ in job.todo() if "a" in key] == ["a", "a#2", "a#3"]


def test_a_numbered_row_is_found_again_by_a_run_that_did_not_plan(tmp_path: Path) -> None:
    write_tar(tmp_path / "x.tar", ("a.jpg", b"1"), ("b.jpg", b"2"), ("a.jpg", b"3"), ("a#x.jpg", b"4"))
    job = job_of(tmp_path, "number")
    plan = job.run(opened(tmp_path / "x.tar"))
    units = {unit.name: unit for unit in opened(tmp_path / "x.tar")}
    [shard] = plan.active
    found = [(row.key, row.data) for row in PlannedManifest(plan, units).scan(shard)]
    assert found == [("a", b"1"), ("b", b"2"), ("a#2", b"3"), ("a#x", b"4")]


def test_a_number_never_takes_a_name_that_is_another_rows(tmp_path: Path) -> None:
    listing(tmp_path / "x.jsonl", *images("a", "a#2", "a"))
    with pytest.raises(ManifestError, match=r"'a#2' again in row 3"):
        job_of(tmp_path, "number").run(opened(tmp_path / "x.jsonl"))


def test_an_error_is_one_for_files_planned_under_another_rule_too(tmp_path: Path) -> None:
    job = job_of(tmp_path, "first")
    listing(tmp_path / "x.jsonl", *images("a", "a"))
    job.run(opened(tmp_path / "*.jsonl"))
    job.on_duplicate_key = "error"
    job.run(opened(tmp_path / "*.jsonl"))  # nothing has changed
    listing(tmp_path / "y.jsonl", *images("b"))
    with pytest.raises(ManifestError, match="'a' again"):
        job.run(opened(tmp_path / "*.jsonl"))


FILES = st.lists(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=8), min_size=1, max_size=3)


@settings(max_examples=40, deadline=None)
@given(nights=st.lists(FILES, min_size=1, max_size=4), policy=st.sampled_from(["first", "number"]), data=st.data())
def test_any_manifests_night_after_night(
    tmp_path_factory: pytest.TempPathFactory, nights: list[list[list[str]]], policy: OnDuplicateKey, data: st.DataObject
) -> None:
    """Every wanted name is settled or to do exactly once, whatever changed in the night."""
    folder = tmp_path_factory.mktemp("nights")
    job, settled = job_of(folder, policy), set[str]()
    for files in nights:
        for old in folder.glob("*.jsonl"):
            old.unlink()
        for number, names in enumerate(files):
            listing(folder / f"{number}.jsonl", *images(*names))
        job.run(opened(folder / "*.jsonl"))
        wanted, seen = set[str](), dict[str, int]()
        for name in (name for names in files for name in names):
            seen[name] = seen.get(name, 0) + 1
            if seen[name] == 1 or policy == "number":
                wanted.add(name if seen[name] == 1 else f"{name}#{seen[name]}")
        todo = [key for key, _ in job.todo()]
        assert sorted(todo) == sorted(wanted - settled)
        done = data.draw(st.sets(st.sampled_from(todo))) if todo else set()
        job.settle(*captions(*done))
        settled |= done
