"""WebDataset's samples: neighbouring members of a tar whose names are the same up to the first dot of the base name.

The convention is that of webdataset 1.0.2 (`tariterators.py`, read 2026-11-25): a name is split by
`^((?:.*/|)[^.]+)[.]([^/]*)$` into key and field, the field counts in lower case, names without a field and names like
`__this__`, or below such a folder, are no samples. What differs: there a field that comes twice in a row is an error;
here it begins another sample of the same key, and `manifest.on_duplicate_key` says what becomes of that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pipeline.manifests.streams import Stream
from pipeline.manifests.tar import Member, members
from pipeline.manifests.unit import BadFileError

MOST_FIELDS = 1000
"""Members of one sample; more is no sample but a tar without dots in its names' right places."""

_SPLIT = re.compile(rb"((?:.*/|)[^.]+)[.]([^/]*)", re.DOTALL)
_META = re.compile(rb"__[^/]*__(?:\Z|/)")


@dataclass(slots=True)
class Sample:
    """One sample; `start` is where its first member's header begins."""

    key: str
    start: int
    fields: dict[str, Member] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict, repr=False)
    """Of the fields that were asked for."""


class Samples:
    """A tar's samples in order. `wanted`: whether a field of this size is read, too."""

    def __init__(self, stream: Stream, length: int | None, wanted: Callable[[Sample, str, int], bool]) -> None:
        self._stream = stream
        self._length = length
        self._wanted = wanted
        self.first = 0
        """Contents are read of samples that begin here or later."""
        self.ignored = 0
        """Members so far that belong to no sample: their names have no field."""

    def since(self, start: int) -> Iterator[Sample]:
        """The samples from the one whose first header is here. Raises BadFileError."""
        sample: Sample | None = None
        for member in members(self._stream, start, self._length):
            found = _SPLIT.fullmatch(member.name)
            if found is None or _META.match(member.name):
                self.ignored += 1
                continue
            key, name = readable(found[1]), readable(found[2]).lower()
            if sample is not None and (key != sample.key or name in sample.fields):
                yield sample
                sample = None
            if sample is None:
                sample = Sample(key, member.start)
            if len(sample.fields) == MOST_FIELDS:
                raise BadFileError(
                    f"{self._stream.name}: more than {MOST_FIELDS:,} members belong to one key, {key!r}."
                )
            sample.fields[name] = member
            if sample.start >= self.first and not member.what and self._wanted(sample, name, member.size):
                sample.contents[name] = self._content(member)
        if sample is not None:
            yield sample

    def _content(self, member: Member) -> bytes:
        self._stream.go_to(member.offset)
        content = self._stream.read(member.size)
        if len(content) < member.size:
            raise BadFileError(
                f"Cannot read {self._stream.name}: it ends inside {readable(member.name)!r}: the tar is cut off."
            )
        return content


class Walk:
    """Goes through a tar from sample to sample. A packed tar is unpacked once while the places only grow."""

    def __init__(self, name: str, length: int | None, wanted: Callable[[Sample, str, int], bool]) -> None:
        self._stream = Stream(name)
        self._samples = Samples(self._stream, length, wanted)
        self._following: Iterator[Sample] = iter(())
        self._last = self._end = -1
        self.close = self._stream.close

    @property
    def packed(self) -> bool:
        """Whether going back would mean to begin anew."""
        return self._stream.packed

    def at(self, start: int) -> Sample | None:
        """The sample that begins here, None when none does. Raises BadFileError."""
        # A plain tar is entered anywhere; in a packed one the headers between are walked over.
        if start <= self._last or self._last < 0 or (start != self._end and not self.packed):
            self._following = self._samples.since(start)
        self._samples.first = start
        for sample in self._following:
            self._last = sample.start
            self._end = max(member.end for member in sample.fields.values())
            if sample.start >= start:
                return sample if sample.start == start else None
        return None


def readable(name: bytes) -> str:
    """A name as text that every reader of Parquet accepts; bytes that are no UTF-8 stand as \\xNN."""
    return name.decode("utf-8", "backslashreplace")
