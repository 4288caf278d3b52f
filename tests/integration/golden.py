"""What is asked about the samples: the hash of every request, and what its picture looks like. Written by

    python -m tests.integration.golden

A change of a prompt, of the way pictures are prepared or of Pillow shows here before it shows in a bill: equal
questions are told by these hashes, and servers cache pictures by their bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import PIL
from PIL import Image

from pipeline.checks import read_config
from pipeline.compose import open_reader, open_tasks
from pipeline.core.pictures import PreparedImage
from pipeline.images.prepare import prepared
from pipeline.images.rules import ServerRules
from pipeline.providers.dialects import DIALECTS

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).with_name("golden.json")


def found() -> dict[str, Any]:
    """The samples as they are asked about today with `configs/sample.toml`, by picture and task."""
    config = read_config(ROOT / "configs" / "sample.toml", [f'manifest.path="{ROOT / "data" / "samples" / "images"}"'])
    dialect = DIALECTS[config.provider.dialect]
    rules = ServerRules(dialect.accepts, dialect.max_base64_bytes, dialect.max_images)
    provider = open_reader(config)
    samples: dict[str, Any] = {}
    for path in sorted((ROOT / "data" / "samples" / "images").iterdir()):
        for name, task in open_tasks(config).items():
            images = prepared(path.read_bytes(), task.contract, rules)
            body = provider.render(task.prompt({}, images))
            samples[f"{path.name} {name}"] = {
                "request_sha256": hashlib.sha256(body).hexdigest(),
                "sent": [images[0].sent_width, images[0].sent_height],
                "looks": looks(images[0]),
            }
    return {"pillow": PIL.__version__, "samples": samples}


def looks(image: PreparedImage) -> str:
    """A difference hash (64 bits in hexadecimal): which of 8 x 8 places is brighter than the one to its left."""
    small = Image.open(io.BytesIO(image.data)).convert("L").resize((9, 8), Image.Resampling.BOX)
    rows = [small.crop((0, y, 9, y + 1)).tobytes() for y in range(8)]
    bits = [right > left for row in rows for left, right in pairwise(row)]
    return f"{sum(bit << place for place, bit in enumerate(bits)):016x}"


def distance(one: str, other: str) -> int:
    """In how many of the 64 bits two such hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(found(), indent=1) + "\n")
