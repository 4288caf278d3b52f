"""A regression over the sample pictures, as it might come out: some better, some worse, most as before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.evaluation.results import Change, Comparison, Evaluation, Figure, Moved, Sample
from pipeline.images.apart import Apart
from pipeline.images.thumbnail import thumbnail

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def labels() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLES / "labels.jsonl").read_text(encoding="utf-8").splitlines()]


def small_pictures() -> dict[str, bytes]:
    apart = Apart(1)
    try:
        small = {one["id"]: thumbnail((SAMPLES / one["file"]).read_bytes(), apart) for one in labels()}
    finally:
        apart.close()
    return {key: picture for key, picture in small.items() if picture is not None}


def sample(label: dict[str, Any], task: str, **more: Any) -> Sample:
    return Sample(
        task,
        task,
        label["id"],
        label["file"],
        label["category"],
        tuple(label["lang"]),
        tuple(label["tags"]),
        **more,
    )


def evaluation() -> Evaluation:
    samples = []
    for label in labels():
        caption = label["captions"][0]
        samples.append(
            sample(label, "caption", answer=caption, reference=caption, scores={"chrf": 0.61, "recall": 0.8})
        )
        if label["text"]:
            read = label["text"].replace("i", "l", 2)
            samples.append(
                sample(label, "ocr", answer=read, reference=label["text"], scores={"cer": 0.021, "wer": 0.07})
            )
        if label["id"] == "photo-retina":
            samples.append(sample(label, "moderate", failure="refused: I cannot help with this picture."))
        else:
            samples.append(sample(label, "moderate", answer="safe", reference="safe", scores={"correct": 1.0}))
    figures = tuple(
        figure for groups in (_figures("ocr", "cer", 0.031), _figures("caption", "chrf", 0.6)) for figure in groups
    )
    flips = {"moderate": {("safe", "safe"): 29, ("unsafe", "unsafe"): 2, ("safe", "unsafe"): 1}}
    return Evaluation(tuple(samples), figures, flips)


def _figures(task: str, metric: str, value: float) -> list[Figure]:
    groups = ["all", *sorted({f"category: {one['category']}" for one in labels()}), "language: en", "language: de"]
    return [
        Figure(
            task, metric, group, 33 - 2 * number, value * (1 + number / 40), value * 0.8, value * (1.2 + number / 40)
        )
        for number, group in enumerate(groups)
    ]


def comparison(now: Evaluation) -> Comparison:
    found = {(one.task, one.key): one for one in now.samples}
    changes = [
        Change(one.task, one.metric, one.group, one.samples, one.value, one.value, 0.01, "same") for one in now.figures
    ]
    changes[0] = Change("ocr", "cer", "all", 23, 0.012, 0.031, 0.01, "worse")
    changes[-1] = Change("caption", "chrf", "language: de", 2, 0.4, now.figures[-1].value, 0.02, "better")
    huck, page, letter = (found["ocr", key] for key in ("doc-huck-finn-page", "syn-hebrew-arabic", "syn-letter-exif6"))
    moved = (
        Moved(huck, huck.reference, None, "cer", 0.0, 0.021, "worse", asked_differently=True),
        Moved(page, (page.reference or "").replace("ש", "ס"), None, "cer", 0.052, 0.021, "better"),
        Moved(letter, "Der ganze Brief.", None, "cer", 0.0, 0.871, "worse", alarming=True),
        Moved(found["moderate", "photo-retina"], "safe", None, "correct", 1.0, None, "worse", alarming=True),
    )
    flips = {"moderate": {("safe", "safe"): 30, ("safe", "failed"): 1, ("unsafe", "unsafe"): 2}}
    return Comparison(tuple(changes), moved, (("ocr", "photo-gone"),), (("ocr", "sign-give-way"),), flips)
