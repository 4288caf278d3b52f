"""A look at rows and at the pictures that lie at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.compose import OpenTask, open_tasks
from pipeline.config import Config
from pipeline.core.errors import ItemError
from pipeline.core.types import ManifestRow, Prompt
from pipeline.images.rules import ServerRules
from pipeline.survey import survey
from tests.support.pictures import picture

RULES = ServerRules(frozenset({"JPEG"}), None, None)


def tasks() -> dict[str, OpenTask]:
    return open_tasks(
        Config.model_validate(
            {
                "run": {"output": "out"},
                "manifest": {"path": "m.jsonl"},
                "provider": {"dialect": "generic", "model": "qwen2.5-vl"},
                "tasks": [{"kind": "caption", "context": ["title"]}],
            }
        )
    )


def test_context_is_counted_and_nothing_is_fetched_from_the_web() -> None:
    rows = [ManifestRow(1, n, str(n), "", url="https://example.com", columns={"title": "x" * 40}) for n in range(3)]
    found = survey(rows, tasks(), RULES, about=3)
    assert (found.rows, found.pictures, found.size.value, found.usable) == (3, 0, None, 1.0)
    text = found.row_text["caption"].value
    assert text is not None
    assert 40 / 4 < text < 100 / 4


def test_pictures_in_the_manifest_are_looked_at_a_few_at_each_place() -> None:
    source = picture(1)
    rows = [ManifestRow(shard, n, "", "", data=source) for shard in (1, 2) for n in range(50)]
    found = survey(rows, tasks(), RULES, about=100)
    assert (found.pictures, found.size.value) == (8, len(source))
    assert [mean.count for mean in found.image_tokens.values()] == [8]


def test_at_most_64_files_are_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(picture(1))
    rows = [ManifestRow(1, n, "", "", path=str(path), size=7) for n in range(1000)]
    found = survey(rows, tasks(), RULES, about=1000)
    assert 50 <= found.pictures <= 64
    assert (found.size.value, found.size.count) == (7, 1000)


class Demanding(OpenTask):
    """Wants every row to bring a question."""

    def prompt(self, columns: Any, images: Any) -> Prompt:
        if "question" not in columns:
            raise ItemError("bad_row", "it brings no question")
        return Prompt(self.fixed, None, images, columns["question"])


def demanding_task() -> Demanding:
    (task,) = tasks().values()
    return Demanding(**{name: getattr(task, name) for name in OpenTask.__slots__})


def test_the_rows_own_questions_are_counted() -> None:
    rows = [ManifestRow(1, n, "", "", columns={"question": "?" * 40 * n}) for n in range(3)]
    assert survey(rows, {"ask": demanding_task()}, RULES, about=3).row_text["ask"].value == 10


def test_a_row_that_cannot_be_asked_is_told() -> None:
    demanding = demanding_task()
    problem = ManifestRow(1, 0, "", "", problem=ItemError("no_image", ""))
    found = survey([problem, replace(problem, problem=None)], {"caption": demanding}, RULES, about=2)
    assert found.unusable == {"no_image": 1, "bad_row": 1}
    assert found.usable == 0
