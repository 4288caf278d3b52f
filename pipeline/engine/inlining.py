"""Pictures that were sent by their address and that the server could not fetch: once more, with their bytes."""

from __future__ import annotations

import anyio
from anyio.to_thread import run_sync

from pipeline.core.errors import RunError
from pipeline.core.types import Repair, RowId
from pipeline.engine.parts import Parts
from pipeline.engine.pictures import Pictures
from pipeline.engine.questions import Question, Questions, weight
from pipeline.engine.shutdown import Stop

AT_ONCE = 8
"""Pictures, from their download to the end of their call."""


class Inlining:
    """Nothing here waits for the budget: questions that hold bytes wait for a worker, and its caller is one.

    A few pictures at a time may exceed it instead.
    """

    def __init__(
        self, parts: Parts, pictures: Pictures, questions: Questions, stop: Stop, threads: anyio.CapacityLimiter
    ) -> None:
        self._parts = parts
        self._pictures = pictures
        self._questions = questions
        self._stop = stop
        self._threads = threads
        self._places = anyio.CapacityLimiter(AT_ONCE)
        self._rows: set[RowId] = set()

    async def inline(self, question: Question, repair: Repair | None) -> Question:
        """The question with its picture in the body. To be called in a wait that a drain ends. Raises ItemError."""
        if question.linked is None:
            raise AssertionError("its picture is in the body already")
        if question.facts.image_sha256 is not None:  # fetched before, and prepared
            return question.again(self._parts.provider.render(question.prompt, repair))

        async def reserve(size: int) -> None:
            question.lease.change(size)

        await self._places.acquire_on_behalf_of(question.row)
        self._rows.add(question.row)
        try:
            fetched = await self._pictures.download(question.linked, (question.row.task,), reserve)
            question.lease.change(len(fetched.source) + fetched.weight)
            made = await run_sync(self._questions.inlined, question, fetched, repair, limiter=self._threads)
        except RunError as error:
            self._stop.fail(error)
            await anyio.sleep_forever()  # until the drain that has begun ends this wait
            raise
        question.lease.change(weight(made.body, made.prompt))
        return made

    def end(self, row: RowId) -> None:
        """The call is over; another picture may be sent so."""
        if row in self._rows:
            self._rows.discard(row)
            self._places.release_on_behalf_of(row)
