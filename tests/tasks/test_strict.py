"""The form that servers get: closed where all is known, open where the schema may ask for more."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from pipeline.tasks.strict import strict_form
from tests.tasks.fitting import BASE, DRAFT_7, DRAFT_2019, MAYBE, TEXT, WHOLE, A, B, an_object, fields_of

NULL = {"type": "null"}
TEXT_OR_NULL = {"type": ["string", "null"]}
ANY_OBJECT, ANY_LIST = {"type": "object"}, {"type": "array"}


def closed(**properties: Any) -> dict[str, Any]:
    return {**an_object(" ".join(properties), **properties), "additionalProperties": False}


def opened(required: str = "", **properties: Any) -> dict[str, Any]:
    return {**an_object(required, **properties), "additionalProperties": True}


@pytest.mark.parametrize(
    ("item", "form"),
    [
        # values
        ({**TEXT, "minLength": 1, "pattern": "^x", "title": "T", "description": "d"}, {**TEXT, "description": "d"}),
        ({**TEXT, "enum": ["x", "y"]}, {**TEXT, "enum": ["x", "y"]}),
        ({"const": None}, {"enum": [None]}),
        ({"enum": []}, {}),
        (True, {}),
        (False, {}),
        # objects of which all is known
        (MAYBE, closed(a=TEXT_OR_NULL)),
        ({**MAYBE, "additionalProperties": False, "unevaluatedProperties": False}, closed(a=TEXT_OR_NULL)),
        ({"properties": {"a": TEXT}, "required": ["a"], "maxProperties": 2}, {**closed(a=TEXT), "type": ...}),
        (an_object("a", a=MAYBE), closed(a=closed(a=TEXT_OR_NULL))),
        # objects that may hold more; what stands in them is still known
        ({**MAYBE, "additionalProperties": True}, opened(a=TEXT)),
        ({**MAYBE, "additionalProperties": WHOLE}, opened(a=TEXT)),
        ({**an_object("a", a=MAYBE), "unevaluatedProperties": WHOLE}, opened("a", a=closed(a=TEXT_OR_NULL))),
        ({**ANY_OBJECT, "required": ["a"]}, ANY_OBJECT),
        ({**ANY_OBJECT, "additionalProperties": MAYBE}, {**ANY_OBJECT, "additionalProperties": closed(a=TEXT_OR_NULL)}),
        ({**ANY_OBJECT, "additionalProperties": True}, ANY_OBJECT),
        # objects of which more may be asked, and of what stands in them
        *(
            ({**an_object("a", a=MAYBE), **more}, opened("a", a=opened(a=TEXT)))
            for more in [
                {"$ref": "#/$defs/base"},
                {"allOf": [B]},
                {"anyOf": [B]},
                {"oneOf": [B]},
                {"not": MAYBE},
                {"if": MAYBE, "then": B},
                {"dependentSchemas": {"a": B}},
                {"dependentRequired": {"a": ["b"]}},
                {"dependencies": {"a": ["b"]}},
                {"patternProperties": {"^z": TEXT}},
                {"minProperties": 2},
            ]
        ),
        ({"allOf": [B], **an_object("a z", a=TEXT)}, opened("a", a=TEXT)),
        ({**an_object(a={"type": "array", "items": MAYBE}), "not": B}, opened(a={**ANY_LIST, "items": opened(a=TEXT)})),
        ({**an_object(a=BASE), "not": B}, opened(a={})),
        ({**an_object(a={"allOf": [A]}), "not": B}, opened(a=opened("a", a=TEXT))),
        ({**an_object(a={"anyOf": [MAYBE]}), "not": B}, opened(a={"anyOf": [opened(a=TEXT)]})),
        ({**ANY_OBJECT, "additionalProperties": MAYBE, "patternProperties": {"^z": B}}, ANY_OBJECT),
        ({**ANY_OBJECT, "not": A}, ANY_OBJECT),
        # whole objects that are named: a null in them would be another value
        ({**MAYBE, "enum": [{}]}, {**ANY_OBJECT, "enum": [{}]}),
        # lists
        ({**ANY_LIST, "items": MAYBE, "minItems": 1, "maxItems": 2, "uniqueItems": True}, ...),
        ({**ANY_LIST, "prefixItems": [MAYBE, WHOLE]}, {**ANY_LIST, "prefixItems": [closed(a=TEXT_OR_NULL), WHOLE]}),
        ({**ANY_LIST, "items": MAYBE, "contains": B}, {**ANY_LIST, "items": opened(a=TEXT)}),
        ({**ANY_LIST, "prefixItems": [MAYBE], "contains": B}, {**ANY_LIST, "prefixItems": [opened(a=TEXT)]}),
        # references
        ({**BASE, "description": "d"}, BASE),
        ({"$ref": "#/definitions/old"}, {"$ref": "#/definitions/old"}),
        ({"$ref": "#"}, {"$ref": "#"}),
        ({"$ref": "#/properties/item/properties/a", **MAYBE}, opened(a=TEXT)),
        ({"$ref": "#/$defs/more/properties/b", "description": "d"}, {"description": "d"}),
        ({**ANY_LIST, "items": {"$ref": "#/properties/item"}}, {**ANY_LIST, "items": {}}),
        ({**BASE, "required": ["z"]}, {}),
        ({**BASE, "properties": {}}, {"properties": {}, "required": [], "additionalProperties": True}),
        ({**BASE, "unevaluatedProperties": WHOLE}, {}),
        ({**BASE, "minItems": 1}, BASE),
        # unions
        ({"anyOf": [MAYBE, BASE, TEXT]}, {"anyOf": [closed(a=TEXT_OR_NULL), BASE, TEXT]}),
        (
            {"oneOf": [A, NULL], "type": ["object", "null"]},
            {"type": ["object", "null"], "anyOf": [closed(a=TEXT), NULL]},
        ),
        ({"anyOf": [A, {"minLength": 1, "description": "d"}]}, {}),
        ({"anyOf": [A, B], "required": ["z"]}, {}),
        ({"anyOf": [A, B], "items": MAYBE}, {"items": opened(a=TEXT)}),
        ({"anyOf": [A, B], "prefixItems": [MAYBE]}, {"prefixItems": [opened(a=TEXT)]}),
        ({"anyOf": [A, B], "additionalProperties": TEXT}, {}),
        ({"anyOf": [A, B], "oneOf": [A, TEXT]}, {}),
        # schemas that hold together
        ({"allOf": [A], "description": "d"}, closed(a=TEXT)),
        ({"allOf": [A, B], "type": "object"}, ANY_OBJECT),
    ],
)
def test_what_is_sent_for_a_part(item: Any, form: Any) -> None:
    if form is ...:
        form = {**item, "items": closed(a=TEXT_OR_NULL)}
        del form["uniqueItems"]
    elif form.get("type") is ...:
        del form["type"]
    fields = fields_of(item, definitions={"old": A})
    assert fields.strict["properties"]["item"] == form


@pytest.mark.parametrize(
    ("draft", "item", "form"),
    [
        (DRAFT_7, {**BASE, **an_object("z", z=TEXT)}, BASE),  # nothing beside a reference counts there
        (DRAFT_2019, {**BASE, **an_object("z", z=TEXT)}, opened("z", z=TEXT)),
        (None, {**BASE, **an_object("z", z=TEXT)}, opened("z", z=TEXT)),
        (DRAFT_7, {**ANY_LIST, "items": [A]}, {**ANY_LIST, "prefixItems": [closed(a=TEXT)]}),
        (DRAFT_2019, {**ANY_LIST, "items": [A]}, {**ANY_LIST, "prefixItems": [closed(a=TEXT)]}),
        # a word that was not known yet
        (DRAFT_7, {**ANY_LIST, "items": WHOLE, "prefixItems": [A]}, {**ANY_LIST, "items": WHOLE}),
        (
            None,
            {**ANY_LIST, "items": WHOLE, "prefixItems": [TEXT]},
            {**ANY_LIST, "items": WHOLE, "prefixItems": [TEXT]},
        ),
    ],
)
def test_a_schema_is_read_by_its_draft(draft: str | None, item: Any, form: Any) -> None:
    assert fields_of(item, **{"$schema": draft}).strict["properties"]["item"] == form


@pytest.mark.parametrize(
    ("item", "form"),
    [
        (TEXT, TEXT_OR_NULL),
        (TEXT_OR_NULL, TEXT_OR_NULL),
        ({"enum": ["x"]}, {"enum": ["x", None]}),
        ({"enum": ["x", None]}, {"enum": ["x", None]}),
        ({**TEXT, "const": "x"}, {**TEXT_OR_NULL, "enum": ["x", None]}),
        (A, {**closed(a=TEXT), "type": ["object", "null"]}),
        (BASE, {"anyOf": [BASE, NULL]}),
        ({"items": A}, {"anyOf": [{"items": closed(a=TEXT)}, NULL]}),
        ({"anyOf": [A, TEXT], "description": "d"}, {"anyOf": [closed(a=TEXT), TEXT, NULL], "description": "d"}),
        ({"anyOf": [A, NULL]}, {"anyOf": [closed(a=TEXT), NULL]}),
        ({**TEXT, "anyOf": [{"enum": ["x"]}]}, {"anyOf": [{**TEXT, "anyOf": [{"enum": ["x"]}]}, NULL]}),
        (True, {}),
        ({"description": "d"}, {"description": "d"}),
    ],
)
def test_what_may_be_left_out_may_be_null(item: Any, form: Any) -> None:
    found = fields_of(item, required=[]).strict
    assert found["properties"]["item"] == form
    assert found["required"] == ["item"]
    assert jsonschema.Draft202012Validator(found).is_valid({"item": None})


def test_what_is_referred_to_is_sent_with_it_however_it_comes_back() -> None:
    node = an_object(a=TEXT, b={"$ref": "#/$defs/node"})
    found = strict_form({**an_object("a", a=BASE), "$defs": {"node": node, "any": True}, "definitions": {"old": MAYBE}})
    again = {"anyOf": [{"$ref": "#/$defs/node"}, NULL]}
    assert found["$defs"] == {"node": closed(a=TEXT_OR_NULL, b=again), "any": {}}
    assert found["definitions"] == {"old": closed(a=TEXT_OR_NULL)}
    assert "$defs" not in strict_form(A)


def test_the_answer_is_an_object_also_where_the_schema_does_not_say_so() -> None:
    """A part that refers to the whole may then be anything else, too."""
    schema = {"properties": {"a": {"$ref": "#"}, "b": TEXT}, "required": ["a", "b"]}
    assert strict_form(schema) == closed(a={}, b=TEXT)
    assert strict_form({**A, "if": MAYBE, "then": B}) == opened("a", a=TEXT)


def test_an_object_that_requires_a_name_which_it_does_not_describe_stays_open() -> None:
    assert strict_form(an_object("a z", a=TEXT)) == opened("a", a=TEXT)
