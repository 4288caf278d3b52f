"""Answers on their way from a server, written down as cassettes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import anyio
from anyio.to_thread import run_sync

from pipeline.core.errors import CallError, LedgerError
from pipeline.core.ports import Provider
from pipeline.core.types import Completion, Reply
from pipeline.providers.asked import asked, request_sha256
from pipeline.providers.cassette import Cassette, Recorded, as_text, name_of, recorded, replayed, written
from pipeline.providers.complaint import without_key
from pipeline.providers.wrapped import Wrapped
from pipeline.storage import local

SHORTEST: Final = 80
"""Characters of base64 that are too many; 60 bytes of a picture."""
_ENCODED = re.compile(r"[A-Za-z0-9+/=_-]{60,}(?:(?:\\r)?\\n[A-Za-z0-9+/=_-]+)*")
"""Also in lines, as JSON writes their ends."""
VARIETY: Final = 32
"""Different characters from which on such a run is data in base64: of 80 random ones about 46 differ. A ruled line, an
answer that ended in a loop, a number in hexadecimal digits and a long word have fewer."""


class Recording(Wrapped):
    """Asks `inner` and writes every answer of status 2xx that can be read into `folder`.

    `versions` are those of the software that makes the requests, by name; `secret` is the server's key. Equal requests
    have one file; a new answer takes the place of an old one.
    """

    def __init__(self, inner: Provider, folder: Path, versions: Mapping[str, str], secret: str | None) -> None:
        super().__init__(inner)
        self._folder = folder
        self._versions = dict(versions)
        self._secret = secret
        self._used: set[str] = set()
        self._writing = anyio.Lock()
        self.error: LedgerError | None = None
        """Why the first answer that is missing among the cassettes could not, or must not, be written."""

    @property
    def used(self) -> Collection[str]:
        """The hashes of all requests so far: what `prune` is to keep."""
        return frozenset(self._used)

    async def send(self, body: bytes, route: str | None = None) -> Reply:
        """One attempt. Raises CallError when no whole answer came.

        One that cannot or must not be written (it holds the key, or data in base64) is paid for and goes on its way.
        """
        self._used.add(request_sha256(body))
        reply = await self._inner.send(body, route)
        if 200 <= reply.status < 300:
            # One at a time: two equal requests write the same file.
            async with self._writing:
                try:
                    await run_sync(self._keep, body, reply)
                except LedgerError as error:
                    self.error = self.error or error
        return reply

    def _keep(self, body: bytes, reply: Reply) -> None:
        request, headers = asked(body), self._inner.notes(reply)
        path = self._folder / name_of(request.sha256)
        try:
            said = self._inner.read(reply.body, headers)
        except CallError:
            return  # a failure in a success's clothes: the next attempt may bring an answer
        kept = self._faithful(recorded(reply, headers, request.sha256), said) or as_text(reply, headers)
        content = written(Cassette(request=request, versions=self._versions, reply=kept))
        if what := secret_in(content, self._secret):
            raise LedgerError(
                f"The answer to the request {request.sha256[:12]} (model {request.model}) holds {what}, so it was not "
                f"recorded as {path}: cassettes are for git. Have the server answer without it, or run without "
                "recording."
            )
        local.replace(path, content, self._folder)

    def _faithful(self, kept: Recorded, said: Completion) -> Recorded | None:
        """What is kept, if it can be written and says again what the reply said, but for the answer's name."""
        try:
            again = replayed(kept)
            read = self._inner.read(again.body, self._inner.notes(again))
        except (CallError, TypeError):  # no longer whole; characters that UTF-8 does not have
            return None
        return kept if read == said else None


def secret_in(content: bytes, secret: str | None) -> str | None:
    """What must not get into a file fit for git and is in this one, in words; None when nothing is."""
    if without_key(content, secret) != content:
        return "the server's key"
    text = content.decode()
    if ";base64," in text or any(len(run) >= SHORTEST and len(set(run)) >= VARIETY for run in _ENCODED.findall(text)):
        return "data in base64"
    return None
