"""The fields of a request that say how it is to be answered: sampling, room, form, and what a repair changes."""

from __future__ import annotations

from typing import Any, Final

from pipeline.core.types import FixedPrompt, Repair
from pipeline.providers.dialect import Dialect
from pipeline.providers.repairs import gets_more_room

STREAM: Final = {"stream": True, "stream_options": {"include_usage": True}, "perf_metrics_in_response": True}
"""Without the others a stream says nothing about tokens (OpenAI's API), or not how many were cached (Fireworks)."""


def answer_fields(
    dialect: Dialect, fixed: FixedPrompt, repair: Repair | None, *, native: bool = False
) -> dict[str, Any]:
    """Everything but the question. `native` is llama.cpp's own /completion, which names two fields in its own way.

    A repair takes the next seed; a cut answer gets twice the room each time, one that ended in a loop the dialect's
    penalty instead. No field leaves that the server is not known to take.
    """
    number = repair.number if repair else 0
    room = fixed.max_tokens * 2**number if repair and gets_more_room(repair) else fixed.max_tokens
    fields: dict[str, Any] = {
        "temperature": fixed.temperature,  # left out, servers take the model's own default
        "n_predict" if native else dialect.max_tokens_field: room,
    }
    if fixed.seed is not None:
        fields["seed"] = fixed.seed + number
    if fixed.schema is not None and native:
        fields["json_schema"] = fixed.schema
    elif fixed.schema is not None:
        schema = {"name": fixed.task, "schema": fixed.schema}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    if repair and repair.kind == "repetition" and dialect.penalty:
        name, value = dialect.penalty
        fields[name] = value
    fields |= dialect.extra
    if dialect.stream_above is not None and room > dialect.stream_above:
        fields |= STREAM
    return {name: value for name, value in fields.items() if name in dialect.fields}
