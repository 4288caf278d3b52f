"""Whatever fits a person's schema can be written by a server that is held to the form, and is read."""

from __future__ import annotations

from typing import Any

import jsonschema
from hypothesis import event, given, reject, settings
from hypothesis import strategies as st

from pipeline.core.errors import ItemError
from pipeline.tasks.fields import Fields, SchemaError
from tests.tasks.fitting import DRAFT_7, DRAFT_2019, SCHEMAS, fields_of, value_of, written


def reads(fields: Fields, answer: Any) -> bool:
    try:
        return fields.read(answer) is not None
    except ItemError:
        return False


@settings(max_examples=150, derandomize=True)
@given(SCHEMAS, st.sampled_from([None, DRAFT_7, DRAFT_2019]), st.sampled_from([["item"], []]), st.data())
def test_what_fits_the_schema_can_be_written_by_the_form(
    item: Any, draft: str | None, required: list[str], data: st.DataObject
) -> None:
    try:
        fields = fields_of(item, required=required, **{"$schema": draft})
    except SchemaError:
        reject()
    schema = dict(fields.schema)
    judge = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)(schema)
    server = jsonschema.Draft202012Validator(fields.strict)
    for _ in range(4):
        value = value_of(data.draw, [schema], schema)
        if judge.is_valid(value):
            event("fits")
            ways = [way for way in written(value, fields.strict, fields.strict) if server.is_valid(way)]
            assert ways, (value, fields.strict)
            assert any(reads(fields, way) for way in ways), (value, ways)
        else:
            event("does not fit")
