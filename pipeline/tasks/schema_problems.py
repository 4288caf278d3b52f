"""What is wrong with a JSON schema that a person wrote for the answers of a task, each with what to do about it.

Servers take a part of JSON Schema; what none of them could follow is refused here, before anything is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.tasks.patterns import problem_of

MAX_FIELDS = 200
MAX_DEPTH = 32
"""Schemas within schemas; what is deeper is no form that a model fills in."""

_VALUES = frozenset({"enum", "const", "default", "examples"})
"""Keywords whose values are no schemas, whatever they look like."""
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords whose values are schemas by name."""
_IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")
"""Keywords whose schemas are held against the same value."""
_WIDER = frozenset({"$ref", "allOf", "anyOf", "oneOf", "patternProperties"})
"""Keywords by which an object may have properties that are not listed in it."""
_WHERE = ("#/$defs/", "#/definitions/", "#/properties/")

EXAMPLE = '{"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}'


def problems_of(schema: dict[str, Any]) -> list[str]:
    """One sentence for each thing that is wrong with a schema; none when answers can be asked for by it."""
    found = [*_shape_problems(schema), *_place_problems(schema), *_circles(schema), *_meta_problems(schema)]
    return list(dict.fromkeys(found))  # JSON Schema describes itself in several parts, which may agree


def _shape_problems(schema: dict[str, Any]) -> Iterator[str]:
    if schema.get("type", "object") != "object" or any(name in schema for name in ("$ref", "anyOf", "oneOf", "allOf")):
        yield f"the schema must be one object with its fields in it; expected for example {EXAMPLE}"
        return
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        yield f"the schema has no properties, so there would be no columns; expected for example {EXAMPLE}"
        return
    if len(properties) > MAX_FIELDS:
        yield f"the schema has {len(properties)} fields; at most {MAX_FIELDS} become columns: nest some of them"
    for name in properties:
        if not name.strip() or not name.isprintable():
            yield f"the field {name!r} can be no column: give it a name of letters, digits and underscores"


def _place_problems(schema: dict[str, Any]) -> Iterator[str]:
    """What servers cannot follow, what leads nowhere, and what no answer could be held against."""
    for place, part in _parts(schema, ()):
        where = "/".join(place)[:100] or "the top"
        if len(place) > 2 * MAX_DEPTH:
            yield f"at {where}: schemas are nested more than {MAX_DEPTH} deep"
            return
        for keyword in ("$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor", *(["$id"] if place else [])):
            if keyword in part:
                yield f"at {where}: servers do not know {keyword}; use $ref to '#/$defs/...'"
        if isinstance(part.get("$ref"), str) and (problem := _reference_problem(part["$ref"], schema)):
            yield f"at {where}: $ref {part['$ref']!r} {problem}"
        patterns = [part.get("pattern"), *(part["patternProperties"] if _holds(part, "patternProperties") else ())]
        for pattern in patterns:
            if isinstance(pattern, str) and (problem := problem_of(pattern)):
                yield f"at {where}: the pattern {pattern[:60]!r} cannot be used: {problem}"
        if "patternProperties" in part and "unevaluatedProperties" in part:
            yield f"at {where}: use additionalProperties beside patternProperties, not unevaluatedProperties"
        required = part.get("required")
        if _holds(part, "properties") and isinstance(required, list) and not part.keys() & _WIDER:
            for name in required:
                if isinstance(name, str) and name not in part["properties"]:
                    yield f"at {where}: required names {name!r}, which is not among the properties"


def _holds(part: dict[str, Any], keyword: str) -> bool:
    return isinstance(part.get(keyword), dict)


def _reference_problem(reference: str, root: dict[str, Any]) -> str | None:
    for _ in range(MAX_DEPTH):  # one that leads round in a circle is told by itself
        if reference != "#" and not reference.startswith(_WHERE):
            return "leads out of the schema; copy what it names under '$defs'"
        target = named(reference, root)
        if not isinstance(target, dict | bool):
            return "leads nowhere"
        following = target.get("$ref") if isinstance(target, dict) else None
        if not isinstance(following, str):
            return None
        reference = following
    return None


def _circles(root: dict[str, Any]) -> Iterator[str]:
    """Schemas that come back to themselves without a step into the answer: no answer would ever be done with."""
    done: set[int] = set()
    for place, part in _parts(root, ()):
        if id(part) not in done and _comes_back(part, root, done, set()):
            yield f"at {'/'.join(place)[:100] or 'the top'}: it leads round in a circle, back to itself"
            return


def _comes_back(part: dict[str, Any], root: dict[str, Any], done: set[int], under_way: set[int]) -> bool:
    under_way.add(id(part))
    for other in _of_the_same_value(part, root):
        if id(other) in under_way or (id(other) not in done and _comes_back(other, root, done, under_way)):
            return True
    under_way.discard(id(part))
    done.add(id(part))
    return False


def _of_the_same_value(part: dict[str, Any], root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas that a value has to fit, or may, where it is held against this one."""
    reference = part.get("$ref")
    found = [named(reference, root)] if isinstance(reference, str) and reference.startswith("#") else []
    for keyword in _IN_PLACE:
        value = part.get(keyword)
        found += value if isinstance(value, list) else [value]
    for keyword in ("dependentSchemas", "dependencies"):
        found += part[keyword].values() if _holds(part, keyword) else []
    return (other for other in found if isinstance(other, dict))


def _parts(schema: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every schema within a schema, itself first, with the way to it."""
    if not isinstance(schema, dict) or len(place) > 2 * MAX_DEPTH + 2:
        return
    yield place, schema
    for keyword, value in schema.items():
        if keyword in _VALUES:
            continue
        if keyword in _NAMED and isinstance(value, dict):
            for name, part in value.items():
                yield from _parts(part, (*place, keyword, name))
        elif isinstance(value, list):
            for number, part in enumerate(value):
                yield from _parts(part, (*place, keyword, str(number)))
        else:
            yield from _parts(value, (*place, keyword))


def named(reference: str, root: Mapping[str, Any]) -> Any:
    """What a reference within the schema names (RFC 6901), None for nothing."""
    at: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        at = at.get(name) if isinstance(at, dict) else None
    return at


def _meta_problems(schema: dict[str, Any]) -> Iterator[str]:
    """What JSON Schema itself has against the schema."""
    import jsonschema

    if not isinstance(schema.get("$schema", ""), str):
        yield f"$schema {schema['$schema']!r} is no text"
        return
    drafts = {"draft-07": jsonschema.Draft7Validator, "2019-09": jsonschema.Draft201909Validator}
    known = {**drafts, "2020-12": jsonschema.Draft202012Validator}
    kind = jsonschema.validators.validator_for(schema, default=None) if "$schema" in schema else known["2020-12"]
    if kind not in known.values():
        yield f"$schema {schema['$schema']!r} is not known; known are {', '.join(known)}"
        return
    try:
        for error in kind(kind.META_SCHEMA).iter_errors(schema):
            where = "/".join(map(str, error.absolute_path))[:100] or "the top"
            yield f"at {where}: {' '.join(error.message.split())[:150]}"
    except RecursionError:
        yield "it is nested too deeply"
