"""An S3 server on loopback for tests: moto in threads of this process, one for a session. A test has its own bucket."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from tests.support.s3_bucket import S3Bucket


class MotoStore(S3Bucket):
    """A bucket of moto's."""


def moto_endpoint() -> Iterator[str]:
    """The address of a running server."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
