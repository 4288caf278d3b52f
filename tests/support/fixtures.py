"""The servers as pytest fixtures, for `tests/conftest.py` to take over: `from tests.support.fixtures import *`.

`llmock_server` takes the place of the fixture of that name that llmock's own plugin brings.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.ceph import Ceph, missing_packages
from tests.support.fake_server import FakeServer
from tests.support.llama import Llama
from tests.support.llmock import LLMock
from tests.support.moto_store import MotoStore, moto_endpoint

__all__ = ["bucket", "ceph_endpoint", "fake_server", "llama_server", "llmock_server", "s3_endpoint"]


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 server (moto) that lasts for the session."""
    yield from moto_endpoint()


@pytest.fixture(scope="session")
def ceph_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Ceph's S3 gateway that lasts for the session; for tests marked `ceph`, which are asked for."""
    if missing := missing_packages():
        pytest.fail(f"this machine has no Ceph: apt-get install {' '.join(missing)}", pytrace=False)
    with Ceph(tmp_path_factory.mktemp("ceph")) as ceph:
        yield ceph.endpoint


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> MotoStore:
    """A new bucket, and an environment that leads to it."""
    store = MotoStore(s3_endpoint)
    for name, value in store.env.items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    return store


@pytest.fixture
def fake_server() -> Iterator[FakeServer]:
    """A fake server in a thread with the default script; set `fake_server.script` to any other."""
    with FakeServer() as server:
        yield server


@pytest.fixture(scope="session")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base_url of a llama.cpp server that lasts for the session."""
    with Llama(tmp_path_factory.mktemp("tiny-model")) as server:
        yield server.base_url


@pytest.fixture
def llmock_server() -> Iterator[Callable[..., LLMock]]:
    """A function that starts an llmock with the given limits: `llmock_server(rpm=60)`; all end with the test."""
    with ExitStack() as running:
        yield lambda **limits: running.enter_context(LLMock(**limits))
