"""Pictures from object stores: the bytes behind s3, gs and az addresses. What it costs is bounded as on the web.

At most three attempts within `errand.DEADLINE_S` seconds, waits for memory not counted; at most `max_bytes` of memory,
asked for before the body is read. The client underneath repeats nothing.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator
from io import BytesIO
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import anyio
from anyio.to_thread import run_sync

from pipeline.core.errors import ItemError, ManifestError
from pipeline.storage.errand import ATTEMPTS, DEADLINE_S, FIRST_WAIT_S, Errand, PassingError, Reserve
from pipeline.storage.local import MAX_SOURCE_BYTES
from pipeline.storage.object_errors import failure
from pipeline.storage.object_names import ObjectAddress, read_object_url
from pipeline.storage.object_stores import open_store, store_of
from pipeline.storage.urls import named

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from obstore import GetResult

PIECE_BYTES: Final = 2**20


class Body(NamedTuple):
    """An object whose reading has begun; `size` in bytes."""

    size: int
    pieces: AsyncIterator[ReadableBuffer]


class ObjectSource(Protocol):
    """Where objects come from."""

    async def get(self, address: ObjectAddress) -> Body:
        """One attempt. Raises ItemError, a PassingError where another one makes sense; so does reading on."""
        ...


class Stores:
    """The object stores of this world."""

    async def get(self, address: ObjectAddress) -> Body:
        """One GET request."""
        import obstore

        try:
            store = open_store(address)
            if store is None:  # only the first needs a thread: a hop costs a third of fetching an object of 200 KB
                store = await run_sync(store_of, address)
        except ManifestError as error:  # the environment's fault: the same words for every row
            raise ItemError("forbidden", str(error)) from None
        try:
            result = await obstore.get_async(store, address.key)
        except Exception as error:  # noqa: BLE001 - obstore raises its own and built-in errors; `failure` knows them
            raise failure(error, address) from None
        return Body(result.meta["size"], _pieces(result, address))


async def _pieces(result: GetResult, address: ObjectAddress) -> AsyncIterator[ReadableBuffer]:
    try:
        if result.meta["size"] <= PIECE_BYTES:
            yield await result.bytes_async()  # half the work of a stream, and no more than the size is ever read
            return
        async for piece in result.stream(PIECE_BYTES):
            yield piece
    except Exception as error:  # noqa: BLE001 - as above
        raise failure(error, address) from None


class ObjectFetcher:
    """Fetches pictures, any number at once. `source` stands in for the stores."""

    def __init__(
        self,
        *,
        deadline_s: float = DEADLINE_S,
        max_bytes: int = MAX_SOURCE_BYTES,
        source: ObjectSource | None = None,
        random_source: random.Random | None = None,
    ) -> None:
        self._deadline_s = deadline_s
        self._max_bytes = max_bytes
        self._source = source or Stores()
        self._random = random_source or random.Random()  # noqa: S311 - spreads waits, guards nothing

    async def fetch(self, url: str, reserve: Reserve | None = None) -> bytes:
        """The object's bytes. `reserve` waits until so many bytes may be held.

        Raises ItemError: not_found, forbidden, fetch_timeout, fetch_failed, too_large.
        """
        try:
            address = read_object_url(url)
        except ValueError as error:
            raise ItemError("not_found", f"{named(url)} {error}") from None
        if not address.key or address.key.endswith("/"):
            raise ItemError("not_found", f"{named(url)} is a folder and no picture")
        with anyio.CancelScope(deadline=anyio.current_time() + self._deadline_s) as clock:
            return await self._repeated(address, Errand(clock, reserve))
        raise ItemError("fetch_timeout", f"{named(url)} did not come within {self._deadline_s:g} s, repeats included")

    async def _repeated(self, address: ObjectAddress, errand: Errand) -> bytes:
        for failed in itertools.count(1):
            try:
                return await self._tried(address, errand)
            except PassingError as error:
                wait_s = self._random.uniform(0, FIRST_WAIT_S * 2 ** (failed - 1))
                if failed == ATTEMPTS or anyio.current_time() + wait_s >= errand.clock.deadline:
                    raise ItemError(error.kind, error.message, error.status) from None
            await anyio.sleep(wait_s)
        raise AssertionError("counting ends above")

    async def _tried(self, address: ObjectAddress, errand: Errand) -> bytes:
        size, pieces = await self._source.get(address)
        shown = named(address.root + address.key)
        if size > self._max_bytes:
            raise ItemError(
                "too_large", f"{shown} has {size:,} bytes; the limit for a picture is {self._max_bytes:,}", 200
            )
        await errand.hold(size)
        body = BytesIO()  # gives its bytes away without a second copy
        async for piece in pieces:
            body.write(piece)
            if body.tell() > size:
                break
        if body.tell() != size:
            raise PassingError("fetch_failed", f"{shown} was to have {size:,} bytes, and did not")
        return body.getvalue()
