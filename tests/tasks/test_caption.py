"""The caption that ends up in the column."""

from __future__ import annotations

import pytest

from pipeline.core.types import Column
from pipeline.tasks import TASKS, TaskOptions
from tests.tasks.completions import failure, parsed

CAPTION = TASKS["caption"](TaskOptions())


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("A dog on a lawn.", "A dog on a lawn."),
        ("  A dog on a lawn.\n", "A dog on a lawn."),
        ('"A dog on a lawn."', "A dog on a lawn."),
        ("“A dog on a lawn.”", "A dog on a lawn."),
        ("Caption: A dog on a lawn.", "A dog on a lawn."),
        ('**Caption:** "A dog on a lawn."', "A dog on a lawn."),
        ("caption:\nA dog on a lawn.", "A dog on a lawn."),
        ('"Stop" and "Go" signs', '"Stop" and "Go" signs'),
        ('"Stop" says the sign, "now"', '"Stop" says the sign, "now"'),
        ("Caption contest winners: three cartoons.", "Caption contest winners: three cartoons."),
        ("Captioned: a cat.", "Captioned: a cat."),
        ('A sign reads "caption: none"', 'A sign reads "caption: none"'),
        ("'", "'"),
        ("A man's hat, the dogs'", "A man's hat, the dogs'"),
    ],
)
def test_only_what_is_wrapped_around_it_is_taken_off(text: str, caption: str) -> None:
    assert parsed(CAPTION, text) == {"caption": caption}


@pytest.mark.parametrize("text", ['""', "Caption: ''", "“ ”"])
def test_a_caption_of_nothing_is_empty(text: str) -> None:
    assert failure(CAPTION, text).kind == "empty"


def test_defaults() -> None:
    assert CAPTION.kind == "caption"
    assert CAPTION.columns == (Column("caption", "string"),)
    assert (CAPTION.max_side, CAPTION.max_tokens, CAPTION.schema) == (1024, 300, None)


def test_a_persons_prompt_replaces_the_instructions_and_keeps_the_answer_format() -> None:
    own = TASKS["caption"](TaskOptions(prompt="Describe it in German.\n"))
    assert own.instructions.startswith("Describe it in German.\n\nAnswer with the caption alone")
    assert CAPTION.instructions.endswith(own.instructions.split("\n\n", 1)[1])
    assert "Begin with the main subject" not in own.instructions


@pytest.mark.parametrize("kind", sorted(TASKS))
def test_prompts_are_the_same_every_time(kind: str) -> None:
    one, two = TASKS[kind](TaskOptions()), TASKS[kind](TaskOptions())
    assert (one.system, one.instructions, one.schema) == (two.system, two.instructions, two.schema)
    assert one.kind == kind
    assert one.instructions == one.instructions.strip()
