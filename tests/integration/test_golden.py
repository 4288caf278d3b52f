"""The samples are asked about today as they were when the golden file was written."""

from __future__ import annotations

import json
from typing import Any

import PIL
import pytest

from tests.integration.golden import GOLDEN, distance, found

SAME_PILLOW = json.loads(GOLDEN.read_text())["pillow"] == PIL.__version__


@pytest.fixture(scope="module")
def today() -> dict[str, Any]:
    return found()["samples"]


def test_every_sample_is_there(today: dict[str, Any]) -> None:
    golden = json.loads(GOLDEN.read_text())["samples"]
    assert golden.keys() == today.keys()
    assert len(golden) == 3 * 33


def test_the_questions_are_the_same_or_with_another_pillow_look_the_same(today: dict[str, Any]) -> None:
    golden = json.loads(GOLDEN.read_text())["samples"]
    for name, was in golden.items():
        now = today[name]
        assert now["sent"] == was["sent"], name
        assert distance(now["looks"], was["looks"]) <= 2, name
        if SAME_PILLOW:
            assert now["request_sha256"] == was["request_sha256"], (
                f"{name} is another question than before: every picture would be asked again. If that is meant, write "
                "the golden file anew (python -m tests.integration.golden)"
            )
