"""What the files of an output say of their columns to Hugging Face: the key `huggingface` of their Arrow schema.

`datasets` and the Hub's viewer read it instead of guessing. The form is that of `datasets.Features.to_dict` (5.2.0,
read 2026-11-25; https://huggingface.co/docs/datasets/about_dataset_features), in words that all versions know: one that
they do not know keeps them from reading the whole file. So lists are called Sequence here, as before version 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.types as kinds


def metadata_of(columns: Iterable[tuple[str, pa.DataType]], classes: Mapping[str, Sequence[str]]) -> dict[bytes, bytes]:
    """The metadata of a schema with these columns; `classes` has the names of those that hold class numbers."""
    features = {
        name: {"names": classes[name], "_type": "ClassLabel"} if classes.get(name) else _feature(kind)
        for name, kind in columns
    }
    return {b"huggingface": orjson.dumps({"info": {"features": features}})}


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if kinds.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "Sequence"}
    return {"dtype": "float64" if kind == pa.float64() else str(kind), "_type": "Value"}  # Arrow prints double
