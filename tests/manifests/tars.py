"""Tars for tests: made by Python's tarfile, or header by header where no decent writer would."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Entry = tuple[str | bytes, bytes]


def tar_bytes(entries: Iterable[Entry | tarfile.TarInfo], format: int = tarfile.PAX_FORMAT) -> bytes:  # noqa: A002 - tarfile's word
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=format) as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
                continue
            name, content = entry
            info = tarfile.TarInfo(name if isinstance(name, str) else name.decode("utf-8", "surrogateescape"))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return written.getvalue()


def write_tar(path: Path, *entries: Entry | tarfile.TarInfo, **options: Any) -> Path:
    path.write_bytes(tar_bytes(entries, **options))
    return path


def header(name: bytes, size: int, kind: bytes = b"0", number: bytes | None = None) -> bytes:
    """A header as it stands in the file; `number` is the size as written."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[124:136] = number if number is not None else b"%011o\0" % size
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)
