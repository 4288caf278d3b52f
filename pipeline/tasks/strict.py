"""The form of a JSON schema that servers can hold a model to while it writes.

What all of them take is little: closed objects with every property required, arrays, enums, unions, references to
`$defs` (OpenAI "Structured outputs", strict mode; Fireworks "Structured response formatting"; vLLM 0.33 with xgrammar;
llama.cpp's json-schema-to-grammar; 2026-11-22). One that meets another keyword ignores it, or refuses the request and
with it the run. So ranges, lengths, patterns and conditions stay out: the model reads them in the prompt, and the
answer is held against the person's own schema in any case.

A form may ask for too little, but never refuse what the schema allows. So there is one rule: an object is closed where
its schema says its properties and nothing else in the schema says more of the same value; everything else stays open,
with the types that it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DEFINITIONS = ("$defs", "definitions")
_FURTHER = frozenset(
    {"$ref", "allOf", "anyOf", "oneOf", "not", "if", "dependentSchemas", "dependentRequired", "dependencies"}
    | {"patternProperties", "minProperties", "contains"}
)
"""Keywords that may ask for more of a value, or allow more, than is said beside them."""
_SHAPE = frozenset({"properties", "required", "additionalProperties", "unevaluatedProperties", "items", "prefixItems"})
_NULL = {"type": "null"}


def strict_form(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as it is sent. A property of a closed object is required in it; what may be left out may be null."""
    forms = _Forms(schema)
    sent = {"type": "object", **forms.of(schema)}  # every answer is one, also where the schema does not say so
    for kind in _DEFINITIONS:
        if kind in schema:
            sent[kind] = {name: forms.of(part) for name, part in schema[kind].items()}
    return sent


class _Forms:
    """The forms of a schema's parts. A part is `alone` when no other part is held against the same value."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        draft = root.get("$schema", "2020-12")
        self._references_only = "draft-07" in draft  # nothing beside a $ref counts there
        self._first_items = "prefixItems" if "2020-12" in draft else "items"
        self._typed = "type" in root

    def of(self, part: Any, alone: bool = True) -> dict[str, Any]:
        """`true`, which allows everything, is written as a schema; so is `false`, which no server knows."""
        if not isinstance(part, Mapping):
            return {}
        if self._references_only and "$ref" in part:
            part = {"$ref": part["$ref"]}
        sent = _plain(part)
        if "enum" in sent:
            return sent  # whole values, in which no null may stand for what is left out
        further = part.keys() & _FURTHER
        if len(further) == 1 and not part.keys() & _SHAPE:
            return self._through(further.pop(), part, alone) or sent
        alone = alone and not further
        return sent | self._items(part, alone) | self._members(part, alone)

    def _through(self, keyword: str, part: Mapping[str, Any], alone: bool) -> dict[str, Any]:
        """The form of a schema that leaves to others what it says; nothing where that cannot be told."""
        said = part[keyword]
        if keyword == "$ref":
            return {"$ref": said} if alone and self._is_sent(said) else {}
        if keyword == "allOf" and len(said) == 1:
            return self.of(said[0], alone)
        if keyword in {"anyOf", "oneOf"}:
            branches = [self.of(branch, alone) for branch in said]
            if all(branch.keys() - {"description"} for branch in branches):  # else anything is allowed
                return {**_plain(part), "anyOf": branches}
        return {}

    def _is_sent(self, reference: str) -> bool:
        """Whether a reference leads to the same place in the form; one into a part may not."""
        if reference == "#":
            return self._typed  # without a type it stands for any value, but for an object in the form
        return reference.count("/") == 2 and reference.split("/")[1] in _DEFINITIONS

    def _items(self, part: Mapping[str, Any], alone: bool) -> dict[str, Any]:
        sent: dict[str, Any] = {}
        if "items" in part and not isinstance(part["items"], list):
            sent["items"] = self.of(part["items"], alone)
        if isinstance(first := part.get(self._first_items), list):
            sent["prefixItems"] = [self.of(one, alone) for one in first]
        return sent

    def _members(self, part: Mapping[str, Any], alone: bool) -> dict[str, Any]:
        """What is said of an object."""
        others = part.get("additionalProperties", False)
        if "properties" not in part:
            return {"additionalProperties": self.of(others)} if alone and isinstance(others, dict) else {}
        required = part.get("required", ())
        sent = {name: self.of(one, alone) for name, one in part["properties"].items()}
        unknown = others is not False or part.get("unevaluatedProperties", False) is not False
        if alone and not unknown and sent.keys() >= set(required):
            closed = {name: one if name in required else _or_null(one) for name, one in sent.items()}
            return {"properties": closed, "required": list(closed), "additionalProperties": False}
        # llama.cpp closes an object that does not say that it is open (grammars/README.md, 2026-11-22).
        named = [name for name in sent if name in required]
        return {"properties": sent, "required": named, "additionalProperties": True}


def _plain(part: Mapping[str, Any]) -> dict[str, Any]:
    """What a schema says of a value by itself, as it stands there."""
    sent = {"type": part["type"]} if "type" in part else {}
    if values := part.get("enum", [part["const"]] if "const" in part else []):
        sent["enum"] = values
    return sent | {name: part[name] for name in ("minItems", "maxItems", "description") if name in part}


def _or_null(part: dict[str, Any]) -> dict[str, Any]:
    """The same, or null."""
    if not part.keys() - {"description"}:
        return part
    if "anyOf" in part and "type" not in part:
        return part if _NULL in part["anyOf"] else {**part, "anyOf": [*part["anyOf"], _NULL]}
    if "anyOf" in part or not part.keys() & {"type", "enum"}:
        return {"anyOf": [part, _NULL]}
    wider: dict[str, Any] = {}
    if "type" in part:
        types = part["type"] if isinstance(part["type"], list) else [part["type"]]
        wider["type"] = types if "null" in types else [*types, "null"]
    if "enum" in part and None not in part["enum"]:
        wider["enum"] = [*part["enum"], None]
    return part | wider
