"""A larger model than fits into a package, scripted: it knows the sample pictures and answers as a good one would.

A picture is known by what is on it, so that other sizes and encodings of it are answered too. Nothing is drawn by
chance: a request has one answer. Of what good models get wrong there is a little of each: letters that look alike, a
caption in other words, one that needs more thought than its room allows, and a verdict that is left open.

    python -m tests.support.scripted_model --port 0

It prints a JSON line with its address, and ends when stdin closes or after `--max-seconds`. Options: `fake_process`.
"""

import io
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tests.support.child import ROOT
from tests.support.exchange import Reply, Request, Script, Usage, answer

SAMPLES = ROOT / "data" / "samples"
THINKS = {"doc-huck-finn-page": 350}
"""Tokens of thought before the caption of a picture: more than the 300 that a caption has at first."""
UNSURE = "photo-retina"
UNKNOWN = "none of the samples"
"""The name of every other picture."""

_SIDE = 24
_FARTHEST = 0.05
"""The mean difference of two small grey pictures from which on it is a stranger's; black and white are 1 apart. The
same picture in JPEG quality 5 or 256 pixels wide is below 0.03. Of the samples the nearest counts, however near."""
_LOOK_ALIKE = str.maketrans(
    {"l": "1", "O": "0", "e": "c", "n": "u", "S": "5", "и": "н", "α": "a", "ا": "أ", "一": "－"}
)
_SYNONYMS = {
    "photograph": "photo",
    "picture": "image",
    "large": "big",
    "headed": "titled",
    "and": "as well as",
    "showing": "with",
    "small": "little",
}


class Gallery:
    """The sample pictures as small grey ones, and what is known of each."""

    def __init__(self, samples: Path = SAMPLES) -> None:
        lines = (samples / "labels.jsonl").read_text("utf-8").splitlines()
        self._labels = {label["id"]: label for label in map(json.loads, lines)}
        self._names = list(self._labels)
        self._small = np.stack([_small((samples / one["file"]).read_bytes()) for one in self._labels.values()])

    def label(self, picture: bytes) -> dict[str, Any] | None:
        """What is known of a picture, by how it looks; None when it is like none of them."""
        apart = self.differences(picture)
        nearest = int(apart.argmin())
        return self._labels[self._names[nearest]] if apart[nearest] < _FARTHEST else None

    def differences(self, picture: bytes) -> NDArray[np.float64]:
        """How far it is from each sample, 0 to 1, in their order."""
        apart: NDArray[np.float64] = np.abs(self._small - _small(picture)).mean(axis=(1, 2))
        return apart


def _small(picture: bytes) -> NDArray[np.float64]:
    """The picture on white, upright, in a grey square; its shape is in the square's last row."""
    with Image.open(io.BytesIO(picture)) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGBA")
    white = Image.new("RGBA", upright.size, "white")
    grey = Image.alpha_composite(white, upright).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    shape = np.full((1, _SIDE), upright.width / (upright.width + upright.height))
    return np.concatenate([np.asarray(grey, dtype=np.float64) / 255, shape])


def scripted_model() -> Script:
    """The script: captions, text or a verdict, by the form in which the request wants its answer."""
    gallery = Gallery()

    def script(request: Request) -> Reply:
        label = gallery.label(request.image) if request.image_base64 else None
        thinks = 0
        if request.has("verdict"):
            content = _verdict(label, request)
        elif request.has("language: "):
            content = _text(label)
        else:
            content = _caption(label)
            thinks = THINKS.get(label["id"], 0) if label else 0
        return _within_room(request, content, thinks)

    return script


def _within_room(request: Request, content: str, thinks: int) -> Reply:
    """The answer, cut where its thoughts and its words take more tokens than there is room for."""
    room = request.field("max_tokens") or request.field("max_completion_tokens") or 10**6
    tokens = thinks + max(1, len(content.encode()) // 4)
    fits = tokens <= room
    said = content if fits else content.encode()[: max(0, room - thinks) * 4].decode("utf-8", "ignore")
    words = len(request.body) - sum(map(len, request.images_base64()))
    pictures = sum(_tokens_of(request) for _ in request.images_base64(1))
    usage = Usage(words // 4 + pictures, min(tokens, room), 0, pictures)
    return answer(request, said, finish_reason="stop" if fits else "length", usage=usage)


def _tokens_of(request: Request) -> int:
    with Image.open(io.BytesIO(request.image)) as opened:
        return -(-opened.width // 28) * -(-opened.height // 28)


def _caption(label: dict[str, Any] | None) -> str:
    if label is None:
        return "A picture that shows nothing that can be named."
    captions = label["captions"]
    words = captions[_number(label) % len(captions)].split(" ")
    return " ".join(_SYNONYMS.get(word, word) for word in words)


def _text(label: dict[str, Any] | None) -> str:
    """The text with a letter in about ninety misread, in twenty of what is hard to read."""
    text = "\n".join(label["must_contain"]) if label and label.get("text") is None else (label or {}).get("text")
    if label is None or not text:
        return "language: none"
    every = 20 if "hard" in label["tags"] else 90
    start = _number(label) % every
    read = "".join(
        sign.translate(_LOOK_ALIKE) if (place - start) % every < 3 and place >= start else sign
        for place, sign in enumerate(text)
    )
    return f"language: {label['lang'][0]}\n\n{read}"


def _verdict(label: dict[str, Any] | None, request: Request) -> str:
    form = request.field("response_format")
    names = form["json_schema"]["schema"]["properties"]["scores"]["required"] if form else []
    unsure = label is None or label["id"] == UNSURE
    applying = [] if unsure or label is None else [name for name in names if name in label["moderation"]["categories"]]
    scores = {name: 0.9 if name in applying else None if unsure else _number(label, name) % 8 / 100 for name in names}
    if unsure:
        reason = "It cannot be told what the picture shows."
    else:
        reason = f"The picture shows {', '.join(applying)}." if applying else "Nothing in the picture is harmful."
    verdict = "unsure" if unsure else "unsafe" if applying else "safe"
    return json.dumps({"verdict": verdict, "labels": applying, "scores": scores, "reason": reason})


def _number(label: dict[str, Any] | None, salt: str = "") -> int:
    """A number that a sample has for good."""
    return zlib.crc32(((label["id"] if label else UNKNOWN) + salt).encode())


if __name__ == "__main__":
    from tests.support.fake_process import main

    main(["--script", "tests.support.scripted_model:scripted_model", *sys.argv[1:]])
