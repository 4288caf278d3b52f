"""From manifest rows to their questions: fetch once, prepare once per contract, render each task's request."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.core.errors import ItemError
from pipeline.core.ports import Budget, Fetcher, Hold, Ledger, Pacer, Preparer, Provider, Source, Task
from pipeline.core.types import Facts, ImageContract, ManifestRow, Outcome, PreparedImage, Prompt, RowId
from pipeline.engine.followers import Followers


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything the flow is plugged into."""

    source: Source
    fetcher: Fetcher
    preparer: Preparer
    tasks: Mapping[str, Task]
    provider: Provider
    pacer: Pacer
    budget: Budget
    ledger: Ledger


Wanted = tuple[ManifestRow, tuple[str, ...]]
"""A row and the tasks still to be asked of it."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A row's picture, or why there is none to prepare. Preparing it holds `weight` bytes at its peak, source apart."""

    row: ManifestRow
    tasks: tuple[str, ...]
    source: bytes = b""
    sha256: str | None = None
    weight: int = 0
    error: ItemError | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One task asked of one prepared picture. `weight` bytes of `hold` are given back when the call is over."""

    row: RowId
    facts: Facts
    prompt: Prompt
    body: bytes
    hold: Hold
    weight: int


@dataclass(frozen=True, slots=True)
class Unasked:
    """One task of a row that failed before it could be asked."""

    row: RowId
    facts: Facts
    error: ItemError


@dataclass(frozen=True, slots=True)
class Shared:
    """A row whose question was answered before, for another row: `leader` is that row's outcome."""

    row: RowId
    facts: Facts
    leader: Outcome


class Questions:
    """Makes the questions of a row. `keep` names the columns that go into the output."""

    def __init__(self, parts: Parts, followers: Followers, keep: tuple[str, ...]) -> None:
        self._parts = parts
        self._followers = followers
        self._keep = keep

    def fetch(self, chunk: Sequence[Wanted]) -> list[Fetched]:
        """The pictures of these rows, looked at but not decoded. Blocking; runs in a thread."""
        return [self._fetch(row, tasks) for row, tasks in chunk]

    def _fetch(self, row: ManifestRow, tasks: tuple[str, ...]) -> Fetched:
        sha256: str | None = None
        try:
            if row.problem is not None:
                raise row.problem
            source = self._parts.fetcher.fetch(row)
            sha256 = hashlib.sha256(source).hexdigest()
            contracts = {self._parts.tasks[name].contract for name in tasks}
            weight = max(self._parts.preparer.weigh(source, contract) for contract in contracts)
        except ItemError as error:
            return Fetched(row, tasks, sha256=sha256, error=error)
        return Fetched(row, tasks, source, sha256, weight)

    def make(self, chunk: Sequence[Fetched], hold: Hold) -> list[Question | Unasked | Shared]:
        """What is to be done about these rows; nothing where an equal question is being asked already.

        Blocking; runs in a thread.
        """
        return [made for fetched in chunk for made in self._make(fetched, hold)]

    def _make(self, fetched: Fetched, hold: Hold) -> list[Question | Unasked | Shared]:
        row = fetched.row
        kept = {name: row.columns.get(name) for name in self._keep}
        prepared: dict[ImageContract, tuple[PreparedImage, ...]] = {}
        made: list[Question | Unasked | Shared] = []
        for name in fetched.tasks:
            task = self._parts.tasks[name]
            row_id = RowId(name, row.shard, row.ordinal)
            facts = Facts(row.key, row.uri, task.fixed.model, kept, task.fixed.sha256, fetched.sha256)
            try:
                if fetched.error is not None:
                    raise fetched.error
                if task.contract not in prepared:
                    prepared[task.contract] = self._parts.preparer.prepare(fetched.source, task.contract)
                images = prepared[task.contract]
                prompt = task.prompt(row.columns, images)
                body = self._parts.provider.render(prompt)
            except ItemError as error:
                made.append(Unasked(row_id, facts, error))
                continue
            question = hashlib.sha256(body).hexdigest()
            facts = replace(
                facts,
                request_sha256=question,
                width=images[0].width,
                height=images[0].height,
                sent_width=images[0].sent_width,
                sent_height=images[0].sent_height,
                pages=len(images),
                image_tokens_expected=_sum(image.tokens for image in images),
            )
            if not self._followers.claim(row_id, facts):
                continue
            if leader := self._parts.ledger.twin(name, question):
                made.append(Shared(row_id, facts, leader))
            else:
                weight = len(body) + sum(len(image.data) for image in images)
                made.append(Question(row_id, facts, prompt, body, hold, weight))
        return made


def _sum(tokens: Iterable[int | None]) -> int | None:
    counts = list(tokens)
    return None if None in counts else sum(count for count in counts if count is not None)
