"""One row's question: the fixed text first, then the row's columns quoted as data, its pictures, its own question."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from pipeline.core.errors import ItemError
from pipeline.core.pictures import LinkedImage, PreparedImage
from pipeline.core.types import FixedPrompt, Prompt, Scalar, Value

MAX_VALUE = 2000
"""Characters of one quoted value that are sent; the rest is cut off."""
MAX_QUESTION = 2000
"""Characters of a row's question; of a longer one nothing is sent."""

_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def lay_out(
    fixed: FixedPrompt,
    columns: Mapping[str, Value],
    context: tuple[str, ...],
    images: tuple[PreparedImage | LinkedImage, ...],
    question_from: str | None = None,
) -> Prompt:
    """The question for one row. `context` names the columns to quote, in that order, `question_from` that of its own
    question. Raises ItemError bad_row when there is none in it.
    """
    question = None if question_from is None else asked(columns, question_from)
    return Prompt(fixed, quoted(columns, context), images, question)


def asked(columns: Mapping[str, Value], name: str) -> str:
    """The row's question as a JSON string between question tags, which it cannot close either.

    Raises ItemError bad_row: it is not there, blank, no text, or longer than `MAX_QUESTION`. A part of a question may
    be another question, so none is cut.
    """
    value = columns.get(name)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ItemError("bad_row", f"the column {name!r} holds no question")
    if not isinstance(value, str):
        raise ItemError("bad_row", f"the column {name!r} holds no text, so no question")
    text = value.strip()
    if len(text) > MAX_QUESTION:
        said = f"a question of {len(text):,} characters; at most {MAX_QUESTION:,} are asked"
        raise ItemError("bad_row", f"the column {name!r} holds {said}")
    return f"<question>{json.dumps(_unbroken(text), ensure_ascii=False).translate(_ESCAPES)}</question>"


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
        return _unbroken(value.strip()[:MAX_VALUE]) or None
    return value


def _unbroken(text: str) -> str:
    """A lone surrogate, as a broken CSV can hold, has no UTF-8 and would fail the request."""
    return text.encode("utf-8", "replace").decode()
