from __future__ import annotations

import difflib
import json
from pathlib import Path

import pytest

from pipeline.core.errors import ConfigError
from pipeline.evaluation.baseline import baseline_of, read_baseline, write_baseline
from pipeline.evaluation.compare import compare
from pipeline.evaluation.evaluate import evaluate
from tests.evaluation.scripted import SAMPLES, run, up_to, with_texts


def test_what_was_written_is_read_and_equals_itself(tmp_path: Path) -> None:
    evaluation = evaluate(SAMPLES, run(SAMPLES, 0, up_to(0.06)))
    path = tmp_path / "baselines" / "x.json"
    write_baseline(path, baseline_of(evaluation, {"vlm-batch": "0.1.0"}))
    baseline = read_baseline(path)
    assert baseline == baseline_of(evaluation, {"vlm-batch": "0.1.0"})
    assert not compare(evaluation, baseline).regressed
    assert [one.name for one in path.parent.iterdir()] == ["x.json"]


def test_a_changed_answer_is_a_small_change_of_the_file(tmp_path: Path) -> None:
    answers = run(SAMPLES, 0, up_to(0.06))
    path = tmp_path / "x.json"
    texts = []
    other = with_texts(answers, {("ocr", "syn-table"): "another text"})
    for given in (answers, list(reversed(answers)), other):
        write_baseline(path, baseline_of(evaluate(SAMPLES, given), {}))
        texts.append(path.read_text("utf-8"))
    assert texts[0] == texts[1]
    lines = list(difflib.unified_diff(texts[0].splitlines(), texts[2].splitlines(), n=0, lineterm=""))
    removed = [line for line in lines[2:] if line.startswith("-")]
    assert 1 < len(removed) < 9
    assert any("\u0900" <= one <= "\u097f" for one in texts[0])  # Devanagari as such, not as escapes
    assert len(texts[0].splitlines()) < 12 * len(answers) + 20


def whole(**samples: object) -> str:
    return json.dumps({"format": 1, "made_with": {}, "samples": {"ocr": {"a": samples}}})


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (None, "--update-baseline"),
        ("{", "Restore"),
        ("[]", "Restore"),
        ('{"format": 9}', "format 9"),
        ('{"format": 1}', "Restore"),
        (whole(answer="x"), "Restore"),
        (whole(answer=3, failure=None, request_sha256=None, scores={}), "answer is no text"),
        (whole(answer="x", failure=None, request_sha256=None, scores={"cer": "bad"}), "Restore"),
        (whole(answer="x", failure=None, request_sha256=None, scores={"cer": 10**400}), "Restore"),
        (whole(answer="x", failure=None, request_sha256=None, scores={"cer": float("nan")}), "cer is nan"),
        (whole(answer="x", failure=None, request_sha256=None, scores={"cer": float("inf")}), "cer is inf"),
        ("[" * 100_000, "Restore"),
    ],
)
def test_a_baseline_that_cannot_be_read_says_what_to_do(tmp_path: Path, content: str | None, advice: str) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(ConfigError, match=advice) as told:
        read_baseline(path)
    assert str(path) in str(told.value)
