"""Runs whose answers are written down as cassettes, and runs that are answered from them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import structlog
from anyio.to_thread import run_sync

from pipeline import __version__
from pipeline.app import ask_server
from pipeline.compose import open_reader
from pipeline.config import Config
from pipeline.config_file import read_key
from pipeline.core.errors import ServerError
from pipeline.core.ports import Provider
from pipeline.providers.cassette import prune
from pipeline.providers.dialects import DIALECTS
from pipeline.providers.recording import Recording
from pipeline.providers.replaying import Missed, Replaying
from pipeline.storage.http import AiohttpTransport
from pipeline.storage.local import make_folder

log = structlog.get_logger()


def _versions() -> dict[str, str]:
    """Of what makes a request's bytes."""
    return {"vlm-batch": __version__, "pillow": version("pillow")}


class Recorder:
    """`opening` asks the server and keeps each answer in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._recording: Recording | None = None

    @asynccontextmanager
    async def opening(
        self, config: Config, transport: AiohttpTransport, died: Callable[[ServerError], None]
    ) -> AsyncIterator[Provider]:
        """For one run. Raises LedgerError, ServerError."""
        make_folder(self._folder)
        key, _ = read_key(config.provider, DIALECTS[config.provider.dialect].api_key_env)
        async with ask_server(config, transport, died) as server:
            self._recording = Recording(server, self._folder, _versions(), key)
            yield self._recording

    def check(self) -> None:
        """Once the run is over. Raises LedgerError: an answer could not, or must not, be written."""
        if self._recording is not None and self._recording.error is not None:
            raise self._recording.error

    def close(self, *, whole: bool) -> None:
        """If the run asked the `whole` set, cassettes that it did not ask for are deleted."""
        if self._recording is not None:
            gone = prune(self._folder, self._recording.used) if whole else []
            log.info("cassettes.recorded", asked=len(self._recording.used), deleted=[path.name for path in gone])


class Player:
    """`opening` answers from the cassettes in `folder`; nothing is sent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._replaying: Replaying | None = None

    @asynccontextmanager
    async def opening(
        self,
        config: Config,
        transport: AiohttpTransport,  # noqa: ARG002 - an Opening
        died: Callable[[ServerError], None],  # noqa: ARG002 - an Opening
    ) -> AsyncIterator[Provider]:
        """For one run. Raises ConfigError: the folder holds no cassettes, or files that are none."""
        self._replaying = await run_sync(Replaying, open_reader(config), self._folder, _versions())
        yield self._replaying

    @property
    def missed(self) -> Sequence[Missed]:
        """Requests that no cassette answered."""
        return self._replaying.missed if self._replaying is not None else ()
