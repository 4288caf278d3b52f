"""Compares by key over a whole output: what was settled twice, whose answer is stored for whom.

Every row goes to buckets on the disk (about 75 bytes) and is compared bucket by bucket, so that memory holds a 256th.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from pipeline.ledger.findings import Findings
from pipeline.storage.buckets import Buckets, digest_of

_SETTLED, _OPEN, _COPY, _NAMED = 1, 2, 4, 8
"""What a record of a key stands for: a settled row, one that may still change, either as a copy; or a reference."""

_Place = Sequence[int]
"""Number of the task, shard, ordinal."""
Describe = Callable[[str, int, int], str]
"""(task, shard, ordinal) -> the place in words."""


class Said(NamedTuple):
    """What a stored row, or a journaled one, says of itself."""

    key: str
    request_sha256: str | None
    request_id: str | None = None
    dedup_of: str | None = None
    finished_at: int | None = None
    """Microseconds."""


class KeyAudit:
    """Takes every row, then compares. Its files are gone when the `with` is left."""

    def __init__(self, folder: Path) -> None:
        self._keys = Buckets(folder, "keys", "BQHII")
        self._answers = Buckets(folder, "answers", "QHII")
        self._tasks: dict[str, int] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self._keys)
        self._open.enter_context(self._answers)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._open.close()

    def add(
        self,
        task: str,
        shard: int,
        ordinal: int,
        said: Said,
        *,
        settled: bool,
        answered: bool = False,
        stored: bool = True,
    ) -> None:
        """Take one row.

        `settled` when it is never asked again, `answered` when it stands in a data part, `stored` False when it is in
        the journal alone.
        """
        number = self._tasks.setdefault(task, len(self._tasks))
        question = _short(said.request_sha256)
        kind = (_SETTLED if settled else _OPEN) | (_COPY if said.dedup_of is not None else 0)
        self._keys.add(digest_of(f"{task}\0{said.key}"), kind, question, number, shard, ordinal)
        if said.dedup_of is not None:
            if answered:  # the original of a failure may have been tried again since, under another question
                self._keys.add(digest_of(f"{task}\0{said.dedup_of}"), _NAMED, question, number, shard, ordinal)
        elif stored and said.request_id is not None and said.request_sha256 is not None:
            answer = digest_of(f"{said.request_id}\0{said.finished_at}")
            self._answers.add(answer, question, number, shard, ordinal)

    def compare(self, findings: Findings, describe: Describe) -> None:
        """Find what was settled twice, copies without their original, and answers stored for two questions."""
        names = list(self._tasks)

        def place(here: _Place) -> str:
            return describe(names[here[0]], here[1], here[2])

        def places(before: _Place, here: _Place) -> str:
            return f"{place(before)}, and also {place(here)}"

        for bucket in self._keys:
            first: dict[bytes, _Place] = {}
            originals = {(digest, question) for digest, kind, question, *_ in bucket if not kind & (_COPY | _NAMED)}
            for digest, kind, question, *here in bucket:
                if kind & _NAMED:
                    if (digest, question) not in originals:
                        findings.add("original_missing", partial(place, here))
                elif kind & _SETTLED and (before := first.setdefault(digest, here)) != here:
                    findings.add("key_settled_twice", partial(places, before, here))
        for bucket in self._answers:
            owner: dict[bytes, tuple[int, _Place]] = {}
            for digest, question, *here in bucket:
                asked, before = owner.setdefault(digest, (question, here))
                if asked != question:
                    findings.add("answer_shared", partial(places, before, here))


def _short(request_sha256: str | None) -> int:
    """A number that stands for a question; whatever stands in the column, it need not be a hash."""
    return int.from_bytes(digest_of(request_sha256)[:8], "little") if request_sha256 is not None else 0
