"""Brace ranges in a path, as shells and data sets write them: part-{00000..00012}.parquet."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.core.errors import ManifestError

_RANGE = re.compile(r"\{(\d{1,18})\.\.(\d{1,18})\}")
_MOST = 1_000_000


def has_range(path: str) -> bool:
    """Whether a path stands for several."""
    return _RANGE.search(path) is not None


def expanded(path: str) -> list[str]:
    """Every path that is meant, in order; numbers are as wide as the wider end that begins with a zero.

    Raises ManifestError: a range that runs backwards, or more than a million paths.
    """
    return list(_expanded(path, path))


def _expanded(path: str, whole: str) -> Iterator[str]:
    found = _RANGE.search(path)
    if found is None:
        yield path
        return
    first, last = int(found[1]), int(found[2])
    if last < first or last - first >= _MOST:
        what = "runs backwards" if last < first else f"means more than {_MOST:,} files"
        raise ManifestError(f"manifest.path: the range {found[0]} in {whole} {what}.")
    padded = any(len(end) > 1 and end.startswith("0") for end in found.groups())
    width = max(len(end) for end in found.groups()) if padded else 1
    for number in range(first, last + 1):
        for rest in _expanded(path[found.end() :], whole):
            yield f"{path[: found.start()]}{number:0{width}}{rest}"
