"""A WebDataset shard as a manifest: a tar, in which every sample holds a picture, and texts that are its columns.

Pictures are read out of the tar one at a time. A row is found again by the place of its sample's first header: in a
plain tar directly, in a packed one (.tar.gz, .tgz, .tar.zst) by unpacking all that stands before it. The key is
WebDataset's `__key__`, or what the column named by `manifest.key` holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any, NoReturn

import orjson

from pipeline.core.errors import ItemError, ManifestError
from pipeline.core.types import Column, ManifestRow
from pipeline.manifests.columns import Columns, key_in, listed, number_in
from pipeline.manifests.samples import Sample, Samples, Walk, readable
from pipeline.manifests.streams import Stream, Waiting, packing_of
from pipeline.manifests.unit import Asked, Placed, PlannedRow, named_version
from pipeline.storage.door import stat
from pipeline.storage.local import MAX_SOURCE_BYTES

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.zst")
"""Ends of the names of tars."""

PICTURES = frozenset(("jpg", "jpeg", "png", "webp", "gif", "tif", "tiff", "bmp", "ppm", "avif"))
"""Fields taken for the picture when none is named."""

TEXTS = frozenset(("txt", "text", "transcript", "cls", "cls2", "class", "count", "index", "inx", "id"))
"""Last parts of the names of fields that are columns."""

_NUMBERS = frozenset(("cls", "cls2", "class", "count", "index", "inx", "id"))
_OBJECTS = ("json", "jsn")
_LONGEST_TEXT = 2**20
_MOST_TEXT = 8 * 2**20
"""Bytes of all texts of a sample together."""
_MOST_NAMES = 100


class TarShard:
    """One tar. `asked.image` names a field (`seg.png`); None means the only one that is a picture by its name.

    The columns of a sample are the keys of its `json`, and its text fields (`txt`, `cls`, `en.txt`) by their names,
    which come first where both have one. `label` names the tar where a sample has no key of its own.
    """

    def __init__(self, name: str, label: str, asked: Asked) -> None:
        self._name = name
        self._label = label
        self._asked = asked
        self._image = asked.image.lower() if asked.image is not None else None
        self._key = asked.key
        self._columns = Columns(name, asked._replace(image=None))  # that one names a field
        self._texts = bool(asked.keep or asked.context) or asked.key not in (None, "__key__")
        self._waiting = Waiting[Walk]()
        self.ignored = 0
        """Members that belong to no sample; known once the tar was read."""

    @property
    def name(self) -> str:
        """The path as configured."""
        return self._name

    def fingerprint(self) -> str:
        """The version that the storage tells, and what names depend on."""
        return named_version(stat(self._name).version, self._name, self._label, self._asked)

    def rows(self) -> Iterator[PlannedRow]:
        """Every sample; one without a usable picture is planned too and fails when it is scanned."""
        pictures, fields = 0, set[str]()
        with closing(Stream(self._name)) as stream:
            samples = Samples(stream, self._length(), self._is_wanted_text)
            for sample in samples.since(0):
                pictures += self._picture(sample) is not None
                if len(fields) < _MOST_NAMES:
                    fields.update(sample.fields)
                key = sample.key
                if self._texts:
                    key = self._noted(sample)
                yield PlannedRow(key, b"%d" % sample.start)
            self.ignored = samples.ignored
        if not pictures and (self._image or any(_last(name) in PICTURES for name in fields)):
            self._refuse_fields(fields)
        if self._texts:
            self._columns.check()

    def columns(self) -> list[Column]:
        """One type per kept column that holds all of its values: text where they differ."""
        return self._columns.kept()

    def read(self, shard: int, rows: Iterable[Placed], kept: list[Column]) -> Iterator[ManifestRow]:
        """Planned samples with their pictures, one at a time; those between are passed over unread."""
        walk = self._waiting.take() or Walk(self._name, self._length(), self._is_wanted)
        kept_open = False
        try:
            for ordinal, key, ref in rows:
                sample = walk.at(int(ref))
                if sample is None:
                    raise self._changed()
                yield self._row(shard, ordinal, key, sample, kept)
            if kept_open := walk.packed:
                self._waiting.keep(walk)  # the next shard goes on from here
        finally:
            if not kept_open:
                walk.close()

    def _row(self, shard: int, ordinal: int, key: str, sample: Sample, kept: list[Column]) -> ManifestRow:
        uri = f"{self._name}/{sample.key}"
        size: int | None = None
        try:
            record = self._record(sample) if self._texts else {}
            if self._key_of(sample, record) != key:
                raise self._changed()
            picture = self._picture(sample)
            if picture is None:
                raise ItemError("no_image", f"the sample has no picture; its fields are {listed(sample.fields)}")
            member = sample.fields[picture]
            uri, size = f"{self._name}/{readable(member.name)}", member.size
            if member.what:
                raise ItemError("no_image", f"{readable(member.name)!r} is {member.what} in the tar, no file")
            if size > MAX_SOURCE_BYTES:
                raise ItemError("too_large", f"{uri} has {size:,} bytes; the limit is {MAX_SOURCE_BYTES:,}")
            columns = self._columns.taken(record, kept, f"{self._label}:{sample.key}")
        except ItemError as error:
            return ManifestRow(shard, ordinal, key, uri, problem=error)
        return ManifestRow(shard, ordinal, key, uri, size=size, columns=columns, data=sample.contents[picture])

    def _noted(self, sample: Sample) -> str:
        """A sample's key, once its columns are noted."""
        try:
            record = self._record(sample)
            self._columns.note(record)
            return self._key_of(sample, record)
        except ItemError:
            return self._place(sample)

    def _key_of(self, sample: Sample, record: dict[str, Any]) -> str:
        return sample.key if self._key in (None, "__key__") else key_in(record, self._key or "")

    def _place(self, sample: Sample) -> str:
        return sample.key if self._key in (None, "__key__") else f"{self._label}:{sample.key}"

    def _picture(self, sample: Sample) -> str | None:
        """The picture's field, None when there is none. Raises ManifestError when it could be any of several."""
        if self._image is not None:
            return self._image if self._image in sample.fields else None
        found = [name for name in sample.fields if name in PICTURES]
        if len(found) > 1:
            self._refuse_fields(found, f"the sample {sample.key!r} has several pictures")
        return found[0] if found else None

    def _record(self, sample: Sample) -> dict[str, Any]:
        """The sample's columns. Raises ItemError bad_row for texts that cannot be read."""
        record: dict[str, Any] = {"__key__": sample.key}
        objects: dict[str, Any] = {}
        for name, member in sample.fields.items():
            if not _is_text(name) or member.what:
                continue
            if name not in sample.contents:
                raise ItemError(
                    "bad_row",
                    f"the field {name!r} has {member.size:,} bytes; at most {_LONGEST_TEXT:,} are read, and of all "
                    f"texts of a sample {_MOST_TEXT:,}",
                )
            try:
                if name in _OBJECTS:
                    objects |= orjson.loads(sample.contents[name])
                else:
                    text = sample.contents[name].decode()
                    record[name] = number_in(text.strip()) if _last(name) in _NUMBERS else text
            except UnicodeDecodeError:
                raise ItemError("bad_row", f"the field {name!r} is not UTF-8 text") from None
            except (orjson.JSONDecodeError, TypeError):
                raise ItemError("bad_row", f"the field {name!r} is not a JSON object") from None
        return objects | record

    def _is_wanted_text(self, sample: Sample, name: str, size: int) -> bool:
        if not self._texts or not _is_text(name) or size > _LONGEST_TEXT:
            return False
        return size + sum(len(text) for field, text in sample.contents.items() if _is_text(field)) <= _MOST_TEXT

    def _is_wanted(self, sample: Sample, name: str, size: int) -> bool:
        picture = name == self._image if self._image is not None else name in PICTURES
        return size <= MAX_SOURCE_BYTES if picture else self._is_wanted_text(sample, name, size)

    def _refuse_fields(self, fields: Iterable[str], what: str = "no sample has a picture") -> NoReturn:
        named = f" called {self._image!r}" if self._image is not None else ""
        raise ManifestError(
            f"{self._name}: {what}{named}. Fields, which begin at the first dot of a name, are {listed(fields)}. Set "
            "manifest.image to the right one."
        )

    def _length(self) -> int | None:
        return None if packing_of(self._name) else stat(self._name).size

    def _changed(self) -> ManifestError:
        return ManifestError(f"{self._name} was changed while it was being read. Run the same command again.")


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _is_text(name: str) -> bool:
    return name in _OBJECTS or _last(name) in TEXTS
