"""Which type a column has for a field of a JSON schema: followed through references, unions and enums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.core.types import ColumnType
from pipeline.tasks.schema_problems import MAX_DEPTH, named


def column_type(part: Any, root: Mapping[str, Any]) -> ColumnType:
    """The type of a field's column: text, too, for JSON of whatever is not plainly of one of the other types."""
    types = types_of(part, root) - {"null"}
    if types == {"string"}:
        return "string"
    if types == {"integer"}:
        return "int"
    if types and types <= {"integer", "number"}:
        return "float"
    if types == {"boolean"}:
        return "bool"
    if types == {"array"} and types_of(_items(part, root, 0), root) - {"null"} == {"string"}:
        return "list<string>"
    return "string"


_ALL = frozenset({"null", "boolean", "object", "array", "integer", "number", "string"})


def types_of(part: Any, root: Mapping[str, Any]) -> frozenset[str]:
    """The types that a value may have by this schema; too many where that is not plain."""
    return _types(part, root, 0, {})


def _types(part: Any, root: Mapping[str, Any], depth: int, known: dict[int, frozenset[str]]) -> frozenset[str]:
    """`known` are those of the parts that were looked at: many references may lead to one."""
    if not isinstance(part, dict) or depth > MAX_DEPTH:
        return _ALL
    if id(part) in known:
        return known[id(part)]
    found = _ALL
    if "type" in part:
        said = part["type"]
        found = frozenset(said if isinstance(said, list) else [said])
        if "number" in found:
            found |= {"integer"}
    elif "enum" in part or "const" in part:
        found = frozenset(_type_of(value) for value in part.get("enum", [part.get("const")]))
    if "$ref" in part:
        found &= _types(named(part["$ref"], root), root, depth + 1, known)
    for name in ("anyOf", "oneOf"):
        if name in part:
            found &= frozenset().union(*(_types(branch, root, depth + 1, known) for branch in part[name]))
    for branch in part.get("allOf", ()):
        found &= _types(branch, root, depth + 1, known)
    known[id(part)] = found
    return found


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    kinds = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "object")


def _items(part: Any, root: Mapping[str, Any], depth: int) -> Any:
    """The schema of an array's items, through references and unions with null."""
    if not isinstance(part, dict) or depth > MAX_DEPTH or "prefixItems" in part:
        return None
    if "items" in part:
        return part["items"]
    if "$ref" in part:
        return _items(named(part["$ref"], root), root, depth + 1)
    branches = [branch for name in ("anyOf", "oneOf", "allOf") for branch in part.get(name, ())]
    arrays = [branch for branch in branches if "array" in types_of(branch, root)]
    return _items(arrays[0], root, depth + 1) if len(arrays) == 1 else None
