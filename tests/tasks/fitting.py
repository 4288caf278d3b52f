"""Schemas of all kinds, values made to fit them, and how a server held to a form would write such a value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from typing import Any

from hypothesis import strategies as st

from pipeline.tasks.fields import Fields, read_schema
from pipeline.tasks.schema_problems import named

TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
DRAFT_2019 = "https://json-schema.org/draft/2019-09/schema"


def an_object(required: str = "", **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required.split()}


A, B = an_object("a", a=TEXT), an_object("b", b=TEXT)
MAYBE = an_object(a=TEXT)
BASE = {"$ref": "#/$defs/base"}
DEFINITIONS: dict[str, Any] = {
    "base": A,
    "more": {"allOf": [BASE], **an_object("b", b=WHOLE)},
    "node": an_object(a=TEXT, b={"$ref": "#/$defs/node"}),
    "bit": {"enum": ["x", 1]},
}


def fields_of(item: Any, **changes: Any) -> Fields:
    """The fields of a schema with the one property `item`; a change to None takes a keyword out."""
    schema = {**an_object("item", item=item), "$defs": DEFINITIONS, **changes}
    return read_schema(json.dumps({name: value for name, value in schema.items() if value is not None}))


# ---- schemas ----

_NAMES = st.sampled_from("abz")
_LEAVES = st.sampled_from(
    [TEXT, WHOLE, {"type": ["string", "null"]}, {"const": "x"}, {"enum": ["x", {"a": "x"}]}, True, {"type": "object"}]
    + [{"$ref": f"#/$defs/{name}"} for name in DEFINITIONS]
    + [{"$ref": reference} for reference in ("#", "#/properties/item", "#/$defs/more/properties/b")]
)


def _larger(part: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(part, min_size=1, max_size=2)
    members = st.dictionaries(_NAMES, part, max_size=2).flatmap(
        lambda parts: st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.just(parts)},
            optional={
                "required": st.lists(st.sampled_from([*parts, "a"]), max_size=2, unique=True),
                "additionalProperties": st.just(False),
            },
        )
    )
    listing = st.fixed_dictionaries({"type": st.just("array"), "items": part})
    table = st.fixed_dictionaries({"type": st.just("object"), "additionalProperties": part})
    union = st.fixed_dictionaries({"anyOf": several})
    condition = st.fixed_dictionaries({"if": st.sampled_from([{"required": ["a"]}, MAYBE, A]), "then": part})
    further = st.one_of(
        *(st.fixed_dictionaries({name: several}) for name in ("allOf", "anyOf", "oneOf")),
        condition,
        table,
        st.fixed_dictionaries({"items": part}),
        st.fixed_dictionaries({"prefixItems": several}),
        st.fixed_dictionaries({"contains": part}),
        st.fixed_dictionaries({"dependentSchemas": st.fixed_dictionaries({"b": part})}),
        st.fixed_dictionaries({"patternProperties": st.fixed_dictionaries({"^z": part})}),
        st.sampled_from(
            [
                *(BASE, {"$ref": "#/$defs/node"}, {"enum": [{"a": "x"}, ["x"], {}]}, {"const": {}}),
                *({"required": ["z"]}, {"dependentRequired": {"a": ["z"]}}),
                *({"minProperties": 2}, {"unevaluatedProperties": {}}),
            ]
        ),
    )
    crowded = st.builds(lambda one, two: {**one, **two}, members | listing | union, further)
    kinds = [members, listing, union, further, crowded, crowded]  # `|` would make the many kinds of `further` the most
    return st.sampled_from(kinds).flatmap(lambda kind: kind)


SCHEMAS = _larger(st.recursive(_LEAVES, _larger, max_leaves=4))


# ---- values ----


def value_of(draw: st.DrawFn, parts: list[Any], root: dict[str, Any], depth: int = 0) -> Any:
    """A value made to fit schemas together, of the names that they speak of; it does not always fit."""
    pieces = list(_pieces(draw, parts, root))
    values = [piece.get("enum", [piece.get("const")]) for piece in pieces if piece.keys() & {"enum", "const"}]
    if values:
        return draw(st.sampled_from(values[0]))
    types = [said if isinstance(said, list) else [said] for piece in pieces if (said := piece.get("type"))]
    spoken = {"object": ["properties", "required", "additionalProperties", "patternProperties", "minProperties"]}
    spoken["array"] = ["items", "prefixItems", "contains"]
    if not types:
        types = [[kind for kind, words in spoken.items() if any(piece.keys() & words for piece in pieces)]]
    kind = draw(st.sampled_from([kind for kind in types[0] if all(kind in one for one in types)] or ["string"]))
    if depth < 6 and kind == "object":
        return _object_of(draw, pieces, root, depth)
    if depth < 6 and kind == "array":
        return _array_of(draw, pieces, root, depth)
    return {"integer": 1, "null": None, "object": {}, "array": []}.get(kind, "x")


def _pieces(draw: st.DrawFn, parts: list[Any], root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas that a value is to fit, of those that hold perhaps some."""
    left = list(parts)
    while left:
        part = left.pop(0)
        if not isinstance(part, dict):
            continue
        if "$ref" in part:
            left.append(named(part["$ref"], root))
            if root.get("$schema") == DRAFT_7:
                continue  # nothing beside it counts there
        yield part
        left += part.get("allOf", ())
        left += [draw(st.sampled_from(part[name])) for name in ("anyOf", "oneOf") if name in part]
        left += [one for one in (part.get("then"), *part.get("dependentSchemas", {}).values()) if draw(st.booleans())]
        if draw(st.booleans()):
            left += [{"required": names} for names in part.get("dependentRequired", {}).values()]


def _object_of(draw: st.DrawFn, pieces: list[dict[str, Any]], root: dict[str, Any], depth: int) -> dict[str, Any]:
    required = {name for piece in pieces for name in piece.get("required", ())}
    known = {name for piece in pieces for name in piece.get("properties", {})}
    wide = ({"patternProperties", "minProperties", "unevaluatedProperties"} & piece.keys() for piece in pieces)
    if any(wide) or any(piece.get("additionalProperties", False) is not False for piece in pieces):
        known.add("z")
    value = {}
    for name in sorted(required | known):
        if name in required or draw(st.booleans()):
            value[name] = value_of(draw, [one for piece in pieces for one in _of_name(piece, name)], root, depth + 1)
    return value


def _of_name(piece: dict[str, Any], name: str) -> list[Any]:
    patterns = piece.get("patternProperties", {}).items()
    found = [piece["properties"][name]] if name in piece.get("properties", {}) else []
    found += [one for pattern, one in patterns if re.search(pattern, name)]
    return found or [piece.get("additionalProperties")]


def _array_of(draw: st.DrawFn, pieces: list[dict[str, Any]], root: dict[str, Any], depth: int) -> list[Any]:
    value = []
    for n in range(draw(st.integers(0, 2))):
        parts = [piece.get("prefixItems", [])[n : n + 1] or [piece.get("items")] for piece in pieces]
        found = [one for several in parts for one in several]
        found += [piece["contains"] for piece in pieces if "contains" in piece]
        value.append(value_of(draw, found, root, depth + 1))
    return value


# ---- answers ----


def written(value: Any, form: Any, root: dict[str, Any], *, free: bool = False) -> Iterator[Any]:
    """How a server may write a value: with null for what a closed object names and the value leaves out.

    In a union a value made for one branch may fit another, to which some of its names are free ones: `free`
    ones are left out of closed objects.
    """
    if "$ref" in form:
        yield from written(value, named(form["$ref"], root), root, free=free)
    elif "anyOf" in form:
        for branch in form["anyOf"]:
            yield from written(value, branch, root, free=True)
    elif isinstance(value, dict):
        parts, more = form.get("properties", {}), form.get("additionalProperties", True)
        value = {name: one for name, one in value.items() if name in parts or more is not False or not free}
        of_others = more if isinstance(more, dict) else {}
        ways = [list(written(one, parts.get(name, of_others), root, free=free)) for name, one in value.items()]
        nulls = dict.fromkeys(parts.keys() - value.keys()) if more is False else {}
        yield from ({**dict(zip(value, way, strict=True)), **nulls} for way in product(*ways))
    elif isinstance(value, list):
        first, rest = form.get("prefixItems", []), form.get("items", {})
        forms = [*first, *[rest] * len(value)]
        yield from map(list, product(*(written(one, forms[n], root, free=free) for n, one in enumerate(value))))
    else:
        yield value
