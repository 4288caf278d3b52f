"""What Hugging Face's metadata in a Parquet file says of its columns: which hold images, what class numbers stand for.

The key `huggingface` of the Arrow schema, as `datasets` writes it (5.2.0 and earlier versions, read 2026-11-25):
https://huggingface.co/docs/datasets/about_dataset_features. It is a hint and no part of the data: where it makes no
sense, it says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
import pyarrow as pa

MOST_BYTES: Final = 2**20
"""Of one column's class names: they stand in every file of an output."""
_LISTS: Final = {"List", "LargeList", "Sequence"}


def image_columns(schema: pa.Schema) -> set[str]:
    """The columns that are called images, or lists of them."""
    return {name for name, feature in _features(schema).items() if _is_image(feature) or _is_image(_item_of(feature))}


def class_names(schema: pa.Schema, steps: Sequence[str]) -> tuple[str, ...]:
    """What the numbers 0, 1, ... of a column (or of what `steps` lead to through structs) stand for: a ClassLabel.

    Empty where it is none that `datasets` would accept, and where the names take more than MOST_BYTES.
    """
    feature: Any = _features(schema)
    for step in steps:
        feature = feature.get(step) if isinstance(feature, dict) else None
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return ()
    given = feature.get("names")
    if not isinstance(given, list) or not all(isinstance(name, str | int) for name in given):
        return ()
    names = tuple(str(name) for name in given)
    usable = len(set(names)) == len(names) and sum(len(name.encode()) for name in names) <= MOST_BYTES
    return names if usable else ()


def _features(schema: pa.Schema) -> Mapping[str, Any]:
    try:
        features = orjson.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _is_image(feature: object) -> bool:
    return isinstance(feature, dict) and feature.get("_type") == "Image"


def _item_of(feature: object) -> object:
    """What a list is a list of; None for anything else."""
    if isinstance(feature, list):  # as older versions wrote lists
        return feature[0] if len(feature) == 1 else None
    return feature.get("feature") if isinstance(feature, dict) and feature.get("_type") in _LISTS else None
