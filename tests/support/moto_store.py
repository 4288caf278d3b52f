"""An S3 server on loopback for tests: moto in threads of this process, one for a session. A test has its own bucket."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from urllib.parse import quote

import httpx

from tests.support.s3_bucket import S3Bucket

SIGNED = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x"
"""Enough for moto, which tells by it that S3 is meant."""


class MotoStore(S3Bucket):
    """A bucket of moto's."""

    def put_raw(self, key: str, content: bytes = b"picture") -> str:
        """Write an object under a name that obstore itself does not write; its address."""
        address = f"{self.endpoint}/{self.bucket}/{quote(key, safe='/')}"
        httpx.put(address, content=content, headers={"authorization": SIGNED}, trust_env=False).raise_for_status()
        return self.url(key)


def moto_endpoint() -> Iterator[str]:
    """The address of a running server."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
