"""The members of a tar, read header by header: nothing is ever unpacked to the disk, and nothing is skipped unsaid.

The formats are ustar and pax (POSIX.1-2017, utility pax, "ustar Interchange Format" and "pax Interchange Format") with
GNU's long names, sizes in base 256 and sparse files (GNU tar 1.35 manual, "Basic Tar Format"), as of 2026-11. Python's
tarfile ends without a word at a broken header, and reads a pax header of any size into memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pipeline.manifests.streams import Stream
from pipeline.manifests.unit import BadFileError

BLOCK = 512
LONGEST_EXTENSION = 2**20
"""Bytes of a long name or a pax header; more is no name."""

_NOTHING = bytes(BLOCK)
_FILES = frozenset((b"\0", b"0", b"7"))
_LINKS = {b"1": "a link", b"2": "a link", b"3": "a device", b"4": "a device", b"6": "a pipe", b"S": "a sparse file"}
_MOST = 2**62


class Member(NamedTuple):
    """A file in a tar, or something that is named like one: `what` then says what it is instead.

    `start` is where its first header begins, `offset` where its content does, both in the unpacked tar.
    """

    name: bytes
    start: int
    offset: int
    size: int
    what: str = ""

    @property
    def end(self) -> int:
        """Where the next header begins."""
        return self.offset + -(-self.size // BLOCK) * BLOCK


def members(stream: Stream, start: int, length: int | None) -> Iterator[Member]:
    """Files, links and devices from the header at `start` on; folders and volume labels are left out.

    The reader of a member may read its content before it asks for the next. `length` is the file's where it is known.
    An archive that was appended to another is read on with, as by `tar -i`. Raises BadFileError for what is no tar.
    """
    reader = _Headers(stream, length)
    at = start
    while (found := reader.member(at)) is not None:
        member, folder = found
        if not folder:
            yield member
        at = member.end
    if start == 0 and not stream.offset:
        raise BadFileError(f"{stream.name} is empty, which is no tar.")


class _Extended:
    """What extension headers say of the member behind them."""

    def __init__(self) -> None:
        self.name: bytes | None = None
        self.size: int | None = None
        self.sparse = False


class _Headers:
    def __init__(self, stream: Stream, length: int | None) -> None:
        self._stream = stream
        self._length = length

    def member(self, at: int) -> tuple[Member, bool] | None:
        """The next member at or behind this place, and whether it is a folder; None at the end."""
        start, extended = -1, _Extended()
        while True:
            block = self._block(at)
            if not block:
                if start >= 0:
                    raise self._error(start, "a name without a file")
                return None
            if block == _NOTHING:
                at += BLOCK
                continue
            start = at if start < 0 else start
            kind, size = block[156:157], self._checked(block, at)
            if kind in b"xgXLK":
                content = self._extension(at, size)
                self._extend(extended, kind, content, at)
                at += BLOCK + -(-size // BLOCK) * BLOCK
                continue
            return self._finished(block, kind, size, at, start, extended)

    def _finished(
        self, block: bytes, kind: bytes, size: int, at: int, start: int, extended: _Extended
    ) -> tuple[Member, bool]:
        name = extended.name if extended.name is not None else _name(block)
        folder = kind == b"5" or (kind in (b"\0", b"0") and name.endswith(b"/"))
        what = _LINKS.get(kind, "" if kind in _FILES or folder else "of an unknown kind")
        if extended.sparse:
            what = "a sparse file"
        if extended.size is not None:
            size = extended.size
        if kind in b"123456":
            size = 0  # some writers give a link the size of what it leads to, yet no content follows
        offset = at + BLOCK
        if kind == b"S":
            offset = self._behind_sparse(block, offset)
        member = Member(name, start, offset, size, what)
        if self._length is not None and offset + size > self._length:
            raise self._cut(name, size, self._length - offset)
        return member, folder or kind in (b"V", b"M", b"N")

    def _block(self, at: int) -> bytes:
        self._stream.go_to(at)
        if self._stream.offset != at:  # a packed tar that ends before
            raise self._error(at, f"the end of the file at {self._stream.offset}, inside a member: it is cut off")
        block = self._stream.read(BLOCK)
        if block and len(block) < BLOCK:
            raise self._error(at, "the end of the file: it is cut off")
        return block

    def _checked(self, block: bytes, at: int) -> int:
        """The size that a header gives, once its sum was found right."""
        try:
            wanted = _number(block[148:156])
            size = _number(block[124:136])
        except ValueError:
            raise self._error(at, "no tar header") from None
        if wanted != sum(block) - sum(block[148:156]) + 8 * 32:
            raise self._error(at, "no tar header, or a damaged one (its checksum is wrong)")
        if not 0 <= size < _MOST:
            raise self._error(at, "a header with an impossible size")
        return size

    def _extension(self, at: int, size: int) -> bytes:
        if size > LONGEST_EXTENSION:
            raise self._error(at, f"a name or pax header of {size:,} bytes; at most {LONGEST_EXTENSION:,} are read")
        content = self._stream.read(size)
        if len(content) < size:
            raise self._error(at, "the end of the file: it is cut off")
        return content

    def _extend(self, extended: _Extended, kind: bytes, content: bytes, at: int) -> None:
        if kind == b"L":
            extended.name = content.partition(b"\0")[0]
        elif kind in b"xX":  # a global header (g) names no single member
            for name, value in self._records(content, at):
                if name == b"path":
                    extended.name = value
                elif name == b"size":
                    if not value.isdigit() or len(value) > 18:
                        raise self._error(at, "a pax header with an impossible size")
                    extended.size = int(value)
                elif name.startswith(b"GNU.sparse."):
                    extended.sparse = True

    def _records(self, content: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
        """A pax header's records, each `<length> <name>=<value>\\n`."""
        place = 0
        while place < len(content):
            digits, space, _ = content[place : place + 20].partition(b" ")
            end = place + int(digits) if space and digits.isdigit() else 0
            name, equals, value = content[place + len(digits) + 1 : end].partition(b"=")
            if end > len(content) or not equals or not value.endswith(b"\n"):
                raise self._error(at, "a damaged pax header")
            yield name, value[:-1]
            place = end

    def _behind_sparse(self, block: bytes, offset: int) -> int:
        """Where the content begins behind an old GNU sparse file's map, which may go on in further blocks."""
        more = block[482]
        while more:
            more = self._block(offset)[504:505] == b"\1"
            offset += BLOCK
        return offset

    def _cut(self, name: bytes, size: int, left: int) -> BadFileError:
        shown = name[:200].decode("utf-8", "backslashreplace")
        return BadFileError(
            f"Cannot read {self._stream.name}: {shown!r} claims {size:,} bytes where {max(left, 0):,} are left: the "
            "tar is cut off or damaged."
        )

    def _error(self, at: int, what: str) -> BadFileError:
        return BadFileError(f"Cannot read {self._stream.name}: at byte {at:,} stands {what}.")


def _name(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _number(field: bytes) -> int:
    """Octal digits, or GNU's base 256 behind a first byte of 0x80 or 0xff (negative)."""
    if field[0] in (0x80, 0xFF):
        return int.from_bytes(field[1:], "big") - (256 ** (len(field) - 1) if field[0] == 0xFF else 0)
    digits = field.partition(b"\0")[0].strip()
    if not digits.isdigit():
        if digits:
            raise ValueError
        return 0
    return int(digits, 8)
