"""Every error of the foreign HTTP library has a meaning of ours: sent or not sent, and so billed or not."""

from __future__ import annotations

import aiohttp
import httpx
import pytest

from pipeline.storage.http import translated

pytestmark = pytest.mark.anyio

MAPPED = {
    "ClientError": httpx.ReadError,
    "ClientConnectionError": httpx.ReadError,
    "ClientConnectionResetError": httpx.WriteError,
    "ClientOSError": httpx.ReadError,
    "ClientConnectorError": httpx.ConnectError,
    "ClientConnectorDNSError": httpx.ConnectError,
    "ClientProxyConnectionError": httpx.ConnectError,
    "UnixClientConnectorError": httpx.ConnectError,
    "ClientSSLError": httpx.ConnectError,
    "ClientConnectorSSLError": httpx.ConnectError,
    "ClientConnectorCertificateError": httpx.ConnectError,
    "ConnectionTimeoutError": httpx.ConnectTimeout,
    "ServerFingerprintMismatch": httpx.ConnectError,
    "InvalidURL": httpx.UnsupportedProtocol,
    "InvalidUrlClientError": httpx.UnsupportedProtocol,
    "NonHttpUrlClientError": httpx.UnsupportedProtocol,
    "InvalidUrlRedirectClientError": httpx.UnsupportedProtocol,  # never: redirects are not followed
    "NonHttpUrlRedirectClientError": httpx.UnsupportedProtocol,  # never, likewise
    "RedirectClientError": httpx.ReadError,
    "UploadAbortedError": httpx.WriteError,
    "ServerConnectionError": httpx.ReadError,
    "ServerDisconnectedError": httpx.RemoteProtocolError,
    "ServerTimeoutError": httpx.ReadTimeout,
    "SocketTimeoutError": httpx.ReadTimeout,
    "ClientPayloadError": httpx.ReadError,
    "ClientResponseError": httpx.RemoteProtocolError,
    "ContentTypeError": httpx.RemoteProtocolError,
    "WSServerHandshakeError": httpx.RemoteProtocolError,
    "ClientHttpProxyError": httpx.RemoteProtocolError,
    "TooManyRedirects": httpx.RemoteProtocolError,
}
"""What each of aiohttp's client errors becomes. A class that is not here has not been thought about."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def subclasses(kind: type[BaseException]) -> set[type[BaseException]]:
    found = {kind}
    for child in kind.__subclasses__():
        found |= subclasses(child)
    return found


async def test_every_client_error_of_aiohttp_has_a_meaning() -> None:
    request = httpx.Request("POST", "http://somewhere/")
    kinds = [kind for kind in subclasses(aiohttp.ClientError) if kind.__module__.startswith("aiohttp.")]
    assert {kind.__name__ for kind in kinds} == MAPPED.keys() & {kind.__name__ for kind in kinds}
    assert len(kinds) >= 29
    for kind in kinds:
        bare = type("Bare", (kind,), {"__init__": lambda _: None, "__str__": lambda _: "what happened"})
        assert type(translated(bare(), request)) is MAPPED[kind.__name__], kind


async def test_plain_time_outs_are_read_time_outs_that_name_the_host() -> None:
    error = translated(TimeoutError(), httpx.Request("POST", "http://somewhere/"))
    assert type(error) is httpx.ReadTimeout
    assert "somewhere" in str(error)
