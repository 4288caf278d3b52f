"""What is wrong with settings taken together, and what they become: token budgets and pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.checks import read_config
from pipeline.compose import open_tasks
from pipeline.core.errors import ConfigError
from pipeline.core.pictures import ImageContract, PreparedImage
from pipeline.core.types import Completion, Usage

CONFIG = """
[run]
output = "out"
[manifest]
path = "."
[provider]
dialect = "vllm"
[[tasks]]
kind = "ocr"
[[tasks]]
kind = "caption"
"""
QWEN = "Qwen/Qwen2.5-VL-7B-Instruct"
PICTURE = PreparedImage(b"", "image/png", 1, 1, 1, 1)


def _problems(tmp_path: Path, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_config(_written(tmp_path), overrides)
    return list(caught.value.problems)


def _written(tmp_path: Path) -> Path:
    path = tmp_path / "job.toml"
    path.write_text(CONFIG)
    return path


def _contracts(tmp_path: Path, *overrides: str) -> list[ImageContract]:
    return [task.contract for task in open_tasks(read_config(_written(tmp_path), overrides)).values()]


def test_a_token_budget_needs_a_formula(tmp_path: Path) -> None:
    [problem] = _problems(tmp_path, "images.max_tokens=800", "provider.model=accounts/me/deployments/abc")
    assert problem.startswith("images.max_tokens: how accounts/me/deployments/abc counts")
    assert "images.family" in problem
    assert "qwen2.5-vl" in problem
    # Each task has its model, and each model its formula.
    overrides = ("images.max_tokens=800", f"provider.model={QWEN}", "tasks.1.model=mine")
    [problem] = _problems(tmp_path, *overrides)
    assert "how mine counts" in problem
    named = read_config(_written(tmp_path), (*overrides, "images.family=qwen3-vl"))
    assert {task.contract.family for task in open_tasks(named).values()} == {"qwen3-vl"}


def test_a_family_that_does_not_exist_is_told_with_those_that_do(tmp_path: Path) -> None:
    [problem] = _problems(tmp_path, "images.family=qwen", f"provider.model={QWEN}")
    assert problem.startswith("images.family: there is no family 'qwen'; known are ")
    assert "qwen2.5-vl" in problem


def test_a_budget_that_no_picture_can_meet_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    [problem] = _problems(tmp_path, "images.max_tokens=800", "provider.model=gpt-4o-mini")
    assert problem == "images.max_tokens: to gpt-4o-mini every picture has 8,500 tokens at least"


def test_what_bounds_a_picture(tmp_path: Path) -> None:
    model = f"provider.model={QWEN}"
    assert _contracts(tmp_path, model) == [
        ImageContract(2048, None, "qwen2.5-vl"),
        ImageContract(1024, None, "qwen2.5-vl"),
    ]
    assert _contracts(tmp_path, model, "images.max_tokens=800") == 2 * [ImageContract(None, 800, "qwen2.5-vl")]
    both = _contracts(tmp_path, model, "images.max_tokens=800", "images.max_side=640", "images.pages=all")
    assert both == 2 * [ImageContract(640, 800, "qwen2.5-vl", "all")]
    assert _contracts(tmp_path, "provider.model=mine")[0] == ImageContract(2048)


def _room(tmp_path: Path, pages: int, *overrides: str) -> list[int]:
    """The longest answer of each task about so many pages, in tokens."""
    page = PreparedImage(b"", "image/png", 8, 8, 8, 8)
    tasks = open_tasks(read_config(_written(tmp_path), ("provider.model=m", "images.pages=all", *overrides)))
    return [task.prompt({}, (page,) * pages).fixed.max_tokens for task in tasks.values()]


def test_the_text_of_many_pages_has_room_and_a_caption_stays_a_caption(tmp_path: Path) -> None:
    assert _room(tmp_path, 1) == [3000, 300]
    assert _room(tmp_path, 4) == [12_000, 300]
    assert _room(tmp_path, 30) == [16_384, 300], "most windows hold no more"
    assert _room(tmp_path, 4, "tasks.0.max_tokens=500") == [500, 300], "what a person says stands"


def test_the_pages_of_a_document_are_counted_beside_its_text(tmp_path: Path) -> None:
    tasks = open_tasks(read_config(_written(tmp_path), ("provider.model=m",)))
    answer = Completion("language: en\n\nHello", "stop", None, None, Usage())
    assert tasks["ocr"].parse(answer, 12)["pages"] == 12
    assert tasks["ocr"].parse(answer, None)["pages"] is None
    assert "pages" not in tasks["caption"].parse(answer, 12)


def test_only_a_run_over_whole_documents_speaks_of_pages(tmp_path: Path) -> None:
    words = [
        open_tasks(read_config(_written(tmp_path), ("provider.model=m", f"images.pages={pages}")))[
            "ocr"
        ].fixed.instructions
        for pages in ("first", "all")
    ]
    assert ["pages of one document" in text for text in words] == [False, True]


def test_a_field_called_pages_is_the_models_answer_and_not_counted(tmp_path: Path) -> None:
    schema = '{"properties": {"pages": {"type": "integer"}}}'
    overrides = ("provider.model=m", "tasks.0.kind=ask", "tasks.0.question=How many?", f"tasks.0.schema={schema}")
    task = open_tasks(read_config(_written(tmp_path), overrides))["ask"]
    answer = Completion('{"pages": 7}', "stop", None, None, Usage())
    assert task.parse(answer, 12) == {"pages": 7}


def _image_first(tmp_path: Path, *overrides: str) -> list[bool]:
    tasks = open_tasks(read_config(_written(tmp_path), (f"provider.model={QWEN}", *overrides)))
    assert all(task.prompt({}, (PICTURE,)).image_first == task.image_first for task in tasks.values())
    return [task.image_first for task in tasks.values()]


def test_tasks_that_are_sent_the_same_pictures_put_them_first(tmp_path: Path) -> None:
    assert _image_first(tmp_path) == [False, False], "by default each task has its own size"
    shared = "images.max_side=1024"
    assert _image_first(tmp_path, shared) == [True, True]
    assert _image_first(tmp_path, shared, "tasks.1.model=another") == [False, False]
    assert _image_first(tmp_path, shared, "provider.layout=text_first") == [False, False]
    assert _image_first(tmp_path, "provider.layout=image_first") == [True, True]
    assert _image_first(tmp_path, "images.max_side=64") == [False, False], "so small, it costs less than the texts"
    assert _image_first(tmp_path, shared, "provider.dialect=embedded", "provider.layout=image_first") == [False, False]


def test_what_a_picture_costs_where_no_formula_is_known_is_taken_to_be_like_most(tmp_path: Path) -> None:
    assert _image_first(tmp_path, "images.max_side=1024", "provider.model=mine") == [True, True]
