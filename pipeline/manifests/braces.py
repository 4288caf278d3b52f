"""Brace ranges in names, as data sets are published: `shard-{000000..000099}.tar`, `{train,test}.csv`."""

from __future__ import annotations

import re
from itertools import chain

from pipeline.core.errors import ManifestError

MOST_NAMES = 1_000_000
"""Names that one path may stand for: a slip in a range must not fill the memory."""

_BRACES = re.compile(r"\{(?:(\d{1,18})\.\.(\d{1,18})|([^{}]*,[^{}]*))\}")


def expanded(path: str) -> list[str]:
    """Every name that a path stands for, in order; the path itself when nothing in it is a range or a list.

    Numbers keep the zeros of the longer end, ranges may count down, several braces give every combination, as in a
    shell. Raises ManifestError for more than a million names.
    """
    found = _BRACES.search(path)
    if found is None:
        return [path]
    before, rest = path[: found.start()], expanded(path[found.end() :])
    first, last, alternatives = found.groups()
    count = alternatives.count(",") + 1 if alternatives is not None else abs(int(last) - int(first)) + 1
    if count * len(rest) > MOST_NAMES:
        raise ManifestError(
            f"manifest.path: {path} stands for {count * len(rest):,} names; at most {MOST_NAMES:,} are read."
        )
    middles = alternatives.split(",") if alternatives is not None else _numbers(first, last)
    return list(chain.from_iterable([f"{before}{middle}{end}" for end in rest] for middle in middles))


def _numbers(first: str, last: str) -> list[str]:
    step = 1 if int(first) <= int(last) else -1
    padded = any(len(end) > 1 and end.startswith("0") for end in (first, last))
    width = max(len(first), len(last)) if padded else 0
    return [f"{number:0{width}}" for number in range(int(first), int(last) + step, step)]
