"""A bucket of any S3 server on loopback, for tests: what they put there, and the ways in which it is addressed."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import httpx

ACCESS_KEY_ID, SECRET_ACCESS_KEY = "test", "very-secret"

_numbers = itertools.count()


class S3Bucket:
    """A new bucket, and the environment that leads to it."""

    def __init__(self, endpoint: str) -> None:
        import obstore
        from obstore.store import S3Store

        self.endpoint = endpoint
        self.bucket = f"bucket-{next(_numbers)}"
        self.env: dict[str, str | None] = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PROFILE": None,
            "AWS_SHARED_CREDENTIALS_FILE": "/nowhere/credentials",
        }
        self._put, self._sign = obstore.put, obstore.sign
        options: Any = {"client_options": {"allow_http": True}, "endpoint": endpoint, "region": "us-east-1"}
        keys = {"access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY}
        self._store = S3Store(self.bucket, **options, **keys)
        httpx.put(self.signed("", method="PUT"), trust_env=False).raise_for_status()

    def put(self, key: str, content: bytes = b"picture") -> str:
        """Write an object; its address."""
        self._put(self._store, key, content)
        return self.url(key)

    def keys(self) -> list[str]:
        """Everything that lies in the bucket."""
        return [meta["path"] for page in self._store.list() for meta in page]

    def url(self, key: str = "") -> str:
        return f"s3://{self.bucket}/{key}"

    def signed(self, key: str, seconds: float = 600, method: Any = "GET") -> str:
        """An http address that whoever has it may use for so long. Other seconds give another signature."""
        return self._sign(self._store, method, key, timedelta(seconds=seconds))
