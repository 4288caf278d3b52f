"""Objects as files that are read in pieces, and listings of objects. Blocking; three attempts at every request."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, TypeVar

from pipeline.core.errors import ItemError, ManifestError
from pipeline.storage.errand import ATTEMPTS, FIRST_WAIT_S, PassingError
from pipeline.storage.object_errors import failure, manifest_error
from pipeline.storage.object_names import ObjectAddress, fixed_folder, glob_pattern, is_glob, read_object_url
from pipeline.storage.object_stores import store_of
from pipeline.storage.urls import named

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from obstore import GetOptions, ObjectMeta

BUFFER_BYTES: Final = 8 * 2**20
"""Read at once: a request costs about as long as so many bytes take to come."""
PAGE: Final = 1000
"""Objects in a page of a listing, the most that S3 gives."""

T = TypeVar("T")


class ListedObject(NamedTuple):
    """An object in a listing: its address, its size in bytes, and a text that changes with its content."""

    name: str
    size: int
    version: str


def object_stat(name: str) -> ListedObject:
    """What is known of an object without reading it. Raises ManifestError."""
    address = _address(name)
    try:
        return _listed(address, _patiently(lambda: _meta(address), address))
    except ItemError as error:
        raise manifest_error(error) from None


def open_object(name: str) -> BinaryIO:
    """The object, to be read from any place in it; a change of it meanwhile is an OSError. Raises ManifestError."""
    address = _address(name)
    try:
        meta = _patiently(lambda: _meta(address), address)
    except ItemError as error:
        raise manifest_error(error) from None
    return io.BufferedReader(_RangedObject(address, meta["size"], meta["e_tag"]), BUFFER_BYTES)


def list_objects(name: str) -> Iterator[ListedObject]:
    """All objects below a prefix (whole folders: `a/b` does not list `a/bc`), or those that a glob matches, by name.

    Left out: markers of folders (empty, without a suffix, such as _SUCCESS), and everything hidden (.x) or unfinished
    (_temporary) below the prefix. A request gives 1,000 objects and no more are held; a glob lists all that lies below
    the folder before its first wildcard. Raises ManifestError, also for names that no client can read.
    """
    address = _address(name)
    pattern = glob_pattern(address.key) if is_glob(address.key) else None
    folder = fixed_folder(address.key) if pattern else address.key.strip("/")
    before = ""
    for meta in _metas(address, folder):
        path = meta["path"]
        below = path[len(folder) :].strip("/")
        if _is_hidden(below) or _is_marker(meta) or (pattern and not pattern.fullmatch(path)):
            continue
        if path <= before:
            raise ManifestError(
                f"manifest.path: {name} is not listed in the order of names; this store cannot be used."
            )
        before = path
        yield _listed(address, meta)


def _metas(address: ObjectAddress, folder: str) -> Iterator[ObjectMeta]:
    """The objects of all pages; after a failure the listing goes on behind the last one that came."""
    import obstore

    store = store_of(address)
    last: str | None = None
    failed = 0
    stream = iter(obstore.list(store, folder or None, chunk_size=PAGE))
    while True:
        try:
            page = next(stream, None)
        except Exception as error:  # noqa: BLE001 - obstore raises its own and built-in errors; `failure` knows them
            if isinstance(error, ValueError) or type(error).__name__ == "InvalidPathError":
                raise ManifestError(
                    f"manifest.path: {named(address.root + folder)}: the name of an object there has an empty part "
                    "(//), which cannot be listed. Name a folder or a glob without it, or list the others in a file."
                ) from None
            failed += 1
            problem = failure(error, address._replace(key=f"{folder}/" if folder else ""))
            if failed == ATTEMPTS or not isinstance(problem, PassingError):
                raise manifest_error(problem) from None
            _wait(failed)
            stream = iter(obstore.list(store, folder or None, offset=last, chunk_size=PAGE))
            continue
        if page is None:
            return
        failed, last = 0, page[-1]["path"]
        yield from page


def _is_hidden(path: str) -> bool:
    return any(part.startswith((".", "_temporary")) for part in path.split("/"))


def _is_marker(meta: ObjectMeta) -> bool:
    return meta["size"] == 0 and "." not in meta["path"].rpartition("/")[2]


def _listed(address: ObjectAddress, meta: ObjectMeta) -> ListedObject:
    version = (meta["e_tag"] or "").strip('"') or meta["last_modified"].isoformat()
    return ListedObject(address.root + meta["path"], meta["size"], f"{meta['size']}-{version}")


def _meta(address: ObjectAddress) -> ObjectMeta:
    # A GET whose body is not read: the answer to HEAD does not say why it is refused.
    import obstore

    return obstore.get(store_of(address), address.key).meta


def _patiently(request: Callable[[], T], address: ObjectAddress) -> T:
    """Make a request until it is answered, three times at most. Raises ItemError; ManifestError for settings."""
    for failed in range(1, ATTEMPTS + 1):
        try:
            return request()
        except ManifestError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            problem = failure(error, address)
            if failed == ATTEMPTS or not isinstance(problem, PassingError):
                raise problem from None
        _wait(failed)
    raise AssertionError("the last attempt ends above")


def _wait(failed: int) -> None:
    time.sleep(random.uniform(0, FIRST_WAIT_S * 2 ** (failed - 1)))  # noqa: S311 - spreads waits, guards nothing


class _RangedObject(io.RawIOBase):
    """An object read by ranges; every range is of the version that was there when it was opened."""

    def __init__(self, address: ObjectAddress, size: int, e_tag: str | None) -> None:
        self._address = address
        self._size = size
        self._e_tag = e_tag
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; behind the end there is nothing to read."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """One range, as long as the buffer. Raises OSError."""
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._size - self._at)
        if wanted <= 0:
            return 0
        try:
            data = _patiently(lambda: self._range(self._at, self._at + wanted), self._address)
        except ItemError as error:
            raise OSError(error.message) from None
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _range(self, start: int, end: int) -> bytes:
        import obstore

        options: GetOptions = {"range": (start, end)}
        if self._e_tag is not None:  # not every store gives one
            options["if_match"] = self._e_tag
        result = obstore.get(store_of(self._address), self._address.key, options=options)
        data = bytes(result.bytes())
        if len(data) != end - start:
            raise ConnectionError("a range came incomplete")  # `failure` takes it for a broken connection
        return data


def _address(name: str) -> ObjectAddress:
    try:
        return read_object_url(name)
    except ValueError as error:
        raise ManifestError(f"manifest.path: {named(name)} {error}.") from None
