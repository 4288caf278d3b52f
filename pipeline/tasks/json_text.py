"""The one JSON value in a model's answer: tolerant of what models wrap around it, without guessing anything.

Tolerated, since the meaning is plain: a code fence or words around the one object, raw control characters in strings, a
comma before a closing bracket. Refused: several values, a name that stands twice in one object, NaN, Infinity and
numbers that no double holds, anything that is broken in the middle.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from pipeline.core.errors import ItemError
from pipeline.tasks.answers import unfenced

_BRACKETS = re.compile(r"[\[\]{}]")
_COMMAS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{,:]\s*,|(?P<surplus>,)(?=\s*[}\]])', re.DOTALL)
"""Strings as a whole, commas with nothing before them, and commas that only a closing bracket follows."""


class _RefusedError(ValueError):
    """JSON as far as its grammar goes, but of no certain meaning: nothing else is tried."""


def read_json(text: str) -> Any:
    """The value in an answer's text; strings in it are valid Unicode. Raises ItemError invalid_json."""
    try:
        return parsed(unfenced(text).strip().removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise ItemError("invalid_json", f"the answer is not JSON: {_said(error)}") from error


def parsed(text: str) -> Any:
    """The one value in a text without a fence around it. Raises ValueError, RecursionError."""
    try:
        return _whole(_loaded(text))
    except ValueError as error:
        inner = _COMMAS.sub(lambda match: "" if match["surplus"] else match[0], _object_in(text))
        if inner == text:
            raise
        try:
            return _whole(_loaded(inner))
        except _RefusedError:
            raise
        except ValueError:
            raise error from None  # what is wrong with the answer as it came


def _loaded(text: str) -> Any:
    # Models write raw line breaks into strings; their meaning is plain.
    return json.loads(
        text, strict=False, object_pairs_hook=_once_each, parse_constant=_no_constant, parse_float=_finite
    )


def _object_in(text: str) -> str:
    """The text from its first to its last brace, where no bracket stands before or behind; else all of it.

    Whether it is one object and whole is left for the parser to say.
    """
    start, end = text.find("{"), text.rfind("}") + 1
    if start < 0 or end <= start or _BRACKETS.search(text[:start] + text[end:]):
        return text
    return text[start:end]


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RefusedError(f"the name {json.dumps(twice[:60])} stands twice in one object")
    return value


def _no_constant(name: str) -> Any:
    raise _RefusedError(f"{name} is no JSON value")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise _RefusedError(f"the number {number[:30]} is too large")
    return value


def _whole(value: Any) -> Any:
    """The value with each lone surrogate, as half an emoji is written, replaced: no file holds one."""
    try:
        text = json.dumps(value, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:
        return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return value


def _said(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
