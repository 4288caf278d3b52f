"""Grouping more records than memory holds: spread over files by a hash, then read back one file at a time.

Equal digests always meet in the same bucket, so that whatever is to be compared by key can be compared bucket by
bucket. Memory: the write buffers (4 MiB in all) and what is read at once: a 256th of the records as they lie on the
disk, and of more than 4 MiB a 16th as objects, which are ten times as large.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.storage.local import make_folder, write_error

BUCKETS = 256
_BUFFER_BYTES = 16 * 1024
DIGEST_BYTES = 16
_WHOLE_BYTES = 4 * 2**20
_PARTS = 16


def digest_of(text: str) -> bytes:
    """128 bits that stand for a key: two of a billion keys collide with a probability of 10^-21."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()


class Buckets:
    """Records of a digest and some numbers, grouped on the disk. Leaving the `with` deletes the files.

    `payload` is the `struct` format of the numbers, without byte order, for example `"BIQ"`. Files are named
    `<name>-<bucket>` in `folder`, which is made. Raises LedgerError when the disk cannot hold them.
    """

    def __init__(self, folder: Path, name: str, payload: str) -> None:
        make_folder(folder)
        self._record = struct.Struct(f"<{DIGEST_BYTES}s{payload}")
        self._paths = [folder / f"{name}-{number:03}" for number in range(BUCKETS)]
        self._buffers = [bytearray() for _ in range(BUCKETS)]

    def __enter__(self) -> Self:
        self._delete()  # a killed process may have left some
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._delete()

    def add(self, digest: bytes, *numbers: float) -> None:
        """Keep one record."""
        buffer = self._buffers[digest[0]]
        buffer += self._record.pack(digest, *numbers)
        if len(buffer) >= _BUFFER_BYTES:
            self._flush(digest[0])

    def __iter__(self) -> Iterator[list[tuple[Any, ...]]]:
        """All records in groups, digest first, in which every digest has all of its records, as they were added.

        The digests of a group are smaller than those of the next.
        """
        size = self._record.size
        for number in range(BUCKETS):
            data = self._bytes(number)
            if len(data) <= _WHOLE_BYTES:
                yield list(self._record.iter_unpack(data))
                continue
            parts = [bytearray() for _ in range(_PARTS)]
            for at in range(0, len(data), size):
                parts[data[at + 1] * _PARTS // 256] += data[at : at + size]
            del data
            for part in parts:
                yield list(self._record.iter_unpack(part))

    def read(self, number: int) -> list[tuple[Any, ...]]:
        """The records of the bucket that holds the digests with this first byte."""
        return list(self._record.iter_unpack(self._bytes(number)))

    def _bytes(self, number: int) -> bytes:
        path = self._paths[number]
        return (path.read_bytes() if path.exists() else b"") + self._buffers[number]

    def _flush(self, number: int) -> None:
        path = self._paths[number]
        try:
            with path.open("ab") as file:
                file.write(self._buffers[number])
        except OSError as error:
            raise write_error(error, path) from None
        self._buffers[number].clear()

    def _delete(self) -> None:
        for path in self._paths:
            path.unlink(missing_ok=True)
