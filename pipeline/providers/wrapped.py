"""A provider around another, for what comes between a question and its server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from pipeline.core.ports import Provider
from pipeline.core.types import Completion, Prompt, Repair, Reply, Usage


class Wrapped(ABC):
    """The port Provider; everything but sending is as `inner` does it."""

    def __init__(self, inner: Provider) -> None:
        self._inner = inner

    @abstractmethod
    async def send(self, body: bytes, route: str | None = None) -> Reply:
        """One attempt. Raises CallError when no whole answer came."""

    def render(self, prompt: Prompt, repair: Repair | None = None) -> bytes:
        """The request body. Raises ItemError."""
        return self._inner.render(prompt, repair)

    def notes(self, reply: Reply) -> Mapping[str, str]:
        """The headers that `read` needs beside the body."""
        return self._inner.notes(reply)

    def refusal(self, reply: Reply) -> Exception:
        """What a reply other than 2xx means."""
        return self._inner.refusal(reply)

    def read(self, body: bytes, notes: Mapping[str, str]) -> Completion:
        """The completion in a 2xx body. Raises CallError when there is none."""
        return self._inner.read(body, notes)

    def request_id(self, reply: Reply) -> str | None:
        """The server's name for this answer."""
        return self._inner.request_id(reply)

    def cost(self, model: str, usage: Usage) -> float | None:
        """USD for one answer, None when it has no known price."""
        return self._inner.cost(model, usage)
