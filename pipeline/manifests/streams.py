"""Files read piece by piece, plain or packed, with a position: what listings and tars have in common.

A packed file (.gz, .tgz, .zst) has no way back and no short cut: to get to a place, everything before it is unpacked
and thrown away. So a unit keeps such a stream for its next shard, which usually begins where the last one ended.
"""

from __future__ import annotations

import io
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Generic, Protocol, TypeVar

import pyarrow as pa

from pipeline.core.errors import ManifestError
from pipeline.manifests.unit import BadFileError
from pipeline.storage.door import opened

PACKINGS = {".gz": "gzip", ".tgz": "gzip", ".zst": "zstd"}
"""How a file is packed, by the end of its name."""

_PIECE = 2**20
Kept = TypeVar("Kept", bound="Closable")


def packing_of(name: str) -> str | None:
    """What unpacks a file of this name, None when nothing needs to."""
    return next((packing for ending, packing in PACKINGS.items() if name.lower().endswith(ending)), None)


class Watched:
    """A file that remembers why reading failed: Arrow reports broken content as an OSError, too."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.trouble: OSError | None = None

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or all. Raises OSError."""
        try:
            return self._file.read(size)
        except OSError as error:
            self.trouble = error
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The present place."""
        return self._file.tell()

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    @property
    def closed(self) -> bool:
        """Whether it was let go."""
        return self._file.closed


class Stream:
    """A file's content from `offset` on, unpacked. Reading it raises ManifestError or BadFileError, one clear line."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.offset = 0
        self._packing = packing_of(name)
        self._open()

    @property
    def packed(self) -> bool:
        """Whether it can only be read forward."""
        return self._packing is not None

    def read(self, size: int) -> bytes:
        """So many bytes, fewer only at the end of the file."""
        try:
            data = self._file.read(size)
            while len(data) < size and (more := self._file.read(size - len(data))):
                data += more
        except (OSError, pa.ArrowException) as error:
            raise self._broken(error) from None
        self.offset += len(data)
        return data

    def readline(self, most: int) -> bytes:
        """A line with its end, or the first `most` bytes of one; empty at the end of the file."""
        try:
            line = self._file.readline(most)
        except (OSError, pa.ArrowException) as error:
            raise self._broken(error) from None
        self.offset += len(line)
        return line

    def go_to(self, offset: int) -> None:
        """Go on at this place; one behind the end is noticed when it is read."""
        if offset == self.offset:
            return
        if not self.packed:
            try:
                self._file.seek(offset)
            except OSError as error:
                raise self._broken(error) from None
            self.offset = offset
            return
        if offset < self.offset:
            self.close()
            self._open()
            self.offset = 0
        while self.offset < offset and self.read(min(_PIECE, offset - self.offset)):
            pass

    def close(self) -> None:
        """Let the file go."""
        self._closing()

    def _open(self) -> None:
        file = opened(self.name)
        # A unit lives as long as its run and is never told of the end.
        self._closing = weakref.finalize(self, file.close)
        self._watched = Watched(file)
        self._file: BinaryIO | io.BufferedReader = file
        if self._packing is not None:
            self._file = io.BufferedReader(_Unpacked(self._watched, self._packing), _PIECE)

    def _broken(self, error: OSError | pa.ArrowException) -> ManifestError:
        trouble = self._watched.trouble if self.packed else error
        lines = str(getattr(trouble, "strerror", None) or trouble or error).splitlines()
        said = f"{self.name}: {lines[0] if lines else type(error).__name__}."
        return ManifestError(f"Cannot read {said}") if trouble else BadFileError(f"Cannot unpack {said}")


class _Unpacked(io.RawIOBase):
    def __init__(self, file: Watched, packing: str) -> None:
        self._stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), packing)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader gives no other buffer
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class Closable(Protocol):
    """What holds a file open."""

    def close(self) -> None:
        """Let it go."""
        ...


class Waiting(Generic[Kept]):
    """What one unit has read of a packed file, kept for its next shard; the one kept before, of any unit, is closed.

    Thousands of files would each hold a descriptor and a decompressor. One task scans, so nobody else looks.
    """

    _last: Waiting[Any] | None = None

    def __init__(self) -> None:
        self._kept: Kept | None = None

    def take(self) -> Kept | None:
        """What was kept, if it still is."""
        kept, self._kept = self._kept, None
        return kept

    def keep(self, kept: Kept) -> None:
        """Keep this, and let go of whatever was kept before."""
        if (last := Waiting._last) is not None and (before := last.take()) is not None:
            before.close()
        Waiting._last, self._kept = self, kept


class Source:
    """A file that is read again and again, each time from another place."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting = Waiting[Stream]()

    @contextmanager
    def stream(self) -> Iterator[Stream]:
        """The file, wherever the last reader left a packed one: go to a place before reading. Raises ManifestError."""
        stream = self._waiting.take() or Stream(self._name)
        kept = False
        try:
            yield stream
            if kept := stream.packed:
                self._waiting.keep(stream)
        finally:
            if not kept:
                stream.close()
