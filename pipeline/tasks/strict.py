"""The form of a JSON schema that servers can hold a model to while it writes.

What all of them take is little: closed objects with every property required, arrays, enums, unions, references to
`$defs` (OpenAI "Structured outputs", strict mode; Fireworks "Structured response formatting"; vLLM 0.33 with xgrammar;
llama.cpp's json-schema-to-grammar; 2026-11-22). One that meets another keyword ignores it, or refuses the request and
with it the run. So ranges, lengths, patterns and conditions stay out: the model reads them in the prompt, and the
answer is held against the person's own schema in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_AS_IT_IS = ("type", "enum", "description", "minItems", "maxItems")
_DEFINITIONS = ("$defs", "definitions")


def strict_form(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as it is sent. A property that may be left out is required in it and may be null instead."""
    if "$ref" in schema:
        return {"$ref": schema["$ref"]} | _definitions(schema)
    sent: dict[str, Any] = {name: schema[name] for name in _AS_IT_IS if name in schema}
    if "const" in schema:
        sent["enum"] = [schema["const"]]
    for name in ("anyOf", "oneOf"):
        branches = [_part(part) for part in schema.get(name, ())]
        if branches and all(branches):  # one that allows everything would make the others meaningless
            sent["anyOf"] = branches
    every = [part for part in map(_part, schema.get("allOf", ())) if part]
    if len(every) == 1:
        sent = {**every[0], **sent}
    elif every:
        sent["allOf"] = every
    items = schema.get("items")
    if items is not None and not isinstance(items, list):
        sent["items"] = _part(items)
    if each := items if isinstance(items, list) else schema.get("prefixItems"):  # draft 7, and later ones
        sent["prefixItems"] = [_part(part) for part in each]
    if "properties" in schema:
        required = schema.get("required", ())
        parts = {name: _part(part) for name, part in schema["properties"].items()}
        sent.setdefault("type", "object")
        sent["properties"] = {name: part if name in required else _or_null(part) for name, part in parts.items()}
        sent["required"] = list(parts)
        sent["additionalProperties"] = False
    if "additionalProperties" in schema:  # a table of names that nobody knows before
        more = schema["additionalProperties"]
        sent["additionalProperties"] = more if isinstance(more, bool) else _part(more)
    return sent | _definitions(schema)


def _definitions(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {inner: _part(part) for inner, part in schema[name].items()} for name in _DEFINITIONS if name in schema
    }


def _part(schema: Any) -> dict[str, Any]:
    """`true`, which allows everything, is written as a schema; so is `false`, which no server knows."""
    return {} if isinstance(schema, bool) else strict_form(schema)


def _or_null(part: dict[str, Any]) -> dict[str, Any]:
    """The same, or null."""
    if not part:
        return part
    if "anyOf" in part:
        return part if {"type": "null"} in part["anyOf"] else {**part, "anyOf": [*part["anyOf"], {"type": "null"}]}
    if "$ref" in part or "allOf" in part or not part.keys() & {"type", "enum"}:
        return {"anyOf": [part, {"type": "null"}]}
    wider = dict(part)
    if "type" in part:
        types = part["type"] if isinstance(part["type"], list) else [part["type"]]
        wider["type"] = types if "null" in types else [*types, "null"]
    if "enum" in part and None not in part["enum"]:
        wider["enum"] = [*part["enum"], None]
    return wider
