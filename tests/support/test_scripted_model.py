"""The scripted larger model knows what it is shown, and makes the mistakes that it says it makes."""

import base64
import io
import json
from typing import Any

import httpx
import pytest
from PIL import Image, ImageOps

from tests.support.ask import chat_body
from tests.support.child import Child
from tests.support.exchange import Request
from tests.support.pictures import picture
from tests.support.scripted_model import SAMPLES, THINKS, UNSURE, scripted_model

LABELS = {label["id"]: label for label in map(json.loads, (SAMPLES / "labels.jsonl").read_text("utf-8").splitlines())}
SCRIPT = scripted_model()
READ = 'Read it. The first line is "language: " and the code.'
SCORES = {"properties": {"scores": {"required": ["violence", "sexual"]}}}
JUDGE = {"response_format": {"type": "json_schema", "json_schema": {"name": "verdict", "schema": SCORES}}}


def source(name: str) -> bytes:
    return (SAMPLES / LABELS[name]["file"]).read_bytes()


def ask(shown: bytes, prompt: str = "Describe it.", **more: Any) -> dict[str, Any]:
    body = json.dumps(chat_body(shown, prompt, **more)).encode()
    reply = SCRIPT(Request(1, "r", "POST", "/v1/chat/completions", {}, body, 0.0))
    answered: dict[str, Any] = json.loads(reply.body)
    return answered


def said(answered: dict[str, Any]) -> str:
    return str(answered["choices"][0]["message"]["content"])


def redrawn(name: str, side: int, quality: int) -> bytes:
    with Image.open(io.BytesIO(source(name))) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGBA")
    drawn = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")
    drawn.thumbnail((side, side))
    written = io.BytesIO()
    drawn.save(written, "JPEG", quality=quality)
    return written.getvalue()


@pytest.mark.parametrize("name", LABELS)
def test_it_knows_every_sample_in_any_size_and_quality(name: str) -> None:
    whole = said(ask(source(name)))
    assert {said(ask(redrawn(name, side, quality))) for side, quality in ((1024, 90), (256, 5))} == {whole}


def test_no_two_samples_have_one_caption_and_a_stranger_is_none_of_them() -> None:
    captions = {said(ask(source(name))) for name in LABELS}
    assert len(captions) == len(LABELS)
    assert said(ask(picture(1))) not in captions
    assert said(ask(picture(1), READ)) == "language: none"


def test_it_reads_with_a_few_wrong_letters_and_says_when_there_are_none() -> None:
    assert said(ask(source("photo-coins"), READ)) == "language: none"
    wrong: dict[str, int] = {}
    letters = 0
    for name, label in LABELS.items():
        if label.get("text"):
            language, _, text = said(ask(source(name), READ)).partition("\n\n")
            assert language == f"language: {label['lang'][0]}"
            assert len(text) == len(label["text"])
            wrong[name] = sum(one != other for one, other in zip(text, label["text"], strict=True))
            letters += len(text)
    assert 0.002 < sum(wrong.values()) / letters < 0.03
    assert max(wrong, key=wrong.__getitem__) == "doc-german-fraktur"


def test_it_judges_by_the_labels_of_the_request_and_leaves_one_open() -> None:
    verdicts = {name: json.loads(said(ask(source(name), "Give a verdict.", **JUDGE))) for name in LABELS}
    assert {name for name, verdict in verdicts.items() if verdict["verdict"] == "unsure"} == {UNSURE}
    assert all(verdict["scores"].keys() == {"violence", "sexual"} for verdict in verdicts.values())
    assert all(verdict["labels"] == [] for verdict in verdicts.values())


def test_one_caption_is_cut_in_little_room_and_whole_in_more() -> None:
    cut = [name for name in LABELS if ask(source(name), max_tokens=300)["choices"][0]["finish_reason"] == "length"]
    assert cut == list(THINKS)
    again = ask(source(cut[0]), max_completion_tokens=600)
    assert again["choices"][0]["finish_reason"] == "stop"
    assert said(again) == said(ask(source(cut[0])))
    assert again["usage"]["completion_tokens"] > 350


def test_it_counts_tokens_by_words_and_size() -> None:
    large, small = (ask(redrawn("photo-cat", side, 90))["usage"] for side in (280, 140))
    longer = ask(redrawn("photo-cat", 140, 90), "Describe it. " * 40)["usage"]
    assert large["prompt_tokens_details"]["image_tokens"] > 3 * small["prompt_tokens_details"]["image_tokens"]
    assert longer["prompt_tokens"] > small["prompt_tokens"] + 100
    assert longer["completion_tokens"] == small["completion_tokens"] > 3


def test_it_runs_by_itself_and_ends_with_its_stdin() -> None:
    with Child("tests.support.scripted_model", ["--port", "0"]) as child:
        body = chat_body(source("photo-cat"))
        reply = httpx.post(f"{child.hello['base_url']}/chat/completions", json=body, timeout=30, trust_env=False)
        assert child.close() == 0
    assert said(reply.json()) == said(ask(source("photo-cat")))
    assert base64.b64encode(source("photo-cat")).decode()[:80] not in reply.text
