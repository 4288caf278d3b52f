"""The error tree and the closed table of kinds are what the other rooms and the readers rely on."""

from __future__ import annotations

import inspect
import re
from typing import get_args

import pytest

from pipeline.core import errors
from pipeline.core.errors import KINDS, REPAIRABLE, CallError, ConfigError, ErrorClass, ItemError, Stage, VlmBatchError

CLASSES = {
    name: found
    for name, found in vars(errors).items()
    if inspect.isclass(found) and issubclass(found, VlmBatchError) and found is not VlmBatchError
}


def drawn_tree() -> dict[str, str]:
    """By class, its parent in the docstring's drawing."""
    parents: dict[str, str] = {}
    above = ["VlmBatchError"]
    for bars, name in re.findall(r"^    ((?:│   |    )*[├└]── )(\w+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(bars) // 4
        parents[name] = above[depth - 1]
        above[depth:] = [name]
    return parents


def test_the_tree_is_drawn_as_it_is() -> None:
    assert drawn_tree() == {name: found.__base__.__name__ for name, found in CLASSES.items() if found.__base__}


def test_every_error_says_what_it_is_for() -> None:
    assert all(found.__doc__ and found.__doc__ != VlmBatchError.__doc__ for found in CLASSES.values())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_stage_a_class_and_a_plan(kind: str) -> None:
    meaning = ItemError(kind, "a message").meaning
    assert meaning.stage in get_args(Stage)
    assert meaning.error_class in get_args(ErrorClass)
    assert meaning.retryable == (meaning.error_class in {"transient", "overload", "quota"}), (
        "what may pass is tried again, what lies in the row or its answer is not"
    )
    assert re.fullmatch(r"[a-z][a-z0-9_]*", kind)


def test_an_unusable_answer_is_paid_for_and_never_asked_again_by_a_later_run() -> None:
    answers = {kind for kind, meaning in KINDS.items() if meaning.stage == "parse"}
    assert answers == {kind for kind, meaning in KINDS.items() if meaning.error_class == "answer"}
    assert answers - {"refusal"} == REPAIRABLE, "a refusal is an answer: asking again would buy the same one"


def test_the_table_is_closed() -> None:
    with pytest.raises(KeyError):
        _ = ItemError("a_new_kind", "a message").meaning


def test_a_call_error_is_an_item_error_with_the_servers_wishes() -> None:
    error = CallError("http_429", "slow down", 429, retry_after=7.5)
    assert (error.kind, str(error), error.status, error.retry_after, error.reached) == (
        "http_429",
        "slow down",
        429,
        7.5,
        True,
    )
    assert error.meaning is KINDS["http_429"]


def test_a_configuration_error_lists_its_problems() -> None:
    error = ConfigError(["one", "two"])
    assert error.problems == ("one", "two")
    assert str(error) == "one\ntwo"
