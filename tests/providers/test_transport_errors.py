"""Every way in which the transport can fail, walked through: what it is called, and whether it may have been billed."""

from __future__ import annotations

import aiohttp
import httpx
import pytest

from pipeline.core.errors import KINDS, CallError
from pipeline.storage.http import ERRORS, translated
from tests.providers.examples import provider

BILLED = {
    "CloseError": True,
    "ConnectError": False,
    "ConnectTimeout": False,
    "DecodingError": True,
    "LocalProtocolError": True,
    "NetworkError": True,
    "PoolTimeout": False,
    "ProtocolError": True,
    "ProxyError": True,
    "ReadError": True,
    "ReadTimeout": True,
    "RemoteProtocolError": True,
    "RequestError": True,
    "TimeoutException": True,
    "TooManyRedirects": True,
    "TransportError": True,
    "UnsupportedProtocol": False,
    "WriteError": True,
    "WriteTimeout": True,
}


def below(kind: type) -> set[type]:
    return {kind}.union(*(below(child) for child in kind.__subclasses__()))


def ours(module: str, kind: type) -> list[type]:
    return sorted((one for one in below(kind) if one.__module__.startswith(module)), key=lambda one: one.__name__)


async def outcome(error: Exception) -> CallError:
    class Failing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise error

    with pytest.raises(CallError) as caught:
        await provider(transport=Failing()).send(b"{}")
    return caught.value


def test_nothing_of_httpx_is_missing_from_the_walk() -> None:
    assert {kind.__name__ for kind in ours("httpx", httpx.RequestError)} == BILLED.keys()


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ours("httpx", httpx.RequestError))
async def test_every_error_of_httpx(kind: type[httpx.RequestError]) -> None:
    found = await outcome(kind("failed"))
    assert found.reached == BILLED[kind.__name__]
    assert found.kind == ("timeout" if issubclass(kind, httpx.TimeoutException) else "connection")
    assert KINDS[found.kind].retryable


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [*ours("aiohttp", aiohttp.ClientError), TimeoutError])
async def test_every_error_of_aiohttp_becomes_one_of_httpx_and_then_ours(kind: type[Exception]) -> None:
    error = kind.__new__(kind)  # their constructors want parts of a connection
    translation = next(to for theirs, to in ERRORS if issubclass(kind, theirs))
    bare = translation("failed", request=httpx.Request("POST", "http://h"))
    assert isinstance(error, aiohttp.ClientError | TimeoutError)
    assert (await outcome(bare)).reached == BILLED[translation.__name__]


@pytest.mark.anyio
async def test_what_nobody_expected_may_have_been_billed() -> None:
    class StrangeError(aiohttp.ClientError):
        pass

    found = translated(StrangeError("odd"), httpx.Request("POST", "http://h"))
    assert (await outcome(found)).reached
    assert isinstance(found, httpx.ReadError)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
