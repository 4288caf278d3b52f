"""Pixels that cost nothing and show nothing are not sent: some servers shrink a picture far below its budget."""

from __future__ import annotations

import pytest

from pipeline.core.pictures import ImageContract
from pipeline.images.sizing import sent_size
from pipeline.images.tokens import FAMILIES, image_tokens, smallest


@pytest.mark.parametrize(
    ("family", "budget", "size", "sent"),
    [
        ("gpt-4o", 800, (4000, 3000), (2048, 1536)),
        ("gpt-4o", 800, (300, 5000), (123, 2048)),
        ("gemma-3", 256, (4000, 3000), (2048, 1536)),
        ("qwen2.5-vl", 16_384, (4000, 3000), (4000, 3000)),  # every pixel is seen, and paid for
        ("gpt-4o", 800, (1999, 1500), (1999, 1500)),
    ],
)
def test_what_is_not_seen_is_not_sent(family: str, budget: int, size: tuple[int, int], sent: tuple[int, int]) -> None:
    assert sent_size(*size, ImageContract(None, budget, family)) == sent


def test_a_side_that_a_person_sets_stands() -> None:
    assert sent_size(4000, 3000, ImageContract(3000, 800, "gpt-4o")) == (3000, 2250)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_it_never_costs_another_number_of_tokens(family: str) -> None:
    budget = max(4000, smallest(family))
    for size in ((9000, 6000), (2500, 2400), (8000, 900), (700, 6000)):
        width, height = sent_size(*size, ImageContract(None, budget, family))
        assert image_tokens(family, width, height) <= budget
        assert width <= size[0]
        assert height <= size[1]
