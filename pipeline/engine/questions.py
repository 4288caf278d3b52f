"""From a manifest row to its questions: fetch once, prepare once per size, render each task's request."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
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

    def make(self, row: ManifestRow, tasks: Sequence[str], hold: Hold) -> list[Question | Unasked | Shared]:
        """What is to be done about these tasks of a row; nothing where an equal question is being asked already.

        Blocking; runs in a thread.
        """
        kept = {name: row.columns.get(name) for name in self._keep}
        source: bytes | None = None
        prepared: dict[ImageContract, tuple[PreparedImage, ...]] = {}
        made: list[Question | Unasked | Shared] = []
        for name in tasks:
            task = self._parts.tasks[name]
            row_id = RowId(name, row.shard, row.ordinal)
            facts = Facts(row.key, row.uri, task.fixed.model, kept, prompt_sha256=task.fixed.sha256)
            try:
                if row.problem is not None:
                    raise row.problem
                if source is None:
                    source = self._parts.fetcher.fetch(row)
                facts = replace(facts, image_sha256=hashlib.sha256(source).hexdigest())
                if task.contract not in prepared:
                    prepared[task.contract] = self._parts.preparer.prepare(source, task.contract)
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
            )
            if not self._followers.claim(row_id, facts):
                continue
            if leader := self._parts.ledger.twin(name, question):
                made.append(Shared(row_id, facts, leader))
            else:
                weight = len(body) + sum(len(image.data) for image in images)
                made.append(Question(row_id, facts, prompt, body, hold, weight))
        return made
