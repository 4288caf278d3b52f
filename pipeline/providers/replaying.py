"""Answers from cassettes instead of a server, and what has changed where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipeline.core.errors import CallError
from pipeline.core.ports import Provider
from pipeline.core.types import Reply
from pipeline.providers.asked import Asked, Text, asked, request_sha256
from pipeline.providers.cassette import Cassette, name_of, read_folder, replayed
from pipeline.providers.wrapped import Wrapped


class Change(NamedTuple):
    """One thing that differs: `what` is model, prompt, sampling, image preparation, library versions or layout."""

    what: str
    how: str


@dataclass(frozen=True, slots=True)
class Missed:
    """A request without a cassette; `changes` against the `nearest` one, both empty when nothing like it is there."""

    request_sha256: str
    nearest: str
    changes: tuple[Change, ...]

    @property
    def message(self) -> str:
        """What it means for a person. No two requests have the same."""
        request = f"no cassette answers the request {self.request_sha256[:12]}"
        if not self.changes:
            return f"{request}: nothing like it was recorded; record again if it is meant"
        changed = "; ".join(f"{what} ({how})" for what, how in self.changes)
        return f"{request}: since {self.nearest} this has changed: {changed}; record again if that is meant"


class Replaying(Wrapped):
    """Answers from the cassettes in `folder`; nothing is sent.

    `inner` makes requests and reads answers; it needs neither a key nor a way to a server. `versions` are those of the
    software that makes the requests, by name. Blocking: reads the folder. Raises ConfigError when it holds none, or a
    file that is no cassette.
    """

    def __init__(self, inner: Provider, folder: Path, versions: Mapping[str, str]) -> None:
        super().__init__(inner)
        self._versions = versions
        self._cassettes = read_folder(folder)
        self._missed: dict[str, Missed] = {}

    @property
    def missed(self) -> Sequence[Missed]:
        """The requests that no cassette answered, in the order in which they came, each once."""
        return tuple(self._missed.values())

    async def send(self, body: bytes, route: str | None = None) -> Reply:  # noqa: ARG002 - there is one way only
        """The recorded reply. Raises CallError bad_request when there is none, with what has changed."""
        sha256 = request_sha256(body)
        if (cassette := self._cassettes.get(sha256)) is not None:
            return replayed(cassette.reply)
        if sha256 not in self._missed:
            self._missed[sha256] = self._compared(asked(body))
        raise CallError("bad_request", self._missed[sha256].message)

    def _compared(self, now: Asked) -> Missed:
        """Against the cassette that shares a text or a picture and differs in the fewest things."""
        parts = set(_parts(now))
        like = [
            (*_distance(cassette.request, now), -shared, sha256)
            for sha256, cassette in self._cassettes.items()
            if (shared := len(parts.intersection(_parts(cassette.request))))
        ]
        if not like:
            return Missed(now.sha256, "", ())
        nearest = self._cassettes[min(like)[-1]]
        return Missed(now.sha256, name_of(nearest.request.sha256), _changes(nearest, now, self._versions))


def _parts(request: Asked) -> list[str | None]:
    """What tells its texts and pictures from others."""
    return [text.sha256 for text in request.texts] + [one.sha256 or one.address for one in request.pictures]


def _distance(was: Asked, now: Asked) -> tuple[int, int]:
    """In how many things two requests differ, and in how many members of their sampling."""
    things = (
        was.model != now.model,
        was.texts != now.texts,
        was.sampling != now.sampling,
        was.pictures != now.pictures,
    )
    return sum(things), len(was.sampling.items() ^ now.sampling.items())


def _changes(cassette: Cassette, now: Asked, versions: Mapping[str, str]) -> tuple[Change, ...]:
    was = cassette.request
    changes = []
    if was.model != now.model:
        changes.append(Change("model", f"was {was.model}, is {now.model}"))
    if was.texts != now.texts:
        changes.append(Change("prompt", _of_texts(was.texts, now.texts)))
    if was.sampling != now.sampling:
        changes.append(Change("sampling", _of_values(was.sampling, now.sampling)))
    if was.pictures != now.pictures:
        changes.append(Change("image preparation", "the picture was not recorded with these bytes, or it is new"))
    if not changes:
        changes.append(Change("layout", "the same parts stand in another order or form"))
    if changes[-1].what in {"image preparation", "layout"} and cassette.versions != versions:
        changes.append(Change("library versions", _of_values(cassette.versions, versions)))
    return tuple(changes)


def _of_texts(was: Sequence[Text], now: Sequence[Text]) -> str:
    """The first text that is gone and the first that is new, by how they begin."""
    gone = next((text.begins for text in was if text not in now), None)
    new = next((text.begins for text in now if text not in was), None)
    if gone is None and new is None:
        return "the same texts stand in another order"
    if gone == new:
        return f"the text that begins “{new}” goes on differently"
    parts = [] if gone is None else [f"was “{gone}”"]
    return ", ".join([*parts, *([] if new is None else [f"is “{new}”"])])


def _of_values(was: Mapping[str, object], now: Mapping[str, object]) -> str:
    """Every value that differs, by name."""
    absent = "not there"
    names = sorted(name for name in {*was, *now} if was.get(name, absent) != now.get(name, absent))
    return ", ".join(f"{name} was {was.get(name, absent)}, is {now.get(name, absent)}" for name in names)
