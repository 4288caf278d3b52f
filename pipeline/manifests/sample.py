"""A few of the planned rows, spread over the plan: what the others are like, without reading all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from pipeline.core.types import ManifestRow, Shard
from pipeline.manifests.duplicates import read_named
from pipeline.manifests.plan import PlannedManifest

PLACES: Final = 16
"""Shards that are looked into. A packed file is read from its beginning for each, a row group decoded."""
HEAVY_BYTES: Final = 8 * 2**20
"""Of pictures that the manifest holds itself: so much is enough of one place."""


def sampled(
    source: PlannedManifest, shards: Sequence[Shard], wanted: Callable[[Shard, int], bool], most: int
) -> Iterator[ManifestRow]:
    """About `most` of the rows of `shards` that are `wanted` (shard, ordinal): neighbours at up to 16 places.

    The places lie evenly from the first to the last; the same plan gives the same rows. All wanted rows, if they are at
    most `most` in at most 16 shards and the manifest does not hold the pictures itself. Raises ManifestError.
    """
    chosen = _spread(shards, PLACES)
    for number, shard in enumerate(chosen):
        rows = [row for row in source.plan.placed(shard.number) if wanted(shard, row.ordinal)]
        share = max(1, most // len(chosen)) if sum(each.rows for each in chosen) > most else len(rows)
        # The first rows of the first place, the last of the last: files often change from their beginning to their end.
        start = max(0, len(rows) - share) * number // max(1, len(chosen) - 1)
        weight = 0
        kept = source.plan.kept or []
        for row in read_named(source.units[shard.unit], shard.number, islice(rows, start, start + share), kept):
            yield row
            weight += len(row.data or b"")
            if weight >= HEAVY_BYTES:
                break


def _spread(shards: Sequence[Shard], most: int) -> list[Shard]:
    """At most so many, the first and the last among them."""
    if len(shards) <= most:
        return list(shards)
    return [shards[number * (len(shards) - 1) // (most - 1)] for number in range(most)]
