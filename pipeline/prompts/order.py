"""Whether the text or the pictures stand first in a prompt: whichever leaves the fewer tokens without a cache.

A server's prefix cache serves what a prompt has in common with an earlier one from its beginning on. With the text
first that is the fixed text, for every row; each question then pays for its picture. With the pictures first it is the
picture, for all questions but the first about it; each question then pays for its text.

    text first    T * p       T questions about one picture of p tokens
    image first   p + sum F   F the fixed text of each task, in tokens
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from pipeline.core.pictures import ImageContract

CHARACTERS_A_TOKEN: Final = 4
"""Of English prose, about: OpenAI's rule of thumb (help.openai.com, "What are tokens", 2026-11-22)."""

Layout = Literal["auto", "text_first", "image_first"]


class Settled(NamedTuple):
    """An order that is not for us to choose."""

    image_first: bool
    because: str


class Asked(NamedTuple):
    """One task as far as the order matters: `questions` about one picture, each behind `text` tokens of fixed text.

    `picture` is what a picture is expected to cost, in tokens; `settled` what stands first whatever it costs, and why.
    """

    task: str
    model: str
    contract: ImageContract
    text: float
    picture: float
    questions: int = 1
    settled: Settled | None = None


class Order(NamedTuple):
    """What was decided for a task, and why. The figures are uncached tokens a picture, over all `tasks` that share it.

    They leave out what is never cached in either order: the row's context, its own question.
    """

    image_first: bool
    text_first_tokens: float
    image_first_tokens: float
    because: str
    tasks: tuple[str, ...]


def orders(asked: Sequence[Asked], layout: Layout = "auto") -> Mapping[str, Order]:
    """The order of each task. Those of one model whose pictures are sent alike share theirs.

    `layout` other than auto is what a person wants.
    """
    groups: dict[tuple[str, ImageContract, Settled | None], list[Asked]] = {}
    for task in asked:
        groups.setdefault((task.model, task.contract, task.settled), []).append(task)
    return {task.task: order for group in groups.values() for order in [_order(group, layout)] for task in group}


def _order(group: Sequence[Asked], layout: Layout) -> Order:
    questions = sum(task.questions for task in group)
    picture = max(task.picture for task in group)
    text_first, image_first = questions * picture, picture + sum(task.text for task in group)
    settled = group[0].settled
    if settled is not None:
        first, because = settled
    elif layout != "auto":
        first, because = layout == "image_first", f"provider.layout = {layout!r}"
    elif questions < 2:
        first, because = False, "one question a picture: only the fixed text is met again"
    else:
        first = image_first < text_first
        because = f"{questions} questions share a picture: " + (
            "it costs more than the texts behind it" if first else "the texts behind it cost more than it does"
        )
    return Order(first, text_first, image_first, because, tuple(task.task for task in group))
