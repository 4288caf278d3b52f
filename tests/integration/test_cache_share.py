"""What llama.cpp with one slot finds in its cache: a task's text for all pictures, a picture for all its tasks.

The tiny model has a token for each byte of text, about four times as many as a real one. What counts is how many
tokens a picture has beside the text: few here where the text is to be shared, and four times those of a photo where the
picture is.
"""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.command import Job
from tests.support.llama import Llama
from tests.support.pictures import write_pictures
from tests.support.tiny_model import IMAGE_SIDE, picture_tokens, write_model

BEHIND_THE_PICTURE = "<|im_end|>\n<|im_start|>assistant\n"
"""By the model's chat template."""

INSTRUCTIONS = """\
Write the caption that a museum would print beside this picture. Name the main subject first, then what it does, then
where it stands. Colours and materials belong in it, as far as they can be seen; guesses about names, dates and places
do not. Quote words in the picture only when they can be read without doubt, letter by letter. Use the present tense,
plain words, and at most forty of them. No title, no list."""
"""With what the task says around it, 600 tokens."""

PHOTO_SIDE = 896
"""Pixels: 4,096 tokens. A photo of 1,024 x 768 has a good 1,000, beside texts of four characters a token."""


def answers(
    folder: Path, base_url: str, tasks: list[dict[str, Any]], *, layout: str, concurrency: int
) -> list[dict[str, Any]]:
    """Every answer of a run over the pictures beside its folder, in the order in which they came."""
    folder.mkdir()
    job = Job(
        folder,
        folder.parent / "pictures",
        base_url,
        provider={"dialect": "llamacpp", "model": "tiny", "layout": layout, "temperature": 1.0, "seed": 1},
        tasks=[{**task, "max_tokens": 4} for task in tasks],
        images={"max_side": 1024},  # or the tasks would be sent different pictures
        limits={"concurrency": concurrency},
        retry={"repairs": 0, "attempts": 1},
        run_={"max_failure_share": 1},  # a random model is seldom to the point
    )
    ended = job.run()
    assert ended.code == 0, ended.stderr
    kinds = [task["kind"] for task in tasks]
    rows = [{"task": kind, **row} for kind in kinds for row in [*job.rows(kind), *job.failures(kind)]]
    assert all(row["prompt_tokens"] and row["cached_tokens"] is not None for row in rows)
    return sorted(rows, key=lambda row: row["finished_at"])


def processed(rows: list[dict[str, Any]]) -> int:
    """The tokens of these prompts that the server had to read."""
    return sum(row["prompt_tokens"] - row["cached_tokens"] for row in rows)


def count(base_url: str, text: str) -> int:
    """The tokens of a text, by the server."""
    url = base_url.removesuffix("/v1") + "/tokenize"
    return len(httpx.post(url, json={"content": text}, timeout=10, trust_env=False).json()["tokens"])


def test_a_tasks_text_is_read_once_for_a_hundred_pictures(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 100)
    caption = [{"kind": "caption", "prompt": INSTRUCTIONS}]
    write_model(tmp_path / "model")
    with Llama(tmp_path / "model", slots=1) as server:
        rows = answers(tmp_path / "ours", server.base_url, caption, layout="auto", concurrency=8)
        behind = count(server.base_url, BEHIND_THE_PICTURE)
    with Llama(tmp_path / "model", slots=1) as server:
        reversed_ = answers(tmp_path / "reversed", server.base_url, caption, layout="image_first", concurrency=8)
    assert len(rows) == len(reversed_) == 100
    [prompt] = {row["prompt_tokens"] for row in rows}
    prefix = prompt - picture_tokens(IMAGE_SIDE) - behind  # everything in front of the picture
    assert 580 <= prefix <= 620
    share = [row["cached_tokens"] / prefix for row in rows]
    fall = 1 - processed(rows[1:]) / processed(reversed_[1:])
    print(f"prefix {prefix}, cached {share[0]:.1%}, then {min(share[1:]):.1%} to {max(share[1:]):.1%}, fall {fall:.1%}")
    assert 0.95 <= min(share[1:]) <= max(share[1:]) <= 1
    assert fall >= 0.8


@pytest.mark.parametrize(("memory", "concurrency"), [(True, 4), (False, 1)])
def test_a_picture_is_read_once_for_three_tasks(memory: bool, concurrency: int, tmp_path: Path) -> None:
    # A server that remembers no prompt but the last shows whether the questions about a picture came back to back.
    write_pictures(tmp_path / "pictures", 3)
    tasks = [{"kind": "caption"}, {"kind": "ocr"}, {"kind": "ask", "question": "How many are there?"}]
    write_model(tmp_path / "model", image_side=PHOTO_SIDE)
    later: dict[str, list[dict[str, Any]]] = {}
    for layout in ("auto", "text_first"):
        with Llama(tmp_path / "model", slots=1, memory=memory) as server:
            rows = answers(tmp_path / layout, server.base_url, tasks, layout=layout, concurrency=concurrency)
        assert len(rows) == 9
        later[layout] = [row for n, row in enumerate(rows) if row["key"] in {earlier["key"] for earlier in rows[:n]}]
        assert len(later[layout]) == 6
    cached = [row["cached_tokens"] for row in later["auto"]]
    fall = 1 - processed(later["auto"]) / processed(later["text_first"])
    print(f"cached {cached}, reversed {[row['cached_tokens'] for row in later['text_first']]}, fall {fall:.1%}")
    assert min(cached) >= picture_tokens(PHOTO_SIDE)
    assert fall >= 0.8
