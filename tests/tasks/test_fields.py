"""Typed answers: which columns a schema makes, and which answers fit it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import ItemError
from pipeline.tasks import TaskOptions
from pipeline.tasks.ask import ask
from pipeline.tasks.fields import Fields, read_schema
from tests.support.schemas import obey
from tests.tasks.completions import failure, parsed

INVOICE = (Path(__file__).parents[2] / "configs" / "invoice.json").read_text()
LINE = {"type": "object", "properties": {"text": {"type": "string"}, "n": {"type": "integer"}}, "required": ["text"]}


def fields(required: list[str] | None = None, **properties: Any) -> Fields:
    schema = {"type": "object", "properties": properties, "required": required or [], "$defs": {"line": LINE}}
    return read_schema(json.dumps(schema))


def mismatch(schema: Fields, value: Any) -> str:
    with pytest.raises(ItemError) as caught:
        schema.read(value)
    assert caught.value.kind == "schema_mismatch"
    assert len(caught.value.message) < 300
    return caught.value.message


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"type": "string"}, "string"),
        ({"type": ["string", "null"]}, "string"),
        ({"type": "string", "enum": ["a", "b"]}, "string"),
        ({"enum": ["a", "b", None]}, "string"),
        ({"const": "a"}, "string"),
        ({"type": "integer"}, "int"),
        ({"enum": [1, 2]}, "int"),
        ({"type": "number"}, "float"),
        ({"type": ["integer", "number"]}, "float"),
        ({"enum": [1, 2.5]}, "float"),
        ({"type": "boolean"}, "bool"),
        ({"enum": [True, False]}, "bool"),
        ({"type": ["boolean", "null"]}, "bool"),
        ({"type": "array", "items": {"type": "string"}}, "list<string>"),
        ({"type": ["array", "null"], "items": {"type": ["string", "null"]}}, "list<string>"),
        ({"anyOf": [{"type": "array", "items": {"enum": ["a"]}}, {"type": "null"}]}, "list<string>"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "int"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "float"),
        ({"allOf": [{"type": "number"}, {"type": "integer"}]}, "int"),
        ({"$ref": "#/properties/first"}, "bool"),
        # JSON text: what is of no one type
        ({"type": "array", "items": {"type": "integer"}}, "string"),
        ({"type": "array"}, "string"),
        ({"type": "array", "prefixItems": [{"type": "string"}]}, "string"),
        ({"type": "object"}, "string"),
        ({"$ref": "#/$defs/line"}, "string"),
        ({"type": ["string", "integer"]}, "string"),
        ({}, "string"),
        (True, "string"),
    ],
)
def test_the_type_of_a_column(part: Any, kind: str) -> None:
    found = fields(first={"type": "boolean"}, asked=part).columns
    assert [column.name for column in found] == ["first", "asked"]
    assert found[1].type == kind


@pytest.mark.parametrize("union", ["anyOf", "oneOf", "allOf"])
def test_many_ways_to_one_part_are_gone_once(union: str) -> None:
    ways = {f"d{n}": {union: [{"$ref": f"#/$defs/d{n + 1}"}] * 9} for n in range(14)}
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/d0"}},
        "$defs": {**ways, "d14": {"type": "integer"}},
    }
    assert read_schema(json.dumps(schema)).columns[0].type == "int"


def test_values_come_out_as_their_columns_hold_them() -> None:
    schema = fields(
        text={"type": "string"},
        whole={"type": "integer"},
        number={"type": "number"},
        truth={"type": "boolean"},
        tags={"type": "array", "items": {"type": "string"}},
        lines={"type": "array", "items": {"$ref": "#/$defs/line"}},
        either={"type": ["string", "integer"]},
        left_out={"type": "integer"},
    )
    value = {
        "text": "Grüße",
        "whole": 5.0,
        "number": 3,
        "truth": False,
        "tags": ["a", "b"],
        "lines": [{"text": "Öl", "n": 2}],
        "either": "5",
        "more": "than was asked",
    }
    found = schema.read(value)
    assert found == {
        "text": "Grüße",
        "whole": 5,
        "number": 3.0,
        "truth": False,
        "tags": ["a", "b"],
        "lines": '[{"text":"Öl","n":2}]',
        "either": '"5"',
        "left_out": None,
    }
    assert [type(found[name]) for name in ("whole", "number", "truth")] == [int, float, bool]
    assert schema.read({**value, "either": 5})["either"] == "5"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"n": "5"}, "n: '5' is not of type 'integer'"),
        ({"n": 5.5}, "n: 5.5"),
        ({"n": True}, "n: True"),
        ({"n": -1}, "n: -1 is less than the minimum of 0"),
        ({}, "answer: 'n' is a required property"),
        ({"n": None}, "n: None"),
        ({"n": 1, "lines": [{"text": "a"}, {"n": 2}]}, "lines.1: 'text' is a required property"),
        ({"n": 1, "lines": [None]}, "lines.0: None"),
        ({"n": 1, "lines": [{"text": None}]}, "lines.0.text: None"),
        ({"n": 10**30}, "n: a whole number beyond 64 bits"),
        ({"n": 1, "share": 10**400}, "beyond all sizes"),
        ([], "it is no object"),
        (None, "it is no object"),
        ("text", "it is no object"),
        ({"n": "x" * 5000, "lines": "y" * 5000, "share": "z" * 5000}, "n: "),
    ],
)
def test_what_does_not_fit_is_told_by_its_place(value: Any, said: str) -> None:
    schema = fields(
        ["n"],
        n={"type": "integer", "minimum": 0},
        share={"type": "number"},
        lines={"type": "array", "items": {"$ref": "#/$defs/line"}},
    )
    assert said in mismatch(schema, value)


def test_a_null_for_what_may_be_left_out_says_that_it_is_left_out() -> None:
    """The form that is sent requires every property, so null is the only way to say it."""
    schema = fields(
        ["must"],
        must={"type": ["integer", "null"]},
        may={"type": "string"},
        line={"anyOf": [{"$ref": "#/$defs/line"}, {"type": "null"}]},
        lines={"type": "array", "items": {"$ref": "#/$defs/line"}},
    )
    value = {"must": None, "may": None, "line": {"text": "a", "n": None}, "lines": [{"text": "b", "n": None}]}
    assert schema.read(value) == {"must": None, "may": None, "line": '{"text":"a"}', "lines": '[{"text":"b"}]'}
    assert "must" in mismatch(schema, {"may": None})


def test_nothing_is_fetched_and_nothing_is_guessed_about_numbers() -> None:
    deep: Any = {}
    for _ in range(5000):
        deep = {"inner": deep}
    schema = read_schema('{"type": "object", "properties": {"inner": {"$ref": "#"}}}')
    assert "nested too deeply" in mismatch(schema, deep)


VALUES = st.none() | st.booleans() | st.integers(-3, 9) | st.sampled_from(["", "a", "EUR", "2024-02-03", 1.5, -2])
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(["seller", "number", "date", "currency", "total", "tax", "items", "paid", "x"], VALUES),
        "lines": st.lists(st.dictionaries(st.sampled_from(["text", "quantity", "amount"]), VALUES), max_size=3),
    },
)


@given(ANSWERS)
def test_exactly_what_the_schema_allows_is_an_answer(value: dict[str, Any]) -> None:
    judge = jsonschema.Draft202012Validator(json.loads(INVOICE))
    try:
        found = read_schema(INVOICE).read(value)
    except ItemError:
        assert not judge.is_valid(value)
        return

    def without_nulls(part: Any) -> Any:
        """Null is allowed for the total alone; elsewhere it says that nothing is there."""
        if isinstance(part, dict):
            return {key: without_nulls(one) for key, one in part.items() if one is not None or key in ("total", "x")}
        return [without_nulls(one) for one in part] if isinstance(part, list) else part

    assert judge.is_valid(value) or judge.is_valid(without_nulls(value))
    assert list(found) == list(json.loads(INVOICE)["properties"])


# ---- what servers get ----


def test_the_form_that_is_sent_is_strict_everywhere() -> None:
    schema = fields(
        ["a"],
        a={"type": "string", "pattern": "^x", "title": "A", "description": "the a", "minLength": 2},
        b={"enum": ["x", "y"]},
        c={"$ref": "#/$defs/line", "description": "gone"},
        d={"anyOf": [{"type": "integer", "minimum": 0}, {"$ref": "#/$defs/line"}]},
        e={"oneOf": [{"type": "integer"}, {"type": "null"}]},
        f={"type": "array", "items": {"$ref": "#/$defs/line"}, "minItems": 1, "uniqueItems": True},
        g={"type": "object", "additionalProperties": {"type": "number", "maximum": 1}},
        h={"const": 1},
        i={"allOf": [{"$ref": "#/$defs/line"}]},
        j=True,
        k={"anyOf": [{"required": ["z"]}, {"type": "integer"}], "type": "integer"},
    )
    null = {"type": "null"}
    line = {
        "type": "object",
        "properties": {"text": {"type": "string"}, "n": {"type": ["integer", "null"]}},
        "required": ["text", "n"],
        "additionalProperties": False,
    }
    assert schema.strict == {
        "type": "object",
        "properties": {
            "a": {"type": "string", "description": "the a"},
            "b": {"enum": ["x", "y", None]},
            "c": {"anyOf": [{"$ref": "#/$defs/line"}, null]},
            "d": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/line"}, null]},
            "e": {"anyOf": [{"type": "integer"}, null]},
            "f": {"type": ["array", "null"], "items": {"$ref": "#/$defs/line"}, "minItems": 1},
            "g": {"type": ["object", "null"], "additionalProperties": {"type": "number"}},
            "h": {"enum": [1, None]},
            "i": {"anyOf": [{"$ref": "#/$defs/line"}, null]},
            "j": {},
            "k": {"type": ["integer", "null"]},
        },
        "required": list("abcdefghijk"),
        "additionalProperties": False,
        "$defs": {"line": line},
    }


@pytest.mark.parametrize("seed", range(20))
def test_what_a_server_held_to_the_sent_form_answers_fits(seed: int) -> None:
    schema = json.loads(INVOICE)
    for name in ("date", "currency"):
        schema["properties"][name].pop("pattern")
    found = read_schema(json.dumps(schema))
    answer = found.read(obey(found.strict, seed))
    assert isinstance(answer["seller"], str)
    assert found.read(dict.fromkeys(found.strict["required"]) | {"lines": []})["lines"] == "[]"


# ---- the task ----


def test_typed_answers_of_the_task() -> None:
    task = ask(TaskOptions(question="What does it say?", schema=INVOICE))
    answer = parsed(task, 'Here it is:\n```json\n{"total": 12, "lines": [], "paid": true, "tax": null,}\n```')
    assert (answer["total"], answer["lines"], answer["paid"], answer["tax"]) == (12.0, "[]", True, None)
    assert failure(task, '{"total": 12}').kind == "schema_mismatch"
    assert "lines" in failure(task, '{"total": 12}').message
    assert failure(task, '{"total": 12, "total": 13, "lines": []}').kind == "invalid_json"
    assert failure(task, '{"total": NaN, "lines": []}').kind == "invalid_json"
    assert failure(task, "I'm sorry, but I can't assist with that.").kind == "refusal"
    assert failure(task, '{"total": 1', "length").kind == "cut"
    assert failure(task, '{"total": 1, "lines": []}', "content_filter").kind == "content_filter"


def test_the_whole_schema_is_in_the_prompt_and_its_outline_is_sent() -> None:
    task = ask(TaskOptions(question="What does it say?", schema=INVOICE))
    assert json.dumps(json.loads(INVOICE), ensure_ascii=False) in task.instructions
    assert task.schema is not None
    assert "pattern" not in json.dumps(task.schema)
    assert task.schema["additionalProperties"] is False
    compact = ask(TaskOptions(question="What does it say?", schema=json.dumps(json.loads(INVOICE))))
    assert compact.instructions == task.instructions, "how a file is indented is no part of the question"
