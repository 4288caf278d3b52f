"""From fetched pictures to questions: prepare once per contract, render each task's request, ask equal ones once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pipeline.core.errors import ItemError
from pipeline.core.outcomes import Outcome
from pipeline.core.pictures import ImageContract, LinkedImage, PreparedImage
from pipeline.core.ports import Hold, Task
from pipeline.core.types import Facts, ManifestRow, Prompt, Repair, RowId
from pipeline.engine.followers import Followers
from pipeline.engine.parts import Parts
from pipeline.engine.pictures import Fetched


@dataclass(slots=True)
class Lease:
    """The bytes that one question holds until its call is over: `weight` of a hold that others may share."""

    hold: Hold
    weight: int

    def change(self, weight: int) -> None:
        """Hold so many from now on. Never waits."""
        if weight > self.weight:
            self.hold.add(weight - self.weight)
        else:
            self.hold.give(self.weight - weight)
        self.weight = weight

    def end(self) -> None:
        """Give them back; more than once does no harm."""
        self.change(0)


@dataclass(frozen=True, slots=True)
class Question:
    """One task asked of one prepared picture.

    `linked` is the row whose picture the body names by its address, in case the server cannot fetch it. Questions of
    one `route` are to meet the same cache.
    """

    row: RowId
    facts: Facts
    prompt: Prompt
    body: bytes
    lease: Lease
    linked: ManifestRow | None = None
    route: str | None = None

    def again(self, body: bytes) -> Question:
        """The same question in other words; what is rendered of its pictures themselves names no address."""
        by_address = any(isinstance(image, LinkedImage) for image in self.prompt.images)
        return replace(self, body=body, linked=self.linked if by_address else None)


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
    """Makes the questions of a row. `keep` names the columns that go into the output, `routes` see `route_of`."""

    def __init__(self, parts: Parts, followers: Followers, keep: tuple[str, ...], routes: int) -> None:
        self._parts = parts
        self._followers = followers
        self._keep = keep
        self._routes = routes

    def make(self, chunk: Sequence[Fetched], hold: Hold) -> list[Question | Unasked | Shared]:
        """What is to be done about these rows; nothing where an equal question is being asked already.

        Blocking; runs in a thread.
        """
        return [made for fetched in chunk for made in self._make(fetched, hold)]

    def inlined(self, question: Question, fetched: Fetched, repair: Repair | None) -> Question:
        """The same question with its picture in the body. Blocking; runs in a thread. Raises ItemError."""
        task = self._parts.tasks[question.row.task]
        if fetched.error is not None:
            raise fetched.error
        images = self._parts.preparer.prepare(fetched.source, task.contract)
        prompt = task.prompt(fetched.row.columns, images)
        body = self._parts.provider.render(prompt, repair)
        facts = _with_images(replace(question.facts, image_sha256=fetched.sha256), images)
        return replace(question, facts=facts, prompt=prompt, body=body, linked=None)

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
                question = self._question(row_id, facts, task, fetched, prepared, hold)
            except ItemError as error:
                made.append(Unasked(row_id, facts, error))
                continue
            if not self._followers.claim(row_id, question.facts):
                continue
            if leader := self._parts.ledger.twin(name, question.facts.request_sha256 or ""):
                made.append(Shared(row_id, question.facts, leader))
            else:
                made.append(question)
        return made

    def _question(
        self,
        row_id: RowId,
        facts: Facts,
        task: Task,
        fetched: Fetched,
        prepared: dict[ImageContract, tuple[PreparedImage, ...]],
        hold: Hold,
    ) -> Question:
        columns, link = fetched.row.columns, fetched.link
        if link is not None and not fetched.source:
            prompt = task.prompt(columns, (link,))
            body = self._parts.provider.render(prompt)
            # A signature changes from day to day and is no part of the question.
            shown = self._parts.provider.render(task.prompt(columns, (replace(link, url=link.shown),)))
            facts = replace(facts, request_sha256=hashlib.sha256(shown).hexdigest())
            route = route_of(row_id, facts, prompt, self._routes)
            return Question(row_id, facts, prompt, body, Lease(hold, len(body)), fetched.row, route)
        if task.contract not in prepared:
            prepared[task.contract] = self._parts.preparer.prepare(fetched.source, task.contract)
        images = prepared[task.contract]
        prompt = task.prompt(columns, images)
        body = self._parts.provider.render(prompt)
        facts = _with_images(replace(facts, request_sha256=hashlib.sha256(body).hexdigest()), images)
        linked = None
        if link is not None and [image.data for image in images] == [fetched.source]:
            body, linked = self._parts.provider.render(task.prompt(columns, (link,))), fetched.row
        route = route_of(row_id, facts, prompt, self._routes)
        return Question(row_id, facts, prompt, body, Lease(hold, weight(body, prompt)), linked, route)


def route_of(row: RowId, facts: Facts, prompt: Prompt, routes: int) -> str:
    """The name under which requests are sent to one replica: by the picture, or by one of `routes` shares of a task.

    One name for a whole run would put all of it on one replica.
    """
    if prompt.image_first:
        return (facts.image_sha256 or hashlib.sha256(facts.uri.encode()).hexdigest())[:32]
    return f"{prompt.fixed.sha256[:24]}-{row.ordinal % routes}"


def weight(body: bytes, prompt: Prompt) -> int:
    """Bytes that a question holds in memory: its body, and its pictures for the case that it is asked again."""
    return len(body) + sum(len(image.data) for image in prompt.images if isinstance(image, PreparedImage))


def _with_images(facts: Facts, images: Sequence[PreparedImage]) -> Facts:
    first = images[0]
    return replace(
        facts,
        width=first.width,
        height=first.height,
        sent_width=first.sent_width,
        sent_height=first.sent_height,
        pages=len(images),
        image_tokens_expected=_sum(image.tokens for image in images),
    )


def _sum(tokens: Iterable[int | None]) -> int | None:
    counts = list(tokens)
    return None if None in counts else sum(count for count in counts if count is not None)
