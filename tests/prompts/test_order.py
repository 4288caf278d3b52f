"""Which order costs fewer tokens without a cache."""

from __future__ import annotations

import pytest

from pipeline.core.pictures import ImageContract
from pipeline.prompts.order import Asked, Layout, Settled, orders

LARGE, SMALL = ImageContract(1024), ImageContract(768)


def asked(
    task: str, *, model: str = "m", contract: ImageContract = LARGE, text: float = 100, questions: int = 1
) -> Asked:
    return Asked(task, model, contract, text, 1000, questions)


def test_one_question_a_picture_has_the_text_first() -> None:
    (order,) = orders([asked("caption")]).values()
    assert not order.image_first
    assert (order.text_first_tokens, order.image_first_tokens) == (1000, 1100)
    assert "one question a picture" in order.because


def test_several_questions_about_one_picture_have_it_first() -> None:
    found = orders([asked("caption"), asked("ocr", text=200), asked("moderate", text=300)])
    assert [order.image_first for order in found.values()] == [True, True, True]
    assert {order.tasks for order in found.values()} == {("caption", "ocr", "moderate")}
    assert (found["ocr"].text_first_tokens, found["ocr"].image_first_tokens) == (3000, 1600)
    assert "3 questions share a picture" in found["ocr"].because


@pytest.mark.parametrize(
    "other",
    [asked("ocr", model="another"), asked("ocr", contract=SMALL)],
    ids=["another model", "pictures sent otherwise"],
)
def test_tasks_that_share_no_picture_have_the_text_first(other: Asked) -> None:
    assert not any(order.image_first for order in orders([asked("caption"), other]).values())


@pytest.mark.parametrize(("text", "first"), [(499, True), (500, False), (2000, False)])
def test_long_texts_outweigh_the_picture(text: float, first: bool) -> None:
    found = orders([asked("a", text=text), asked("b", text=text)])
    assert [order.image_first for order in found.values()] == [first, first]


def test_a_task_that_asks_several_questions_of_one_picture_counts_so() -> None:
    assert orders([asked("ask", questions=2)])["ask"].image_first


@pytest.mark.parametrize(("layout", "first"), [("text_first", False), ("image_first", True)])
def test_a_person_may_decide(layout: Layout, first: bool) -> None:
    for tasks in ([asked("a")], [asked("a"), asked("b")]):
        found = orders(tasks, layout)
        assert {order.image_first for order in found.values()} == {first}
        assert all(layout in order.because for order in found.values())


@pytest.mark.parametrize("layout", ["auto", "text_first", "image_first"])
@pytest.mark.parametrize("first", [True, False])
def test_what_is_settled_is_not_weighed(layout: Layout, first: bool) -> None:
    settled = Settled(first, "the server keeps no cache")
    found = orders([asked(name)._replace(settled=settled) for name in ("a", "b")], layout)
    assert {(order.image_first, order.because) for order in found.values()} == {settled}
