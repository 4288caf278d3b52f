"""Schemas that cannot be used say why, all at once; those that only look odd are taken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.tasks import SchemaError
from pipeline.tasks.fields import read_schema
from pipeline.tasks.schema_problems import MAX_FIELDS
from tests.tasks.test_fields import LINE, mismatch


def _problems(schema: Any) -> tuple[str, ...]:
    with pytest.raises(SchemaError) as caught:
        read_schema(schema if isinstance(schema, str) else json.dumps(schema))
    return caught.value.problems


def _with(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("", "no valid JSON"),
        ("{", "no valid JSON"),
        ('{"type": "object", "type": "array"}', '"type" stands twice'),
        ("[" * 60_000, "nested too deeply"),
        ("[]", "a schema is a JSON object"),
        ("true", "a schema is a JSON object"),
        ({"type": "array", "items": {}}, "must be one object"),
        ({"anyOf": [_with(a={})]}, "must be one object"),
        ({"$ref": "#/$defs/a", "$defs": {"a": _with(b={})}}, "must be one object"),
        ({"type": "object"}, "no properties"),
        ({"type": "object", "properties": {}}, "no properties"),
        ({"type": "object", "properties": ["a"]}, "no properties"),
        (_with(**{f"field_{n}": {} for n in range(MAX_FIELDS + 1)}), "has 201 fields"),
        (_with(**{"": {}}), "'' can be no column"),
        (_with(**{"a\nb": {}}), "can be no column"),
        (_with(a={"type": "strnig"}), "at properties/a/type: 'strnig'"),
        (_with(a="string"), "at properties/a: 'string'"),
        (_with(a={"$ref": "https://example.com/a.json"}), "leads out of the schema"),
        (_with(a={"$ref": "other.json#/a"}), "leads out of the schema"),
        (_with(a={"type": "array", "items": {"$ref": "#/components/b"}}), "at properties/a/items: $ref"),
        (_with(a={"$ref": "#/$defs/b"}), "leads nowhere"),
        ({**_with(a={"$ref": "#/$defs/b"}), "$defs": {"b": {"$ref": "#/$defs/b"}}}, "round in a circle"),
        (_with(a={"allOf": [{"$ref": "#/properties/a"}]}), "at properties/a: it leads round in a circle"),
        (_with(a={"anyOf": [{"type": "null"}, {"$ref": "#/properties/a"}]}), "round in a circle"),
        (_with(a={"if": {"$ref": "#/$defs/b"}}) | {"$defs": {"b": {"not": {"$ref": "#/properties/a"}}}}, "circle"),
        (_with(a={"dependentSchemas": {"x": {"$ref": "#/properties/a"}}}), "round in a circle"),
        (_with(a={"patternProperties": {"^x": {}}, "unevaluatedProperties": False}), "use additionalProperties"),
        ({**_with(a={}), "$schema": 5}, "$schema 5 is no text"),
        ({**_with(a={}), "$schema": ["x"]}, "is no text"),
        (_with(a={"$id": "https://example.com/a"}), "servers do not know $id"),
        (_with(a={"$dynamicRef": "#a"}), "servers do not know $dynamicRef"),
        (_with(a={"type": "string", "pattern": "("}), "the pattern '(' cannot be used"),
        (_with(a={"patternProperties": {"[": {}}}), "the pattern '[' cannot be used"),
        ({**_with(a={}), "required": ["b"]}, "required names 'b'"),
        ({**_with(a={}), "$schema": "http://json-schema.org/draft-04/schema#"}, "is not known; known are draft-07"),
        ({**_with(a={}), "$schema": "https://example.com/mine"}, "is not known"),
        (_with(a={"description": "x" * 70_000}), "at most 65,536"),
    ],
)
def test_a_schema_that_cannot_be_used_says_why(schema: Any, said: str) -> None:
    problems = _problems(schema)
    assert any(said in problem for problem in problems), problems
    assert len(problems) <= 2
    assert all(len(problem) < 400 for problem in problems)


def test_all_that_is_wrong_with_a_schema_is_told_at_once() -> None:
    schema = {**_with(a={"type": "strnig"}, b={"$ref": "x"}, c={"pattern": "("}), "required": ["d"]}
    said = " ".join(_problems(schema))
    for part in ("strnig", "leads out", "pattern", "'d'"):
        assert part in said


def test_a_schema_nested_too_deeply_for_any_form_is_refused() -> None:
    part: Any = {"type": "string"}
    for _ in range(60):
        part = _with(inner=part)
    assert any("nested more than" in problem for problem in _problems(part))


@pytest.mark.parametrize(
    "schema",
    [
        _with(**{"$ref": {"type": "string"}, "$id": {"type": "string"}, "enum": {"type": "string"}}),
        _with(a={"enum": [{"$ref": "https://example.com"}, {"$id": "x"}]}),
        _with(a={"default": {"$ref": "x"}, "const": 1}),
        {**_with(a={}), "$schema": "http://json-schema.org/draft-07/schema#"},
        {**_with(a={}), "$id": "https://example.com/top"},
        {"properties": {"a": {"type": "integer"}}},
        _with(a=True),
        _with(a={"$ref": "#"}),
        _with(a={"anyOf": [{"type": "null"}, {"properties": {"b": {"$ref": "#/properties/a"}}}]}),
        _with(a={"allOf": [{"$ref": "#/$defs/b"}, {"$ref": "#/$defs/b"}]}) | {"$defs": {"b": LINE}},
        _with(a={"allOf": [{"$ref": "#/$defs/b"}], "properties": {}, "required": ["c"]}) | {"$defs": {"b": LINE}},
    ],
)
def test_a_schema_that_only_looks_odd_is_taken(schema: dict[str, Any]) -> None:
    assert read_schema(json.dumps(schema)).columns


@pytest.mark.parametrize("draft", ["http://json-schema.org/draft-07/schema#", None])
def test_lists_of_several_kinds_are_read_by_their_draft(draft: str | None) -> None:
    pair = [{"type": "string"}, {"type": "integer"}]
    items = {"items": pair} if draft else {"prefixItems": pair}
    schema = _with(a={"type": "array", **items}) | ({"$schema": draft} if draft else {})
    found = read_schema(json.dumps(schema))
    assert found.read({"a": ["x", 1]}) == {"a": '["x",1]'}
    assert "a.1" in mismatch(found, {"a": ["x", "y"]})
    assert found.strict["properties"]["a"]["prefixItems"] == pair
