"""Keeping requests together that share a beginning, so that they meet the cache that has it.

Said with the sending and never in the question: the same question is the same bytes whatever way it takes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from pipeline.providers.dialect import Dialect
from pipeline.providers.wire import quoted

_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,64}")


def routed(dialect: Dialect, body: bytes, route: str | None) -> tuple[bytes, Mapping[str, str]]:
    """The body as it is sent on a route, and further headers; as it is where the server knows no routes.

    What is no plain word of at most 64 characters (OpenAI's longest key) is shown by its hash.
    """
    if route is None:
        return body, {}
    key = route if _PLAIN.fullmatch(route) else hashlib.sha256(route.encode("utf-8", "surrogatepass")).hexdigest()
    if (field := dialect.affinity.field) is not None:
        body = body[:-1] + b"," + quoted(field) + b":" + quoted(key) + b"}"
    header = dialect.affinity.header
    return body, {} if header is None else {header: key}
