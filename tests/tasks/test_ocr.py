"""The text that ends up in the columns, line by line as it stood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tasks import TASKS, TaskOptions
from tests.tasks.completions import failure, parsed

OCR = TASKS["ocr"](TaskOptions())


@pytest.mark.parametrize(
    ("answer", "text", "language"),
    [
        ("language: en\n\nHello\nWorld", "Hello\nWorld", "en"),
        ("Language: DE\n\nGrüße", "Grüße", "de"),
        ("LANGUAGE:fra\nBonjour", "Bonjour", "fra"),
        ("**Language:** en\n\nHello", "Hello", "en"),
        ('language: "en"\r\n\r\nHello', "Hello", "en"),
        ("language: zh-Hans\n\n你好", "你好", "zh"),
        ("language: und\n\nxyzzy", "xyzzy", None),
        ("Hello\nWorld", "Hello\nWorld", None),
        ("Language: English\nTheatre, 1912", "Language: English\nTheatre, 1912", None),
        ("The language: en\nis here", "The language: en\nis here", None),
        ("```\nlanguage: en\n\nHello\n```", "Hello", "en"),
        ("language: en\n\n```text\nHello\n```", "Hello", "en"),
        ("language: en\n\n   indented\nnot", "   indented\nnot", "en"),
        ("language: en\n\nA\n\n\nB  C\tD", "A\n\n\nB  C\tD", "en"),
        ("language: en\n\nlanguage: de\n\nx", "language: de\n\nx", "en"),
    ],
)
def test_header_and_text(answer: str, text: str, language: str | None) -> None:
    assert parsed(OCR, answer) == {"text": text, "language": language, "has_text": True}


@pytest.mark.parametrize("answer", ["language: none", "Language: None\n", "language: none\n\nThere is no text."])
def test_a_picture_without_text_is_an_answer(answer: str) -> None:
    assert parsed(OCR, answer) == {"text": "", "language": None, "has_text": False}


@pytest.mark.parametrize("answer", ["language: en", "language: und\n\n \n", "language: en\n\n```\n\n```"])
def test_a_language_without_text_is_an_empty_answer_not_an_empty_page(answer: str) -> None:
    assert failure(OCR, answer).kind == "empty"


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=("C", "Z")), min_size=1), min_size=1, max_size=8))
def test_lines_come_through_as_they_are(lines: list[str]) -> None:
    text = "\n".join(f"| {line}" for line in lines)
    assert parsed(OCR, f"language: en\n\n{text}")["text"] == text


def test_defaults_and_a_persons_prompt() -> None:
    assert [(column.name, column.type) for column in OCR.columns] == [
        ("text", "string"),
        ("language", "string"),
        ("has_text", "bool"),
        ("pages", "int"),
    ]
    assert (OCR.max_side, OCR.max_tokens, OCR.schema) == (2048, 3000, None)
    own = TASKS["ocr"](TaskOptions(prompt="Read only the serial number."))
    assert own.instructions.startswith("Read only the serial number.\n\nAnswer in this form")
    assert '"language: "' in own.instructions, "the parser relies on it"
