"""Patterns of a schema, searched for within a bound.

Python's own `re` and jsonschema, which uses it, search for as long as it takes: for `^(a+)+$` in a text that a looping
model wrote, longer than anybody lives. The library `regex` takes the same patterns and a time limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import regex  # type: ignore[import-untyped]  # it ships no types

SECONDS: Final = 1.0
"""For one search; a pattern that is written well takes microseconds."""


class EndlessSearchError(Exception):
    """A pattern was not done with a text in time. The text of the error names the pattern."""


def problem_of(pattern: str) -> str | None:
    """Why a pattern cannot be used, None when it can."""
    try:
        regex.compile(pattern)
    except (regex.error, OverflowError) as error:
        return str(error)
    return None


def occurs(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text. Raises EndlessSearchError."""
    try:
        return regex.search(pattern, text, timeout=SECONDS) is not None
    except TimeoutError:
        raise EndlessSearchError(f"the pattern {pattern[:60]!r} takes for ever to be looked for") from None


def bounded(validator: Any) -> Any:
    """A validator class of jsonschema whose keywords that hold patterns search within the bound."""
    import jsonschema

    keywords = {"pattern": _pattern, "patternProperties": _pattern_properties, "additionalProperties": _additional}
    return jsonschema.validators.extend(validator, keywords)


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(value, str) and not occurs(pattern, value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, by_pattern: dict[str, Any], value: Any, _: Any) -> Iterator[Any]:
    if not isinstance(value, dict):
        return
    for pattern, schema in by_pattern.items():
        for name, part in value.items():
            if occurs(pattern, name):
                yield from validator.descend(part, schema, path=name, schema_path=pattern)


def _additional(validator: Any, allowed: Any, value: Any, schema: dict[str, Any]) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not isinstance(value, dict):
        return
    patterns = schema.get("patternProperties", {})
    further = [
        name
        for name in value
        if name not in schema.get("properties", {}) and not any(occurs(pattern, name) for pattern in patterns)
    ]
    if allowed is False and further:
        yield ValidationError(f"Additional properties are not allowed ({', '.join(map(repr, further))})")
    elif isinstance(allowed, dict):
        for name in further:
            yield from validator.descend(value[name], allowed, path=name)
