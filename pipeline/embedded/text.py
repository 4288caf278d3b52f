"""Reads the text in a picture with the PP-OCRv6 models that the rapidocr wheel carries."""

from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pipeline.embedded.inference import threads
from pipeline.embedded.reading import level, read_lines

SURE = 0.8
"""Recognition score, 0 to 1, below which a box is dropped: texture read as text scores lower."""
SHORTEST = 3
"""Characters that some box of a line needs, a letter or digit among them; a lone "0" or "8" is mostly a coin."""

LONGEST = 2000
"""Pixels of the longer side that the detector sees at most (rapidocr's own default)."""
SLIMMEST = 8
"""Longer over shorter side at most: the detector enlarges the shorter to 736 pixels, whatever the longer is."""


class Reading(NamedTuple):
    """The text of a picture: its lines in reading order, and the share of the picture (0 to 1) their boxes cover."""

    lines: list[str]
    covered: float


class Reader:
    """Holds the detection and recognition models; one instance serves all threads, for neither keeps state."""

    def __init__(self) -> None:
        from rapidocr import RapidOCR  # imports OpenCV, half a second

        models = resources.files("rapidocr").joinpath("models")
        self._ocr: Any = RapidOCR(
            params={
                "Global.log_level": "critical",  # it would log every start and every picture without text
                "Global.use_cls": False,
                "Global.text_score": SURE,
                "Det.model_path": str(models.joinpath("PP-OCRv6_det_small.onnx")),  # a named file is never downloaded
                "Rec.model_path": str(models.joinpath("PP-OCRv6_rec_small.onnx")),
                "EngineConfig.onnxruntime.intra_op_num_threads": threads(),
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
        self.read(Image.new("RGB", (64, 64), "white"))  # loads the detector now, not in the first request
        self._ocr.recognize_txt([np.full((48, 96, 3), 255, dtype=np.uint8)])  # and the recogniser

    def read(self, picture: Image.Image) -> Reading:
        """The text of an RGB picture."""
        picture, size = _bounded(picture)
        found = self._ocr(np.asarray(picture)[:, :, ::-1])  # it expects BGR arrays, as OpenCV does
        if found.boxes is None or not len(found.boxes):
            return Reading([], 0.0)
        quads = [[(float(x), float(y)) for x, y in quad] for quad in found.boxes]
        rows = read_lines(level(quads, [str(text).strip() for text in found.txts]))
        kept = [row for row in rows if any(_is_text(box.text) for box in row)]
        area = sum((box.right - box.left) * box.height for row in kept for box in row)
        lines = [" ".join(box.text for box in row) for row in kept]
        return Reading(lines, min(1.0, area / (size[0] * size[1])))


def _bounded(picture: Image.Image) -> tuple[Image.Image, tuple[int, int]]:
    """The picture in bounds (made smaller, then widened with white), and its width x height without the white."""
    if max(picture.size) > LONGEST:
        picture = picture.copy()
        picture.thumbnail((LONGEST, LONGEST))
    width, height = picture.size
    if max(width, height) <= SLIMMEST * min(width, height):
        return picture, picture.size
    paper = Image.new("RGB", (max(width, height // SLIMMEST), max(height, width // SLIMMEST)), "white")
    paper.paste(picture)
    return paper, picture.size


def _is_text(text: str) -> bool:
    return len(text) >= SHORTEST and any(character.isalnum() for character in text)
