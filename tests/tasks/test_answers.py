"""Which answers are whole, which are refusals, and which only look like it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import KINDS
from pipeline.tasks import TASKS, TaskOptions
from pipeline.tasks.answers import checked, is_refusal, unfenced
from pipeline.tasks.loops import find_loop
from tests.tasks.completions import completion, failure

CAPTION = TASKS["caption"](TaskOptions())


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that.",
        "I’m sorry, but I can’t assist with that request.",
        "I'm sorry, I can't help with that.",
        "Sorry, I can't help with identifying people in images.",
        "I cannot assist with this request.",
        "I can't help with that.",
        "I can't assist.",
        "I can’t do that.",
        "I am unable to provide a description of this image.",
        "I'm not able to help with that request.",
        "I won't be able to assist with that.",
        "Unfortunately, I cannot describe this image.",
        "I apologize, but I cannot fulfill this request.",
        "I can't provide a caption for this image.",
        "I cannot transcribe the text in this image.",
        "I'm sorry, but I can't provide the transcription of the text in this image.",
        "I'm sorry, but I can't identify who this is.",
        "As an AI language model, I can't describe images of that kind.",
        "I'm sorry, but as an AI assistant, I cannot view images.",
        "I must decline this request.",
        "This image violates our content policy.",
        "I'm sorry, but this request goes against my guidelines.",
        "I am sorry, I cannot generate explicit content.",
        "I'm really sorry, but I cannot engage with this content.",
        "I don't feel comfortable describing this image.",
        "I cannot and will not provide a description of this image.",
        "I do not have the ability to view images.",
        "I can't see the image.",
        "I'm sorry, but I cannot see images.",
        "  I'm sorry,\nbut I can't assist with that.  ",
    ],
)
def test_a_refusal_is_a_class_of_its_own(text: str) -> None:
    error = failure(CAPTION, text)
    assert error.kind == "refusal"
    assert "refused" in error.message


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry for your loss. Our thoughts are with you in these days.",
        'A sign that says "I\'m sorry"',
        "I'm sorry, but I can't come on Friday. Love, Mum",
        "I can't help falling in love with you",
        "Sorry, we are closed",
        "I cannot see any person in the picture.",
        "I can't see a single face in this photo.",
        "Sorry! We can't accept cards.",
        "Unfortunately, I cannot attend the meeting.",
        "I can't believe it's not butter",
        "I'm sorry Dave, I'm afraid I can't do that.",
        "We can't answer your question right now, please leave a message",
        "Unfortunately we cannot provide refunds",
        "I cannot see the stars tonight",
        "A woman says that she cannot help with that.",
        'The letter reads: "I am sorry, but I cannot assist with that."',
        "This image shows a street in Berlin.",
        "I'm sorry, but I can't assist with that. " + "This is what the long letter says, word for word. " * 8,
    ],
)
def test_a_text_that_says_sorry_is_an_answer(text: str) -> None:
    assert checked(completion(text)) == text.strip()


def test_an_ocr_answer_that_quotes_a_refusal_is_text() -> None:
    text = "language: en\n\nI'm sorry, but I can't assist with that."
    assert checked(completion(text)) == text


def test_the_servers_own_refusal_field_counts() -> None:
    error = failure(CAPTION, "", refusal="I can't help with that picture.")
    assert error.kind == "refusal"
    assert "that picture" in error.message


@pytest.mark.parametrize(
    ("text", "reason", "kind"),
    [
        ("A dog.", "content_filter", "content_filter"),
        ("", "content_filter", "content_filter"),
        ("I can't assist with that.", "length", "refusal"),
        ("", "stop", "empty"),
        (" \n\t ", "stop", "empty"),
        ("", "length", "empty"),
        ("A dog and " + "a cat and " * 60, "length", "repetition"),
        ("A dog sits on", "length", "cut"),
        ("A dog sits on", None, "cut"),
        ("A dog sits on", "abort", "cut"),
        ("A dog sits on", "error", "cut"),
        ("A dog sits on", "something new", "cut"),
    ],
)
def test_what_is_no_usable_answer(text: str, reason: str | None, kind: str) -> None:
    error = failure(CAPTION, text, reason)
    assert error.kind == kind
    assert kind in KINDS


@pytest.mark.parametrize("reason", ["stop", "tool_calls"])
def test_whole_answers(reason: str) -> None:
    assert checked(completion(" A dog.\n", reason)) == "A dog."


def test_thinking_that_used_up_the_tokens_is_said() -> None:
    assert "used up before the answer began" in failure(CAPTION, "", "length").message
    assert "token limit" in failure(CAPTION, "A dog", "length").message
    assert "abort" in failure(CAPTION, "A dog", "abort").message


LEADERS = "\n".join(f"Chapter {n} {'.' * (120 - n)} {n * 7}" for n in range(1, 40))
TABLE = "\n".join(["| Item | Qty | Status |", "|---|---|---|"] + ["| Bolt M8 | 10 | in stock |"] * 40)
FORM = "Name: ______________________________ Date: ______________\n" * 30
ZEROS = "0.00 | 0.00 | 0.00 | 0.00\n" * 45


@pytest.mark.parametrize(
    "text",
    [
        LEADERS,
        TABLE,
        FORM,
        ZEROS,
        "-" * 3000,
        "Total" + "." * 900,
        "Yes\n" * 40,
        "ha " * 20,
        "No, no, no, no!",
        "=" * 80,
    ],
    ids=["leaders", "table", "form", "zeros", "rule", "dots", "yes", "ha", "no", "line"],
)
def test_what_repeats_on_paper_is_no_loop(text: str) -> None:
    assert find_loop(text, cut=False) is None
    assert checked(completion(text)) == text.strip()


@pytest.mark.parametrize("text", [LEADERS, TABLE[:300], FORM[:400], "Contents\nIntroduction " + "." * 150])
def test_a_page_cut_at_an_unlucky_place_is_cut(text: str) -> None:
    assert failure(CAPTION, text, "length").kind == "cut"


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("A dog. " + "The dog is brown. " * 30, True),
        ("A" * 400, True),
        ("Intro " + "-" * 1500, True),
        ("text " + "1, 2, " * 300, True),
        ("A photo of " + "very " * 60 + "very", False),
        ('{"reason": "' + "the the " * 60 + '"}', False),
        ("page\n" + "and the same line again\n" * 120, False),
        ("图片" * 200, False),
    ],
)
def test_a_model_that_loops_is_found(text: str, cut: bool) -> None:
    assert find_loop(text, cut=cut) is not None
    assert failure(CAPTION, text, "length" if cut else "stop").kind == "repetition"


@given(st.text(min_size=1, max_size=60), st.integers(12, 60), st.text(max_size=50))
def test_any_passage_said_often_enough_is_found_in_a_cut_answer(unit: str, times: int, before: str) -> None:
    letters = f"x{unit}"
    if len(letters) * times >= 200:
        assert find_loop(before + letters * times, cut=True) is not None


@given(st.text(alphabet="abcdefghij \n.,", max_size=140))
def test_a_short_text_is_never_a_loop(text: str) -> None:
    assert find_loop(text, cut=True) is None
    assert find_loop(text, cut=False) is None


@pytest.mark.parametrize(
    "text", ["a" * 50_000, "-" * 50_000, "ab" * 25_000, ("." * 399 + "x") * 50, ("a" * 300 + "b") * 20]
)
def test_the_worst_text_takes_no_time(text: str) -> None:
    """It runs on the event loop. Seen: 1 to 8 ms; without skipping the multiples of a period, 480."""
    started = time.process_time()
    find_loop(text, cut=False)
    assert time.process_time() - started < 0.1


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("```json\n{}\n```", "{}"),
        ("```\ntwo\nlines\n```", "two\nlines"),
        ("  ```\r\na\r\n```  ", "a"),
        ("```\n\n```", ""),
        ("a ``` b", "a ``` b"),
        ("```\na\n```\nand\n```\nb\n```", "```\na\n```\nand\n```\nb\n```"),
        ("```\na", "```\na"),
    ],
)
def test_a_fence_around_the_whole_is_taken_off(text: str, inside: str) -> None:
    assert unfenced(text) == inside


def test_a_long_refusal_like_text_is_none() -> None:
    assert is_refusal("I can't assist with that." + " " * 10)
    assert not is_refusal("I can't assist with that." + " x" * 200)
