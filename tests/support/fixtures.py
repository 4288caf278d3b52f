"""The servers as pytest fixtures, for `tests/conftest.py` to take over: `from tests.support.fixtures import *`.

`llmock_server` takes the place of the fixture of that name that llmock's own plugin brings.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.fake_server import FakeServer
from tests.support.llama import Llama
from tests.support.llmock import LLMock

__all__ = ["fake_server", "llama_server", "llmock_server"]


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
