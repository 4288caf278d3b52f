"""Names for the shapes in which servers word an error; `complaint.py` reads them all and tells where they are from."""

from __future__ import annotations

from pipeline.providers.wire import parsed


def shape_of(body: bytes) -> str:
    """The shape of an error's body, in words. Never fails."""
    if not body.strip():
        return "nothing"
    if body.startswith(b"data:"):
        return "an event stream"
    try:
        value = parsed(body)
    except ValueError:
        return "a page" if b"<" in body else "plain text"
    if isinstance(value, list):
        return "a list of errors"
    if not isinstance(value, dict):
        return "plain text"
    return _object(value)


def _object(value: dict[str, object]) -> str:
    inner, detail = value.get("error"), value.get("detail")
    if isinstance(inner, dict):
        return 'an object "error"'
    if inner is not None:
        return 'a text "error"'
    if detail is not None:
        return 'a list "detail"' if isinstance(detail, list) else 'a text "detail"'
    return 'a text "message"' if "message" in value else "an object of its own"
