"""`manifest.on_bad_file = "skip"`: a file whose content is broken has no rows, instead of ending the planning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import structlog

from pipeline.core.types import Column, ManifestRow
from pipeline.manifests.unit import BadFileError, Placed, PlannedRow, Unit

log = structlog.get_logger()


class Skipping:
    """A unit that is read once to its end before its rows are believed: no half of a broken file is planned."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self._sound = False
        self.because = ""
        """Why the file is left out; known once its rows were read."""

    @property
    def name(self) -> str:
        """The unit's."""
        return self.unit.name

    def fingerprint(self) -> str:
        """The unit's. Raises ManifestError."""
        return self.unit.fingerprint()

    def rows(self) -> Iterator[PlannedRow]:
        """The unit's, none when it is broken. Raises ManifestError for all but broken content."""
        if self._is_sound():
            yield from self.unit.rows()

    def columns(self) -> list[Column]:
        """The unit's, none when it is broken."""
        return [] if self.because else self.unit.columns()

    def read(self, shard: int, rows: Iterable[Placed], kept: list[Column]) -> Iterator[ManifestRow]:
        """The unit's. Raises ManifestError."""
        return self.unit.read(shard, rows, kept)

    def _is_sound(self) -> bool:
        if not self._sound and not self.because:
            try:
                for _ in self.unit.rows():
                    pass
                self._sound = True
            except BadFileError as error:
                self.because = str(error)
                log.warning("manifest.file_skipped", file=self.name, because=self.because)
        return self._sound
