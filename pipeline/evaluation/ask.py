"""Whether an answer to a question is right: the same text, the same number, or the same fields.

`exact`: equal after normalisation (NFC, white space collapsed, case, and a full stop at the end left out). `numeric`,
where a number and nothing else is expected: the answer holds one number, equal within `TOLERANCE` of the expected one;
"1,234.5", "12 %" and "EUR 12" hold one, and "1,5" is 1.5. An expected object is compared field by field, numbers as
numbers and all else as text: `fields` is the share that is right, `exact` whether all are.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from pipeline.evaluation.text import folded

TOLERANCE = 0.01
"""Relative: readings off a chart are rounded. A number of 0 has to be met exactly."""
_NUMBER = re.compile(r"[-+−]?(?:\d+(?:[.,]\d+)*|[.,]\d+)(?:[eE][-+]?\d+)?")


def ask_scores(expected: Any, given: str | None, fields: Mapping[str, Any]) -> dict[str, float]:
    """The scores of an answer: `given` as text, `fields` by name where the task has a schema; None where it failed."""
    if isinstance(expected, Mapping):
        right = [given is not None and _right(value, fields.get(name)) for name, value in expected.items()]
        return {"exact": float(all(right)), "fields": sum(right) / len(right)}
    if given is not None and len(fields) == 1:
        given = shown(next(iter(fields.values())))
    scores = {"exact": float(given is not None and _bare(shown(expected)) == _bare(given))}
    wanted = number(expected)
    if wanted is not None and (not isinstance(expected, str) or _NUMBER.fullmatch(expected.strip())):
        scores["numeric"] = float(given is not None and _close(wanted, number(given)))
    return scores


def shown(answer: Any) -> str:
    """An answer as it is shown and stored: text as it is, all else as JSON with sorted names."""
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False, sort_keys=True, default=str)


def number(value: Any) -> float | None:
    """The one number that a value is or a text holds; None where it holds none or several."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
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
    value = float(digits)
    return value if math.isfinite(value) else None


def _right(expected: Any, given: Any) -> bool:
    if expected is None or given is None:
        return expected is given
    wanted = number(expected)
    if isinstance(expected, int | float) and wanted is not None:
        return _close(wanted, number(given))
    return _bare(shown(expected)) == _bare(shown(given))


def _close(wanted: float, given: float | None) -> bool:
    return given is not None and abs(wanted - given) <= TOLERANCE * abs(wanted)


def _bare(text: str) -> str:
    return folded(text).removesuffix(".")
