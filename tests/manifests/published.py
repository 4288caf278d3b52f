"""Three rows of each web-scale data set, with the columns that its publisher gives it (the Hub, 2026-11-25)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

URLS = [f"https://pictures.example/{number}.jpg" for number in range(3)]
TEXTS = ["a dog", None, 'two "cats"']

LAION_400M = {
    "SAMPLE_ID": [1.5e12, 2.0, None],
    "URL": URLS,
    "TEXT": TEXTS,
    "HEIGHT": pa.array([1, 2, 3], pa.int32()),
    "WIDTH": pa.array([4, 5, 6], pa.int32()),
    "LICENSE": ["?", None, "cc-by"],
    "NSFW": ["UNLIKELY", "UNSURE", None],
    "similarity": [0.25, 0.5, 0.75],
}
LAION_2B = {
    "URL": URLS,
    "TEXT": TEXTS,
    "WIDTH": [4, 5, 6],
    "HEIGHT": [1, 2, 3],
    "similarity": [0.25, None, 0.75],
    "LANGUAGE": ["en", "de", "nolang"],
    "hash": pa.array([-(2**63), 2**63 - 1, 0], pa.int64()),
    "pwatermark": pa.array([0.5, 0.25, None], pa.float32()),
    "punsafe": pa.array([0.5, 0.25, None], pa.float64()),
    "AESTHETIC_SCORE": [5.5, 6.5, 7.5],
}
COYO_700M = {
    "id": [4_600_000_000_001, 4_600_000_000_002, 4_600_000_000_003],
    "url": URLS,
    "text": TEXTS,
    "width": [4, 5, 6],
    "height": [1, 2, 3],
    "image_phash": ["e0d0", "ffff", "0000"],
    "text_length": [5, 0, 10],
    "num_tokens_bert": [3, 2, 6],
    "num_faces": [0, 1, 2],
    "clip_similarity_vitb32": [0.25, 0.5, 0.75],
    "nsfw_score_opennsfw2": [0.25, 0.5, 0.75],
    "watermark_score": [0.25, 0.5, 0.75],
    "aesthetic_score_laion_v2": [4.5, 5.5, 6.5],
}
DATACOMP = {
    "uid": ["00aa", "00bb", "00cc"],
    "url": URLS,
    "text": TEXTS,
    "original_width": [4, 5, 6],
    "original_height": [1, 2, 3],
    "clip_b32_similarity_score": pa.array([0.25, 0.5, 0.75], pa.float32()),
    "face_bboxes": pa.array([[[0.0, 0.5, 0.5, 1.0]], [], None], pa.list_(pa.list_(pa.float64()))),
    "sha256": ["aa", "bb", "cc"],
}
RECAP_DATACOMP = {
    "url": URLS,
    "re_caption": ["a", "b", "c"],
    "org_caption": TEXTS,
    "sha256": ["aa", "bb", "cc"],
    "key": ["000000000001", "000000000002", "000000000003"],
    "re_clip_score": [0.25, 0.5, 0.75],
}
SETS: dict[str, tuple[Mapping[str, Any], dict[str, list[Any]]]] = {
    "LAION-400M": (
        LAION_400M,
        {
            "SAMPLE_ID": [1.5e12, 2.0, None],
            "TEXT": TEXTS,
            "HEIGHT": [1, 2, 3],
            "NSFW": ["UNLIKELY", "UNSURE", None],
            "similarity": [0.25, 0.5, 0.75],
        },
    ),
    "LAION-2B": (
        LAION_2B,
        {"hash": [-(2**63), 2**63 - 1, 0], "pwatermark": [0.5, 0.25, None], "similarity": [0.25, None, 0.75]},
    ),
    "COYO-700M": (COYO_700M, {"id": COYO_700M["id"], "text": TEXTS, "num_faces": [0, 1, 2]}),
    "DataComp": (
        DATACOMP,
        {"uid": ["00aa", "00bb", "00cc"], "face_bboxes": ["[[0.0,0.5,0.5,1.0]]", "[]", None], "text": TEXTS},
    ),
    "Recap-DataComp": (RECAP_DATACOMP, {"re_caption": ["a", "b", "c"], "key": RECAP_DATACOMP["key"]}),
}
