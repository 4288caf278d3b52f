"""One row's question: the fixed text first, then the row's columns quoted as data, then its pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from pipeline.core.pictures import LinkedImage, PreparedImage
from pipeline.core.types import FixedPrompt, Prompt, Scalar, Value

MAX_VALUE = 2000
"""Characters of one quoted value that are sent; the rest is cut off."""

_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def lay_out(
    fixed: FixedPrompt,
    columns: Mapping[str, Value],
    context: tuple[str, ...],
    images: tuple[PreparedImage | LinkedImage, ...],
) -> Prompt:
    """The question for one row. `context` names the columns to quote, in that order."""
    return Prompt(fixed, quoted(columns, context), images)


def quoted(columns: Mapping[str, Value], names: tuple[str, ...]) -> str | None:
    """The named columns as JSON between context tags, or None when none has a value.

    Missing, null, blank and non-finite values are left out. In JSON, `<`, `>` and `&` can only stand inside strings,
    where their escapes mean the same: no value can close the block or open another.
    """
    values = {name: value for name in names if (value := _value(columns.get(name))) is not None}
    if not values:
        return None
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return f"<context>{text.translate(_ESCAPES)}</context>"


def _value(value: Value) -> Scalar:
    """The value as it is quoted, None when there is nothing to say."""
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no word for it
    if isinstance(value, list):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, str):
        # A lone surrogate, as a broken CSV can hold, has no UTF-8 and would fail the request.
        return value.strip()[:MAX_VALUE].encode("utf-8", "replace").decode() or None
    return value
