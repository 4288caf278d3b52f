"""What planning a manifest has shown that somebody may want to know: files passed over, burdens to come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pipeline.manifests.directory import Directory
from pipeline.manifests.parquet import ParquetFile
from pipeline.manifests.prefix import Prefix
from pipeline.manifests.skipping import Skipping
from pipeline.manifests.unit import Unit
from pipeline.manifests.webdataset import TarShard

HEAVY_GROUP: Final = 512 * 2**20
"""Bytes of pictures in one row group from which on reading it is a burden."""


class Remark(NamedTuple):
    """A line for the log."""

    event: str
    facts: Mapping[str, Any]
    warns: bool = False


def remarks_on(units: Sequence[Unit]) -> Iterator[Remark]:
    """What is to be said of units whose rows were read; of those that were not, nothing."""
    inner = [unit.unit if isinstance(unit, Skipping) else unit for unit in units]
    for unit in inner:
        if isinstance(unit, Directory | Prefix) and unit.ignored:
            facts = {"folder": unit.name, "files": unit.ignored, "because": "no picture by their suffix"}
            yield Remark("manifest.ignored", facts)
        if isinstance(unit, TarShard) and unit.ignored:
            facts = {"tar": unit.name, "members": unit.ignored, "because": "no sample by their names"}
            yield Remark("manifest.ignored", facts)
    if skipped := sum(isinstance(unit, Skipping) and bool(unit.because) for unit in units):
        facts = {"files": skipped, "of": len(units), "because": "they are broken"}
        yield Remark("manifest.files_skipped", facts, warns=True)
    files = [unit for unit in inner if isinstance(unit, ParquetFile) and unit.heaviest_group > HEAVY_GROUP]
    if files:
        heaviest = max(files, key=lambda file: file.heaviest_group)
        facts = {
            "files": len(files),
            "heaviest": heaviest.name,
            "megabytes": heaviest.heaviest_group // 2**20,
            "effect": "a resumed run decodes a row group from its beginning; write row groups of some hundred pictures",
        }
        yield Remark("manifest.heavy_row_groups", facts, warns=True)
