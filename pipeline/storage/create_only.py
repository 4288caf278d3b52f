"""Whether a bucket can be trusted to keep what it has: outputs there need puts that never overwrite.

S3 honours `If-None-Match: *` since 2024; compatible stores may ignore it, and then two writers overwrite each other
without a word (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).
"""

from __future__ import annotations

import secrets

from pipeline.core.errors import LedgerError
from pipeline.storage.object_errors import failure
from pipeline.storage.object_names import read_object_url
from pipeline.storage.object_stores import store_of


def creates_only(folder: str) -> bool:
    """Whether a second create-only put of a name below this address is refused. Writes a few bytes and removes them.

    Blocking. Raises LedgerError when nothing can be written there, ValueError for an address without a bucket.
    """
    import obstore
    from obstore.exceptions import AlreadyExistsError

    address = read_object_url(folder)
    address = address._replace(key=f"{address.key.rstrip('/')}/.create-only-{secrets.token_hex(8)}".lstrip("/"))
    store = store_of(address)
    try:
        obstore.put(store, address.key, b"1", mode="create")
        try:
            obstore.put(store, address.key, b"2", mode="create")
        except AlreadyExistsError:
            return True
        finally:
            obstore.delete(store, address.key)
    except Exception as error:  # noqa: BLE001 - obstore raises its own and built-in errors; `failure` knows them
        raise LedgerError(f"Cannot write to {folder}: {failure(error, address).message}.") from None
    return False
