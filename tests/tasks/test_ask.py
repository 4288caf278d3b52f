"""Questions: what is said about them in the fixed part, and answers in words."""

from __future__ import annotations

import pytest

from pipeline.core.types import Column
from pipeline.tasks import TaskOptions
from pipeline.tasks.ask import ask
from tests.tasks.completions import failure, parsed

ASK = ask(TaskOptions(question="How many {cars} are there?"))


def test_defaults() -> None:
    assert (ASK.kind, ASK.columns, ASK.schema) == ("ask", (Column("answer", "string"),), None)
    assert (ASK.max_side, ASK.max_tokens) == (1536, 500)


def test_the_question_stands_once_in_the_fixed_part_before_the_answers_form() -> None:
    before, after = ASK.instructions.split("The question is: How many {cars} are there?\n\n")
    assert before.startswith("Answer the question about the picture.")
    assert after.startswith("Answer with the answer alone")
    own = ask(TaskOptions(question="How many?", prompt="Be quick."))
    assert own.instructions.startswith("Be quick.\n\nThe question is: How many?\n\nAnswer with")
    assert "The question is" not in ask(TaskOptions()).instructions, "each row brings its own"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Three.", "Three."),
        ("  Three.\n", "Three."),
        ("Answer: Three.", "Three."),
        ("**Answer:** Three.", "Three."),
        ('"Three"', '"Three"'),
        ("Answers vary: three.", "Answers vary: three."),
        ("The answer: three", "The answer: three"),
        ("I cannot see any person in the picture.", "I cannot see any person in the picture."),
        ("```\ncode\n```", "```\ncode\n```"),
        ("0", "0"),
    ],
)
def test_an_answer_in_words_stays_as_it_is(text: str, answer: str) -> None:
    assert parsed(ASK, text) == {"answer": answer}


@pytest.mark.parametrize(
    ("text", "reason", "kind"),
    [
        ("", "stop", "empty"),
        ("Answer:   ", "stop", None),
        ("I'm sorry, but I can't assist with that.", "stop", "refusal"),
        ("Three cars and", "length", "cut"),
        ("Three", "content_filter", "content_filter"),
        ("Three " + "red cars and " * 100, "length", "repetition"),
    ],
)
def test_what_is_no_answer(text: str, reason: str, kind: str | None) -> None:
    if kind is None:
        assert parsed(ASK, text) == {"answer": text.strip()}
        return
    assert failure(ASK, text, reason).kind == kind
