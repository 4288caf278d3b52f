"""What every manifest kind offers the plan: units, their planned rows, and the way back from a planned row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from pipeline.core.errors import ManifestError
from pipeline.core.types import Column, ManifestRow


class BadFileError(ManifestError):
    """The content is broken: no later run reads it better. What merely cannot be read now is a plain ManifestError."""


class Asked(NamedTuple):
    """What is wanted of the columns of a file of rows.

    `image` and `key` name columns; None means find the picture's, or make keys of what it says. `keep` is carried into
    the output, `context` is quoted to the model.
    """

    image: str | None = None
    key: str | None = None
    keep: tuple[str, ...] = ()
    context: tuple[str, ...] = ()


def named_version(version: str, file: str, label: str, asked: Asked) -> str:
    """A file's version, and what its rows' names depend on beside it: a label of its own, configured columns."""
    more = ["" if label == file.rpartition("/")[2] else label, asked.image or "", asked.key or ""]
    return f"{version} {more}" if any(more) else version


class PlannedRow(NamedTuple):
    """A row as the plan keeps it: its key, and the unit's own way to find it again."""

    key: str
    ref: bytes


class Placed(NamedTuple):
    """A planned row with its place in a shard."""

    ordinal: int
    key: str
    ref: bytes


class Unit(Protocol):
    """A source that is planned as a whole: one folder, or one file of rows."""

    @property
    def name(self) -> str:
        """The path as the configuration gives it."""
        ...

    def fingerprint(self) -> str:
        """Changes whenever rows may have. Blocking. Raises ManifestError."""
        ...

    def rows(self) -> Iterator[PlannedRow]:
        """Every row in order. Blocking. Raises ManifestError."""
        ...

    def columns(self) -> list[Column]:
        """The types of the kept columns, once `rows` was read to its end."""
        ...

    def read(self, shard: int, rows: Iterable[Placed], kept: list[Column]) -> Iterator[ManifestRow]:
        """Planned rows as they flow. Blocking. Raises ManifestError when the unit changed under the run."""
        ...
