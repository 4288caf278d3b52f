"""Whether an answer to a question is right: the same text, the same number, or the same fields.

`exact`: equal after normalisation (NFC, white space collapsed, case, and a full stop at the end left out), or the same
number: "1,240.50" is 1240.5. `numeric`, where a number and nothing else is expected: the answer holds one number, the
expected one, or within `TOLERANCE` of it where that is not whole; "1,234.5", "12 %" and "EUR 12" hold one, and "1,5" is
1.5. An expected object is compared field by field, lists and objects in it by their values, as `exact` compares:
`fields` is the share that is right, `exact` whether all are.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from pipeline.evaluation.text import folded

TOLERANCE = 0.01
"""Relative: readings off a chart are rounded. Whole numbers are counts and years, and have to be met exactly."""
_DIGITS = 300
"""Of a whole number that is read digit by digit; longer ones are near or beyond the end of all doubles."""
_NUMBER = re.compile(r"[-+−]?(?:\d+(?:[.,]\d+)*|[.,]\d+)(?:[eE][-+]?\d+)?")


def ask_scores(expected: Any, given: str | None, fields: Mapping[str, Any]) -> dict[str, float]:
    """The scores of an answer: `given` as text, `fields` by name where the task has a schema; None where it failed."""
    if isinstance(expected, Mapping):
        right = [given is not None and _equal(value, fields.get(name)) for name, value in expected.items()]
        return {"exact": float(all(right)), "fields": sum(right) / len(right)}
    if given is not None and len(fields) == 1:
        given = shown(next(iter(fields.values())))
    scores = {"exact": float(given is not None and _equal(expected, given))}
    wanted = number(expected)
    if wanted is not None and _number_alone(expected) is not None:
        scores["numeric"] = float(given is not None and _close(wanted, number(given)))
    return scores


def shown(answer: Any) -> str:
    """An answer as it is shown and stored: text as it is, all else as JSON with sorted names."""
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False, sort_keys=True, default=str)


def number(value: Any) -> float | None:
    """The one number that a value is or a text holds; None where it holds none, several, or one beyond all doubles."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _finite(value)
    found = _NUMBER.findall(value) if isinstance(value, str) else []
    if len(found) != 1:
        return None
    digits = found[0].replace("−", "-")
    last = max(digits.rfind("."), digits.rfind(","))
    if last >= 0:
        mark = digits[last]
        thousands = digits.count(mark) > 1 or (mark == "," and re.fullmatch(r"[-+]?[1-9]\d{0,2},\d{3}", digits))
        whole, part = (digits, "") if thousands else (digits[:last], "." + digits[last + 1 :])
        digits = whole.replace(",", "").replace(".", "") + part
    return _finite(float(digits)) if re.search(r"[.eE]", digits) or len(digits) > _DIGITS else int(digits)


def _finite(value: float) -> float | None:
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # a whole number that no double holds
        return None


def _number_alone(value: Any) -> float | None:
    """The number that a value is, or that a text is and nothing else."""
    return None if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()) else number(value)


def _equal(expected: Any, given: Any) -> bool:
    """Whether a value is the expected one. A column holds lists and objects as JSON text; null is as good as left out.

    Goes as deep as the expected value, which labels keep shallow.
    """
    if isinstance(expected, Mapping | list) and isinstance(given, str):
        given = _loaded(given)
    if isinstance(expected, Mapping):
        names = {*expected, *given} if isinstance(given, Mapping) else ()
        return isinstance(given, Mapping) and all(_equal(expected.get(name), given.get(name)) for name in names)
    if isinstance(expected, list):
        alike = isinstance(given, list) and len(given) == len(expected)
        return alike and all(_equal(*pair) for pair in zip(expected, given, strict=True))
    if expected is None or given is None:
        return expected is given
    if _bare(shown(expected)) == _bare(shown(given)):
        return True
    if isinstance(expected, str) and isinstance(given, str):
        return False  # "007" is not "7"
    wanted = _number_alone(expected)
    return wanted is not None and wanted == _number_alone(given)


def _loaded(text: str) -> Any:
    """The value of JSON text; the text itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _close(wanted: float, given: float | None) -> bool:
    if given is None or float(wanted).is_integer():
        return wanted == given
    return abs(wanted - given) <= TOLERANCE * abs(wanted)


def _bare(text: str) -> str:
    return folded(text).removesuffix(".")
