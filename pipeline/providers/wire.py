"""JSON on the wire, in both directions, without losing a row to an odd character."""

from __future__ import annotations

import json
from typing import Any

import orjson


def mended(text: str) -> str:
    """The text as valid Unicode: surrogate pairs joined, lone surrogates replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def quoted(text: str) -> bytes:
    """The text as a JSON string."""
    return orjson.dumps(mended(text))


def parsed(body: bytes) -> Any:
    """The JSON value in a body. Raises ValueError when there is none.

    Bodies that orjson refuses are read once more leniently: NaN, raw control characters, broken UTF-8 and lone
    surrogates have all been paid for. Strings may then need `mended`.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            return json.loads(body.decode("utf-8", "replace"), strict=False)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
