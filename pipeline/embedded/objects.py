"""Finds and counts everyday things: CenterNet over the 80 COCO classes.

The network gives a heat map of object centres per class and, at each place, the distances to the box's four sides
("Objects as Points", arXiv 1904.07850; four distances as in "TTFNet", arXiv 1909.00700; both read 2026-11-23).
"""

import json
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.embedded.inference import open_session

SIDE = 512
"""Width and height in pixels of the network's input."""
STRIDE = 4
"""Input pixels per place of the 128 x 128 heat map."""
SURE = 0.5
"""A centre counts from this score on: likelier there than not."""
SAME = 0.5
"""Two boxes of one class whose intersection over union is higher are one object, as in the COCO evaluation."""


class Found(NamedTuple):
    """One object: its COCO name, score from 0 to 1, and box (left, top, right, bottom) in shares of the picture."""

    name: str
    score: float
    box: tuple[float, float, float, float]


class Detector:
    """Holds the network; one instance serves all threads."""

    def __init__(self) -> None:
        models = resources.files("pipeline.embedded").joinpath("models")
        self._names: list[str] = json.loads(models.joinpath("coco.json").read_text("utf-8"))
        self._session: Any = open_session(models.joinpath("centernet.onnx").read_bytes())

    def find(self, picture: Image.Image) -> list[Found]:
        """Objects in an RGB picture, surest first, at most one for each place and class."""
        pixels = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.float32)
        heat, sides = self._session.run(["keypoints", "wh"], {"image": pixels[np.newaxis]})
        kept: list[Found] = []
        for candidate in self._candidates(heat[0], sides[0]):
            if all(one.name != candidate.name or _overlap(one.box, candidate.box) <= SAME for one in kept):
                kept.append(candidate)
        return kept

    def _candidates(self, heat: NDArray[np.float32], sides: NDArray[np.float32]) -> list[Found]:
        rows, columns, classes = np.nonzero((heat >= SURE) & (heat == _highest_around(heat)))
        found = []
        for row, column, index in zip(rows.tolist(), columns.tolist(), classes.tolist(), strict=True):
            left, top, right, bottom = (float(distance) for distance in sides[row, column])
            x, y = column * STRIDE, row * STRIDE
            box = ((x - left) / SIDE, (y - top) / SIDE, (x + right) / SIDE, (y + bottom) / SIDE)
            found.append(Found(self._names[index], float(heat[row, column, index]), box))
        return sorted(found, key=lambda one: -one.score)


def open_detector() -> Detector | None:
    """The detector, or None where its weights were removed: captions then rest on the other models."""
    if not resources.files("pipeline.embedded").joinpath("models", "centernet.onnx").is_file():
        return None
    return Detector()


def _highest_around(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """The 3 x 3 maximum filter over height x width x classes that CenterNet uses to find its peaks."""
    height, width = heat.shape[:2]
    padded = np.pad(heat, ((1, 1), (1, 1), (0, 0)), constant_values=-1.0)
    highest = heat
    for down in range(3):
        for across in range(3):
            highest = np.maximum(highest, padded[down : down + height, across : across + width])
    return highest


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return common / (areas - common)
