"""The form of a JSON schema that servers can hold a model to while it writes.

What all of them take is little: closed objects with every property required, arrays, enums, unions, references to
`$defs` (OpenAI "Structured outputs", strict mode; Fireworks "Structured response formatting"; vLLM 0.33 with xgrammar;
llama.cpp's json-schema-to-grammar; 2026-11-22). One that meets another keyword ignores it, or refuses the request and
with it the run. So ranges, lengths, patterns and conditions stay out: the model reads them in the prompt, and the
answer is held against the person's own schema in any case.

Closing an object is right only when all that it may hold is known, so schemas that are held against one value (`allOf`,
what stands beside a `$ref` or a union) become one first. Where that gets too long, anything is allowed: a form may ask
for too little, but never for what the schema refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.tasks.column_types import types_of
from pipeline.tasks.schema_problems import named

_DEFINITIONS = ("$defs", "definitions")
_UNIONS = ("anyOf", "oneOf")
_CONDITIONS = frozenset({"then", "else", "dependentSchemas", "dependentRequired", "dependencies"})
_SHAPE = _CONDITIONS | {"properties", "patternProperties", "additionalProperties", "required", "items", "prefixItems"}
_SAYING = _SHAPE | {"type", "enum", "const", "minItems", "maxItems", *_UNIONS}
"""Keywords that make a difference to the form, beside `$ref` and `allOf`."""

_DEEPEST, _MOST = 8, 5000
"""Schemas made into one within each other, and what they hold in all: some could be written out for ever."""


def strict_form(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as it is sent. A property that may be left out is required in it and may be null instead."""
    forms = _Forms(schema)
    sent = forms.of(schema)
    for kind in _DEFINITIONS:
        if kind in schema:
            sent[kind] = {name: forms.of(part) for name, part in schema[kind].items()}
    return sent


class _Forms:
    """The forms of a schema's parts. `depth` counts how many were made into one around a part."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._alone = "draft-07" in root.get("$schema", "")  # nothing beside a $ref counts there
        self._made = 0

    def of(self, part: Any, depth: int = 0) -> dict[str, Any]:
        """`true`, which allows everything, is written as a schema; so is `false`, which no server knows."""
        self._made += depth > 0
        if not isinstance(part, dict) or (depth and self._made > _MOST):
            return {}
        reference, every = part.get("$ref"), part.get("allOf", [])
        if (self._alone and reference) or not part.keys() & _SAYING:
            if reference and (self._alone or not every) and reference.count("/") in {0, 2}:
                return {"$ref": reference}  # a longer one may lead to what is elsewhere in the form
            if len(every) == 1 and not reference:
                return self.of(every[0], depth)
        return self._one([part], depth) if reference or every else self._whole([part], depth)

    def _one(self, parts: list[Any], depth: int) -> dict[str, Any]:
        """The form of schemas that hold for a value together."""
        self._made += 1
        return {} if depth >= _DEEPEST or self._made > _MOST else self._whole(list(self._pieces(parts)), depth + 1)

    def _pieces(self, parts: list[Any], *, perhaps: bool = False) -> Iterator[dict[str, Any]]:
        """The schemas that hold together with these, through `$ref` and `allOf`; or also those that hold perhaps."""
        left, seen = list(parts), dict[int, Any]()
        while left:
            part = left.pop(0)
            if not isinstance(part, dict) or id(part) in seen:
                continue
            seen[id(part)] = part
            if "$ref" in part:
                left.append(named(part["$ref"], self._root))
            if "$ref" not in part or not self._alone:
                left += [*part.get("allOf", ()), *(_perhaps(part) if perhaps else ())]
                yield part

    def _whole(self, pieces: list[dict[str, Any]], depth: int) -> dict[str, Any]:
        """One form of several schemas, which are taken without their `$ref` and `allOf`."""
        unions = [piece[name] for piece in pieces for name in _UNIONS if name in piece]
        rest = [{name: value for name, value in piece.items() if name in _SAYING - {*_UNIONS}} for piece in pieces]
        shaped = any(piece.keys() & _SHAPE for piece in rest)
        if len(unions) == 1 and shaped and any(map(self._shapes, unions[0])):
            return _union([self._one([*rest, branch], depth) for branch in unions[0]])
        sent = _value(rest)
        if sent is None:
            return {}
        if said := next((piece["description"] for piece in pieces if "description" in piece), None):
            sent["description"] = said
        if len(unions) == 1 and not shaped:
            branches = [self.of(branch, depth) for branch in unions[0]]
            if all(branches):  # one that allows everything would make the others meaningless
                sent["anyOf"] = branches
        sent |= self._items(rest, depth)
        if "object" in types_of(sent, self._root):
            sent |= self._members(rest, [branch for union in unions for branch in union], depth)
            if "properties" in sent:
                sent.setdefault("type", "object")
        return sent

    def _shapes(self, branch: Any) -> bool:
        """Whether a branch says more than that some properties must be there."""
        return any(piece.keys() & (_SAYING - {"required", "type"}) for piece in self._pieces([branch]))

    def _items(self, pieces: list[dict[str, Any]], depth: int) -> dict[str, Any]:
        listing = [piece for piece in pieces if piece.keys() & {"items", "prefixItems"}]
        if len(listing) > 1:
            each = [piece.get("items") for piece in listing if "prefixItems" not in piece]
            alike = len(each) == len(listing) and all(isinstance(part, dict) for part in each)
            return {"items": self._one(each, depth)} if alike else {}
        sent: dict[str, Any] = {}
        for piece in listing:
            items = piece.get("items")
            if items is not None and not isinstance(items, list):
                sent["items"] = self.of(items, depth)
            if first := items if isinstance(items, list) else piece.get("prefixItems"):  # draft 7, and later ones
                sent["prefixItems"] = [self.of(part, depth) for part in first]
        return sent

    def _members(self, pieces: list[dict[str, Any]], perhaps: list[Any], depth: int) -> dict[str, Any]:
        """What is said of an object: closed, where all that it may hold is known."""
        parts: dict[str, list[Any]] = {}
        for piece in pieces:
            for name, part in piece.get("properties", {}).items():
                parts.setdefault(name, []).append(part)
        tables = [piece for piece in pieces if "additionalProperties" in piece]  # of names that nobody knows before
        patterns = any("patternProperties" in piece for piece in pieces)
        more = patterns or (bool(tables) and self._table(tables[0]["additionalProperties"], depth))
        if not any("properties" in piece for piece in pieces):
            return {"additionalProperties": more} if len(tables) == 1 else {}
        if any(parts.keys() - piece.get("properties", {}).keys() for piece in tables):
            return {}  # one is closed to what another asks for
        sent = {
            name: self.of(same[0], depth) if len(same) == 1 else self._one(same, depth) for name, same in parts.items()
        }
        required = {name: True for piece in pieces for name in piece.get("required", ())}
        perhaps = [*perhaps, *(part for piece in pieces for part in _perhaps(piece))]
        for piece in [{"required": list(required)}, *self._pieces(perhaps, perhaps=True)]:
            for name in {**dict.fromkeys(piece.get("required", ())), **piece.get("properties", {})}:
                if name in parts:
                    nested = types_of({"allOf": parts[name]}, self._root) & {"object", "array"}
                    unknown = bool(nested) and name in piece.get("properties", {})
                else:
                    unknown = not tables
                if unknown:
                    sent[name] = {}  # what more may be asked of it is not known
        closed = {name: part if name in required else _or_null(part) for name, part in sent.items()}
        return {"properties": closed, "required": list(closed), "additionalProperties": more}

    def _table(self, part: Any, depth: int) -> Any:
        return part if isinstance(part, bool) else self.of(part, depth)


def _value(pieces: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What several schemas together say of a value and its length; None when nothing can fit them."""
    sent: dict[str, Any] = {}
    types = [piece["type"] for piece in pieces if "type" in piece]
    if types:
        common = frozenset.intersection(*(types_of({"type": said}, {}) for said in types))
        if "number" in common:
            common -= {"integer"}
        sent["type"] = types[0] if len(types) == 1 else min(common) if len(common) == 1 else sorted(common)
    values = [piece.get("enum", [piece.get("const")]) for piece in pieces if piece.keys() & {"enum", "const"}]
    if values:
        sent["enum"] = [value for value in values[0] if all(value in others for others in values[1:])]
    for name, closest in (("minItems", max), ("maxItems", min)):
        if numbers := [piece[name] for piece in pieces if name in piece]:
            sent[name] = closest(numbers)
    return None if [] in sent.values() else sent


def _perhaps(part: dict[str, Any]) -> list[Any]:
    """Schemas in a schema that hold for some values only."""
    found = [branch for name in _UNIONS for branch in part.get(name, ())]
    for name in _CONDITIONS & part.keys():
        under = [part[name]] if name in {"then", "else"} else part[name].values()
        found += [{"required": one} if isinstance(one, list) else one for one in under]
    return found


def _union(branches: list[dict[str, Any]]) -> dict[str, Any]:
    several = [branch for n, branch in enumerate(branches) if branch not in branches[:n]]
    return {} if {} in several else several[0] if len(several) == 1 else {"anyOf": several}


def _or_null(part: dict[str, Any]) -> dict[str, Any]:
    """The same, or null."""
    null = {"type": "null"}
    if not part:
        return part
    if part.keys() <= {"anyOf", "description"} and "anyOf" in part:
        return part if null in part["anyOf"] else {**part, "anyOf": [*part["anyOf"], null]}
    if part.keys() & {"anyOf", "$ref"} or not part.keys() & {"type", "enum"}:
        return {"anyOf": [part, null]}
    wider = dict(part)
    if "type" in part:
        types = part["type"] if isinstance(part["type"], list) else [part["type"]]
        wider["type"] = types if "null" in types else [*types, "null"]
    if "enum" in part and None not in part["enum"]:
        wider["enum"] = [*part["enum"], None]
    return wider
