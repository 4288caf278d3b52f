"""Answers that obey a JSON schema, made from nothing: for a fake that does not know the tasks it is asked."""

import random
from typing import Any


def obey(schema: dict[str, Any], seed: int | str, root: dict[str, Any] | None = None) -> Any:
    """A value that the schema allows, the same for the same seed.

    Knows objects, arrays, strings, numbers, booleans, null, enum, const, anyOf, oneOf, `$ref` to `$defs`, lengths and
    ranges; every declared property is given. Patterns and formats are not obeyed.
    """
    return _value(schema, random.Random(seed), root or schema)


def _value(schema: dict[str, Any], chance: random.Random, root: dict[str, Any]) -> Any:
    if "$ref" in schema:
        at: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            at = at[step]
        return _value(at, chance, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return chance.choice(schema["enum"])
    for choices in ("anyOf", "oneOf"):
        if choices in schema:
            return _value(schema[choices][0], chance, root)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return _of_kind(kind[0] if isinstance(kind, list) else kind, schema, chance, root)


def _of_kind(kind: str, schema: dict[str, Any], chance: random.Random, root: dict[str, Any]) -> Any:
    if kind == "object":
        return {name: _value(part, chance, root) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        least = schema.get("minItems", 0)
        n = chance.randint(least, min(schema.get("maxItems", least + 2), least + 2))
        items = [_value(schema.get("items", {"type": "string"}), chance, root) for _ in range(n)]
        return list(dict.fromkeys(items)) if schema.get("uniqueItems") and n > least else items
    if kind == "string":
        text = " ".join(chance.choice(_WORDS) for _ in range(4))
        return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength", 10_000)]
    if kind == "integer":
        least = schema.get("minimum", 0)
        return chance.randint(least, schema.get("maximum", least + 100))
    if kind == "number":
        least = schema.get("minimum", 0.0)
        return round(chance.uniform(least, schema.get("maximum", least + 1.0)), 3)
    return chance.random() < 0.5 if kind == "boolean" else None


_WORDS = (
    "red",
    "small",
    "cup",
    "street",
    "two",
    "cats",
    "window",
    "bright",
    "river",
    "wood",
    "a",
    "the",
    "über",
    "東京",
)
