"""The form that servers get never asks for what the person's schema refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import ItemError
from pipeline.tasks.fields import Fields, read_schema
from pipeline.tasks.schema_problems import named

TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
DRAFT_7 = "http://json-schema.org/draft-07/schema#"


def an_object(required: str = "", **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required.split()}


def closed(**properties: Any) -> dict[str, Any]:
    return {**an_object(" ".join(properties), **properties), "additionalProperties": False}


A = an_object("a", a=TEXT)
B = an_object("b", b=TEXT)
BASE = {"$ref": "#/$defs/base"}
DEFINITIONS = {
    "base": A,
    "more": {"allOf": [BASE], **an_object("b", b=WHOLE)},
    "node": {"allOf": [BASE, an_object(b={"$ref": "#/$defs/node"})]},
    "endless": {"allOf": [an_object(a={"$ref": "#/$defs/endless"}), an_object(a={"$ref": "#/$defs/node"})]},
    "bit": {"enum": ["x", 1]},
}


def fields_of(item: Any, **changes: Any) -> Fields:
    return read_schema(json.dumps({**an_object("item", item=item), "$defs": DEFINITIONS, **changes}))


# ---- values as a server would write them ----

SIMPLE = ["x", 1]
FLAT = [
    {name: value for name, value in zip("abz", values, strict=True) if value is not ...}
    for values in product([..., *SIMPLE], repeat=3)
]
VALUES: list[Any] = [
    *SIMPLE,
    *FLAT,
    *([value] for value in FLAT[::4]),
    *({"a": "x", "b": value} for value in FLAT[::3]),
    *({"a": value, "z": 1} for value in FLAT[::3]),
]


def written(value: Any, form: Any, root: dict[str, Any]) -> Iterator[Any]:
    """How a value may be written by a form: with null for what is not there, without what the form does not name."""
    if "$ref" in form:
        yield from written(value, named(form["$ref"], root), root)
    elif "anyOf" in form:
        for branch in form["anyOf"]:
            yield from written(value, branch, root)
    elif isinstance(value, dict) and form.keys() & {"properties", "additionalProperties"}:
        parts, more = form.get("properties", {}), form.get("additionalProperties", True)
        names = [*parts, *(name for name in value if name not in parts and more is not False)]
        forms = {name: parts.get(name, more if isinstance(more, dict) else {}) for name in names}
        ways = [list(written(value[name], forms[name], root)) if name in value else [None] for name in names]
        yield from (dict(zip(names, way, strict=True)) for way in product(*ways))
    elif isinstance(value, list) and isinstance(form.get("items"), dict):
        yield from map(list, product(*(written(one, form["items"], root) for one in value)))
    else:
        yield value


def unanswerable(fields: Fields) -> list[Any]:
    """Values of `item` that fit the schema, and that a server held to the form cannot write so that they are read."""
    kind = jsonschema.validators.validator_for(fields.schema, default=jsonschema.Draft202012Validator)
    judge, server = kind(fields.schema), jsonschema.Draft202012Validator(fields.strict)
    fitting = [value for value in VALUES if judge.is_valid({"item": value})]
    return [
        value
        for value in fitting
        if not any(
            server.is_valid({"item": way}) and reads(fields, {"item": way})
            for way in written(value, fields.strict["properties"]["item"], fields.strict)
        )
    ]


def reads(fields: Fields, answer: Any) -> bool:
    try:
        return fields.read(answer)["item"] is not None
    except ItemError:
        return False


CHOICE = {"properties": {"z": TEXT}, "required": ["z"]}


@pytest.mark.parametrize(
    "item",
    [
        {"allOf": [A, B]},
        {"allOf": [BASE], **an_object("b", b=TEXT)},
        {**BASE, **an_object("b", b=TEXT)},
        {"$ref": "#/$defs/more"},
        {"$ref": "#/$defs/node"},
        {"$ref": "#/$defs/endless"},
        {**an_object(a=TEXT), "anyOf": [{"required": ["a"]}, CHOICE]},
        {**an_object(a=TEXT), "anyOf": [{"required": ["a"]}, {"required": ["z"]}]},
        {
            **an_object("a", a={"enum": ["x", 1]}),
            "oneOf": [an_object(a={"const": "x"}), an_object("b", a=WHOLE, b=TEXT)],
        },
        {"allOf": [A, {"anyOf": [B, CHOICE]}]},
        {"allOf": [{"anyOf": [A, B]}, {"anyOf": [CHOICE, an_object("a", a=TEXT)]}]},
        {"allOf": [{**A, "additionalProperties": False}, {"required": ["a"]}]},
        {"allOf": [{**A, "additionalProperties": WHOLE}, an_object(b=WHOLE)]},
        {"allOf": [an_object(a=A), an_object(a=B)]},
        {"allOf": [{"type": "array", "items": A}, {"items": B}]},
        {"allOf": [{"type": "array", "prefixItems": [A], "items": TEXT}, {"items": an_object(z=WHOLE)}]},
        {"allOf": [{**an_object(), "additionalProperties": False}], "then": BASE},
        {**an_object(), "then": BASE, "dependentSchemas": {"b": TEXT}},
        {"type": "object", "required": ["a"]},
        {**an_object(a=TEXT), "patternProperties": {"^z": WHOLE}, "required": ["z"]},
        {**an_object(a=TEXT), "if": {"required": ["a"]}, "then": CHOICE},
        {**an_object(b=an_object(a=TEXT)), "else": {"properties": {"b": B}}, "if": {"required": ["z"]}},
        {**an_object(a=TEXT), "dependentSchemas": {"a": CHOICE}},
        {**an_object(a=TEXT), "dependentRequired": {"a": ["z"]}},
        {"type": "object", "anyOf": [BASE, B], "then": CHOICE, "if": {"required": ["a"]}},
        {"allOf": [{"type": "integer"}, {"type": "number"}]},
        {"type": "string", "anyOf": [{"enum": ["x"]}, {"enum": ["y"]}]},
        {"$ref": "#/$defs/more/properties/b"},
    ],
)
@pytest.mark.parametrize("draft", [None, DRAFT_7])
def test_what_fits_the_schema_can_be_written_by_the_form(item: Any, draft: str | None) -> None:
    assert unanswerable(fields_of(item, **({"$schema": draft} if draft else {}))) == []


LEAVES = st.sampled_from([TEXT, WHOLE, {"const": "x"}, BASE, {"$ref": "#/$defs/more"}, {"$ref": "#/$defs/bit"}, True])
NAMES = st.lists(st.sampled_from("abz"), max_size=2, unique=True)


def larger(part: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(part, min_size=1, max_size=2)
    shape = st.fixed_dictionaries(
        {"type": st.just("object"), "properties": st.dictionaries(st.sampled_from("abz"), part, max_size=2)}
    )
    more = st.fixed_dictionaries(
        {},
        optional={
            "allOf": several,
            "anyOf": several,
            "if": st.just({"required": ["a"]}),
            "then": part,
            "dependentSchemas": st.fixed_dictionaries({"b": part}),
            "$ref": st.sampled_from(["#/$defs/base", "#/$defs/node"]),
            "additionalProperties": st.just(False) | part,
        },
    )
    return st.builds(lambda one, two: {**one, **two}, shape | st.just({}), more)


# Without oneOf: by leaving out what a branch does not name, a value may come to fit a second one.
@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.recursive(LEAVES, larger, max_leaves=5), NAMES)
def test_whatever_fits_a_schema_can_be_written_by_its_form(item: Any, required: list[str]) -> None:
    if isinstance(item, dict) and "properties" in item and required:
        item = {"allOf": [item, {"required": required}]}
    assert unanswerable(fields_of(item)) == []


OR_NULL = {"type": ["string", "null"]}


@pytest.mark.parametrize(
    ("item", "form"),
    [
        ({"allOf": [A, B]}, closed(a=TEXT, b=TEXT)),
        ({**BASE, **an_object("z", z=TEXT)}, closed(z=TEXT, a=TEXT)),
        ({"$ref": "#/$defs/base", "description": "x"}, BASE),
        (
            {**an_object(a=TEXT), "anyOf": [{"required": ["a"]}, CHOICE]},
            {"anyOf": [closed(a=TEXT), closed(a=OR_NULL, z=TEXT)]},
        ),
        ({**an_object(a=TEXT, b=TEXT), "anyOf": [{"required": ["a"]}]}, closed(a=OR_NULL, b=OR_NULL)),
        ({"allOf": [{"enum": ["x", "y"]}, {"enum": ["y", "z"]}]}, {"enum": ["y"]}),
        ({"allOf": [{"type": "integer"}, {"type": "number"}]}, WHOLE),
        ({"allOf": [{"type": "integer"}, TEXT]}, {}),
    ],
)
def test_schemas_that_hold_together_become_one_closed_form(item: Any, form: Any) -> None:
    assert fields_of(item).strict["properties"]["item"] == form


def test_null_is_offered_where_the_whole_union_may_be_left_out() -> None:
    item = {"type": "string", "anyOf": [{"enum": ["x"]}, {"enum": ["y"]}]}
    server = jsonschema.Draft202012Validator(fields_of(item, required=[]).strict)
    assert [server.is_valid({"item": value}) for value in (None, "x", "z")] == [True, True, False]


def test_a_form_that_would_be_written_out_for_ever_ends() -> None:
    chain = {
        f"d{n}": {
            **an_object(a=TEXT),
            "anyOf": [{"$ref": f"#/$defs/d{n + 1}"}, an_object(**{f"x{n}": {"allOf": [A, B]}})],
        }
        for n in range(40)
    }
    wide = {name: {"$ref": "#/$defs/d0/properties/a"} for name in "abz"}
    assert fields_of({"$ref": "#/$defs/d0"}, **{"$defs": {**chain, "d40": an_object(**wide)}}).strict
