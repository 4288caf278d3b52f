"""Small pictures of what an output was asked about, for the pages that people look at."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final

from pipeline.config import Config
from pipeline.core.errors import ItemError
from pipeline.core.types import ManifestRow
from pipeline.images.apart import Apart
from pipeline.images.thumbnail import thumbnail
from pipeline.ledger.output import Output
from pipeline.manifests.plan import PlannedManifest, load_plan
from pipeline.opening import manifest_units
from pipeline.storage.local import LocalFetcher

MOST: Final = 2000
"""Pictures on one page: it has to be opened by a browser."""


def thumbnails(config: Config, output: Output) -> Mapping[str, bytes]:
    """JPEGs by key, of pictures that lie at hand; nothing is fetched from the web. Blocking.

    Raises ConfigError, LedgerError, ManifestError: the manifest, or its plan in `output`, cannot be read.
    """
    units = {unit.name: unit for unit in manifest_units(config, output)}
    source = PlannedManifest(load_plan(output.plan), units)
    rows = (row for shard in source.shards for row in source.scan(shard))
    apart, found = Apart(1), {}
    try:
        for row in islice(rows, MOST):
            data = _at_hand(row)
            small = thumbnail(data, apart) if data is not None else None
            if small is not None:
                found[row.key] = small
    finally:
        apart.close()
    return found


def _at_hand(row: ManifestRow) -> bytes | None:
    if row.data is not None or row.path is None:
        return row.data
    try:
        return LocalFetcher().fetch(row)
    except ItemError:
        return None  # its row says why
