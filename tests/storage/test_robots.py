"""Which X-Robots-Tag keeps this program from a picture."""

from __future__ import annotations

import pytest

from pipeline.storage.robots import forbids


@pytest.mark.parametrize(
    ("values", "directive"),
    [
        ([], None),
        (["noai"], "noai"),
        (["NoImageAI"], "noimageai"),
        (["noindex, nofollow , noai"], "noai"),
        (["all", "noimageai"], "noimageai"),
        (["noindex, nofollow, noarchive, noimageindex"], None),
        (["googlebot: noai"], None),
        (["googlebot: noindex, noai"], None),
        (["googlebot: noindex, vlm-batch: noai"], "noai"),
        (["VLM-Batch : noai"], "noai"),
        (["*: noai"], "noai"),
        (["noai, googlebot: noindex"], "noai"),
        (["googlebot: noindex", "noai"], "noai"),
        (["unavailable_after: 25 Jun 2026 15:00:00 PST, noai"], "noai"),
        (["max-snippet: 5, noimageai"], "noimageai"),
        (["noaid, xnoai, no ai"], None),
        ([""], None),
    ],
)
def test_the_directive_that_binds(values: list[str], directive: str | None) -> None:
    assert forbids(values) == directive
