"""An S3 server on loopback for tests: moto in threads of this process, one for a session. A test has its own bucket."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx

SIGNED = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x"
"""Enough for moto, which tells by it that S3 is meant."""

_numbers = itertools.count()


class MotoStore:
    """A bucket, the environment that leads to it, and how many requests the server saw."""

    def __init__(self, endpoint: str) -> None:
        import obstore
        from obstore.store import S3Store

        self.endpoint = endpoint
        self.bucket = f"bucket-{next(_numbers)}"
        self.env: dict[str, str | None] = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "very-secret",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PROFILE": None,
            "AWS_SHARED_CREDENTIALS_FILE": "/nowhere/credentials",
        }
        self._put = obstore.put
        options: Any = {"client_options": {"allow_http": True}, "endpoint": endpoint, "region": "us-east-1"}
        keys = {"access_key_id": "test", "secret_access_key": "very-secret"}
        self._store = S3Store(self.bucket, **options, **keys)
        httpx.put(f"{endpoint}/{self.bucket}", headers={"authorization": SIGNED}, trust_env=False).raise_for_status()

    def put(self, key: str, content: bytes = b"picture") -> str:
        """Write an object; its address."""
        self._put(self._store, key, content)
        return self.url(key)

    def put_raw(self, key: str, content: bytes = b"picture") -> str:
        """Write an object under a name that obstore itself does not write; its address."""
        address = f"{self.endpoint}/{self.bucket}/{quote(key, safe='/')}"
        httpx.put(address, content=content, headers={"authorization": SIGNED}, trust_env=False).raise_for_status()
        return self.url(key)

    def keys(self) -> list[str]:
        """Everything that lies in the bucket."""
        return [meta["path"] for page in self._store.list() for meta in page]

    def url(self, key: str = "") -> str:
        return f"s3://{self.bucket}/{key}"


def moto_endpoint() -> Iterator[str]:
    """The address of a running server."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
