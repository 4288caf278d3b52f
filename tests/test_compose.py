"""What a configuration alone decides about its prompts."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.compose import open_tasks, orders_of
from pipeline.config import Config

TASKS = ({"kind": "caption"}, {"kind": "caption", "name": "again"})


def orders(provider: dict[str, Any], tasks: tuple[dict[str, Any], ...] = TASKS) -> set[tuple[bool, str]]:
    """Whether pictures stand first, and why, over all tasks."""
    config = Config.model_validate(
        {
            "manifest": {"path": ["."]},
            "provider": {"dialect": "llamacpp", "model": "qwen2.5-vl", **provider},
            "tasks": list(tasks),
            "run": {"output": "out"},
        }
    )
    opened = open_tasks(config)
    found = orders_of(config, opened)
    assert {name: task.image_first for name, task in opened.items()} == {
        name: order.image_first for name, order in found.items()
    }
    return {(order.image_first, order.because.partition(":")[0]) for order in found.values()}


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ({}, (True, "2 questions share a picture")),
        ({"layout": "text_first"}, (False, "provider.layout = 'text_first'")),
        ({"api": "completions"}, (True, "2 questions share a picture")),
        ({"api": "completions", "template": "{text} {images}"}, (False, "provider.template says so")),
        ({"api": "completions", "template": "{images} {text}"}, (True, "provider.template says so")),
        ({"model": "Llama-3.2-11B-Vision"}, (True, "the model takes pictures first")),
        (
            {"model": "Llama-3.2-11B-Vision", "layout": "text_first"},
            (True, "the model takes pictures first"),
        ),
        ({"dialect": "embedded", "model": "ours"}, (False, "the server keeps no cache")),
    ],
)
def test_what_stands_first(provider: dict[str, Any], expected: tuple[bool, str]) -> None:
    assert orders(provider) == {expected}


def test_one_question_a_picture_has_its_text_first() -> None:
    assert orders({}, TASKS[:1]) == {(False, "one question a picture")}
    asked = {"kind": "ask", "question_from": "question"}
    assert orders({}, (asked,)) == {(True, "2 questions share a picture")}
