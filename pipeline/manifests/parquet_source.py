"""One Parquet file, read in bounded memory: its footer checked first, then row groups in batches of bounded bytes.

Reader settings (`pre_buffer` off, one thread, small buffers) are those that held the least memory in measurements of
2026-11 over 10 million addresses and 2 GB of embedded pictures; the data set reader of Arrow took up to 20 times more.
Format: https://parquet.apache.org/docs/file-format/ (2026-11-25).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as kinds

from pipeline.core.errors import ManifestError
from pipeline.manifests.parquet_pages import Stretch, Window, side_by_side, stretches_of
from pipeline.manifests.streams import Watched
from pipeline.manifests.unit import BadFileError
from pipeline.storage.door import opened, stat
from pipeline.storage.local import reason

BATCH_BYTES: Final = 8 * 2**20
"""A batch holds about so many bytes, or one row."""
BATCH_ROWS: Final = 4096
PAGE_BYTES: Final = 32 * 2**20
"""A page of pictures that is larger is read without its neighbours."""
_MOST_UNPACKED: Final = 128 * 2**20
_MOST_EXPANSION: Final = 100
"""A column chunk of more than the first may unpack to so many times its size. Arrow holds about four times a page: 1 GB
of zeros, 33 KB in the file, took 4.1 GB."""
_MOST_REPEATED: Final = 16 * 2**20
"""Bytes of a batch in which every row holds the whole dictionary: one value may be nearly all of it."""
_BUFFER_HERE: Final = 2**20
_BUFFER_AWAY: Final = 8 * 2**20
_MAGIC: Final = b"PAR1"
_MAGIC_ENCRYPTED: Final = b"PARE"
_SMALLEST: Final = 12
"""Bytes: the magic number twice and the length of a footer."""


class ParquetSource:
    """An open file. `schema` is Arrow's, `starts` the number of each row group's first row."""

    def __init__(self, name: str, size: int, watched: Watched) -> None:
        self._name = name
        self._size = size
        self._watched = watched
        self._mind_ends()
        with self._explained("its footer"):
            self._file = self._opened(watched)
            self.schema: Any = self._file.schema_arrow
            self.leaves = self._leaves()
            self.starts = self._starts()

    @property
    def groups(self) -> int:
        """How many row groups there are."""
        return len(self.starts)

    def rows_of(self, group: int) -> int:
        """How many rows a row group has, as the footer says."""
        return int(self._file.metadata.row_group(group).num_rows)

    def bytes_of(self, group: int, leaf: str) -> int:
        """How many bytes a column holds in a row group, decompressed, as the footer says."""
        return sum(
            chunk.total_uncompressed_size for chunk in self._chunks(group, [leaf]) if chunk.path_in_schema == leaf
        )

    def batches(self, group: int, leaves: Sequence[str], images: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """The row group's rows in order with these columns (dotted paths to leaves), `images` among them.

        Raises BadFileError: a page cannot be decoded, or there are other rows than the footer says. ManifestError: the
        file cannot be read now.
        """
        expected = self.rows_of(group)
        seen = 0
        with self._explained(f"row group {group}"):
            size = self._batch_rows(group, leaves, images)
            batches = self._decoded(group, leaves, images, size)
        while True:
            with self._explained(f"row group {group} from its row {seen} on"):
                batch = next(batches, None)
            if batch is None:
                break
            seen += batch.num_rows
            yield batch
        if seen != expected:
            raise BadFileError(f"{self._name}: row group {group} has {seen:,} rows; its footer says {expected:,}.")

    def _decoded(self, group: int, leaves: Sequence[str], images: Sequence[str], size: int) -> Iterator[pa.RecordBatch]:
        """What Arrow makes of these columns; one with large pages is read by itself, a few pages at a time."""
        for leaf in images:
            if stretches := self._stretches(group, leaf):
                others = [other for other in leaves if other != leaf]
                alone = self._in_stretches(group, leaf, stretches, size)
                return side_by_side(alone, self._read(self._file, group, others, size)) if others else alone
        return self._read(self._file, group, leaves, size)

    def _stretches(self, group: int, leaf: str) -> list[Stretch]:
        chunks = list(self._chunks(group, [leaf]))
        if len(chunks) != 1 or chunks[0].total_uncompressed_size <= PAGE_BYTES or not self._is_in_structs(leaf):
            return []  # a column may be called like another's member
        return stretches_of(self._watched, *_place(chunks[0]), self.rows_of(group), PAGE_BYTES)

    def _is_in_structs(self, leaf: str) -> bool:
        """Whether nothing but structs lead to it: of a list neither rows nor members could be told apart."""
        kind: Any = None
        fields = self.schema
        for step in leaf.split("."):
            if fields.names.count(step) != 1:
                return False
            kind = fields.field(step).type
            fields = pa.schema(kind.fields) if kinds.is_struct(kind) else pa.schema([])
        return not kinds.is_nested(kind)

    def _in_stretches(self, group: int, leaf: str, stretches: list[Stretch], size: int) -> Iterator[pa.RecordBatch]:
        (chunk,) = self._chunks(group, [leaf])
        window = Window(self._watched, *_place(chunk))
        file = self._opened(window, self._file.metadata)
        for stretch in stretches:
            window.show(stretch)
            left = stretch.rows
            batches = self._read(file, group, [leaf], size)
            while left > 0 and (batch := next(batches, None)) is not None:
                left -= batch.num_rows
                yield batch
            del batches, batch  # and with them the pages, before the next are read
            release_memory()

    @staticmethod
    def _read(file: Any, group: int, leaves: Sequence[str], size: int) -> Iterator[pa.RecordBatch]:
        batches: Iterator[pa.RecordBatch] = file.iter_batches(
            size, row_groups=[group], columns=list(leaves), use_threads=False
        )
        return batches

    def _opened(self, file: Watched | Window, metadata: Any = None) -> Any:
        return pq.ParquetFile(
            file,
            metadata=metadata,
            pre_buffer=False,
            buffer_size=_BUFFER_AWAY if "://" in self._name else _BUFFER_HERE,
            page_checksum_verification=True,
            arrow_extensions_enabled=False,
        )

    def _batch_rows(self, group: int, leaves: Sequence[str], images: Sequence[str]) -> int:
        rows = max(1, self.rows_of(group))
        a_row, most = 0.0, BATCH_ROWS
        for chunk in self._chunks(group, leaves):
            # What stands once in the dictionary may stand in every row: the average tells nothing then.
            packed = chunk.data_page_offset - chunk.dictionary_page_offset if chunk.has_dictionary_page else 0
            dictionary = packed * chunk.total_uncompressed_size / max(1, chunk.total_compressed_size)
            a_row += max(chunk.total_uncompressed_size / rows, dictionary if chunk.path_in_schema in images else 0)
            most = min(most, _MOST_REPEATED // max(dictionary, 1))
        return int(max(1, min(most, BATCH_BYTES // max(a_row, 1))))

    def _chunks(self, group: int, leaves: Sequence[str]) -> Iterator[Any]:
        """The column chunks, each held against the size of the file before anything is read by it."""
        row_group = self._file.metadata.row_group(group)
        for index, leaf in enumerate(self.leaves):
            if leaf not in leaves:
                continue
            chunk = row_group.column(index)
            first = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
            compressed = chunk.total_compressed_size
            if first < 0 or compressed < 0 or first + compressed > self._size or chunk.total_uncompressed_size < 0:
                raise BadFileError(
                    f"{self._name}: its footer places {compressed:,} bytes of {leaf!r} at {first:,}, but the file has "
                    f"{self._size:,}. Write it again, or leave it out."
                )
            if chunk.total_uncompressed_size > max(_MOST_UNPACKED, _MOST_EXPANSION * compressed):
                raise BadFileError(
                    f"{self._name}: {leaf!r} claims to unpack from {compressed:,} bytes to "
                    f"{chunk.total_uncompressed_size:,} in row group {group}. Write it in smaller row groups, or leave "
                    "it out."
                )
            yield chunk

    def _leaves(self) -> list[str]:
        """The dotted paths of the columns.

        Not from `schema` if it can be had elsewhere: that one and the footer refer to each other, and footers of every
        shard's reading would stay until Python happens to look for such circles (pyarrow 26).
        """
        metadata = self._file.metadata
        if metadata.num_row_groups == 0:
            return [self._file.schema.column(index).path for index in range(metadata.num_columns)]
        group = metadata.row_group(0)
        return [group.column(index).path_in_schema for index in range(metadata.num_columns)]

    def _starts(self) -> list[int]:
        starts, total = [], 0
        for group in range(self._file.num_row_groups):
            rows = self.rows_of(group)
            if rows < 0:
                raise BadFileError(f"{self._name}: its footer gives row group {group} {rows} rows.")
            starts.append(total)
            total += rows
        if total != self._file.metadata.num_rows:
            raise BadFileError(
                f"{self._name}: its footer gives {self._file.metadata.num_rows:,} rows, but {total:,} in row groups."
            )
        return starts

    def _mind_ends(self) -> None:
        """Say what a file without a footer is; Arrow's words for it are for programmers."""
        what = None
        if self._size < _SMALLEST:
            what = f"is no Parquet file: it has {self._size} bytes"
        else:
            try:
                self._watched.seek(self._size - 4)
                end = self._watched.read(4)
                self._watched.seek(0)
                start = self._watched.read(4)
                self._watched.seek(0)
            except OSError as error:
                raise ManifestError(f"Cannot read {self._name}: {reason(error)}.") from None
            if _MAGIC_ENCRYPTED in (start, end):
                what = "is encrypted; this version has no keys for Parquet files"
            elif end != _MAGIC:
                what = "is cut off" if start == _MAGIC else "is no Parquet file"
        if what:
            raise BadFileError(f"{self._name} {what}. Write it again, or leave it out.")

    @contextmanager
    def _explained(self, place: str) -> Iterator[None]:
        """Arrow's errors, and what Python makes of a broken footer, as one line."""
        try:
            yield
        except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError, MemoryError) as error:
            if (trouble := self._watched.trouble) is not None:
                raise ManifestError(f"Cannot read {self._name}: {reason(trouble)}.") from None
            said = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
            raise BadFileError(f"{self._name} is broken in {place}: {said}.") from None


def _place(chunk: Any) -> tuple[int, int]:
    """Where a column chunk begins and ends."""
    first = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < first:
        first = chunk.dictionary_page_offset
    return first, first + chunk.total_compressed_size


@contextmanager
def open_source(name: str) -> Iterator[ParquetSource]:
    """The file behind a name, closed in the end. Raises BadFileError, ManifestError."""
    size = stat(name).size
    with opened(name) as file:
        yield ParquetSource(name, size, Watched(file))


def release_memory() -> None:
    """Give back what Arrow keeps of a row group that was read; an allocator holds on to large blocks for long."""
    pa.default_memory_pool().release_unused()
