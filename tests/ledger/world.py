"""A small world for the ledger: frames, the engine's own way of reading them, and what a reader finds on the disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.core.errors import CallError, ItemError
from pipeline.core.outcomes import Frame, Life, Move, Outcome, Problem
from pipeline.core.types import Answer, Column, Completion, Facts, RowId, Shard, Usage
from pipeline.engine.settle import Settler
from pipeline.ledger.ledger import OutputLedger
from pipeline.ledger.output import Output
from pipeline.ledger.recovery import Recovery, open_ledger
from pipeline.ledger.schema import TaskSchema, task_schema

PRICE = 0.5
"""USD for every answer."""


class EchoTask:
    """The answer is the text; one that begins with `?` is cut."""

    fixed = None

    def parse(self, completion: Completion, pages: int | None) -> Answer:
        if completion.text.startswith("?"):
            raise ItemError("cut", "the answer was cut")
        return {"caption": completion.text}


class EchoProvider:
    """The text is the body; one that begins with `!` is no completion."""

    def read(self, body: bytes, notes: object = None) -> Completion:
        if body.startswith(b"!"):
            raise CallError("http_5xx", "no completion in it", 200)
        return Completion(body.decode(), "stop", None, "served", Usage(prompt_tokens=100, completion_tokens=5))

    def cost(self, model: str, usage: Usage) -> float | None:
        return PRICE


def settler(tasks: Sequence[str] = ("caption",)) -> Settler:
    return Settler(dict.fromkeys(tasks, EchoTask()), EchoProvider(), repairs=1)  # type: ignore[arg-type]


def answer(ordinal: int, text: str | bytes = "a cat", **values: Any) -> Frame:
    """A received answer; see `EchoTask` and `EchoProvider` for what its text means."""
    return _frame(ordinal, body=text.encode() if isinstance(text, str) else text, status=200, **values)


def problem(ordinal: int, kind: str = "timeout", **values: Any) -> Frame:
    """The end of a row without an answer; with `ended=False` a checkpoint between two attempts."""
    return _frame(ordinal, problem=Problem(kind, f"it was {kind}"), status=None, **values)


def _frame(
    ordinal: int,
    *,
    shard: int = 1,
    task: str = "caption",
    attempts: int = 1,
    run_id: str = "run-1",
    received_at: float = 1_700_000_000.0,
    kept: dict[str, Any] | None = None,
    **values: Any,
) -> Frame:
    return Frame(
        row=RowId(task, shard, ordinal),
        facts=Facts(f"picture-{ordinal}.jpg", f"picture-{ordinal}.jpg", "model", kept or {}),
        attempts=attempts,
        received_at=received_at,
        latency_ms=12,
        request_id=f"request-{ordinal}",
        run_id=run_id,
        **values,
    )


class Session:
    """One process that holds the output: it does with every frame what the engine does."""

    def __init__(
        self,
        root: Path,
        *,
        tasks: Sequence[str] = ("caption",),
        kept: Sequence[Column] = (),
        shards: Sequence[Shard] = (Shard(1, 100, "pictures"),),
        retired: Sequence[int] = (),
        moves: Sequence[Move] = (),
        run_id: str = "run-1",
    ) -> None:
        self.root = root
        self.output = Output(root)
        self.run_id = run_id
        self.settler = settler(tasks)
        self.lives: dict[RowId, Life] = {}
        self.ledger: OutputLedger
        self.recovery: Recovery
        self.ledger, self.recovery = open_ledger(self.output, schemas(tasks, kept), run_id, self.settler, moves=moves)
        self.ledger.plan(shards, retired, moves)

    def receive(self, frame: Frame) -> bool:
        """Append the frame and take over what it means; True when a commit is due."""
        self.ledger.append(frame)
        life = self.settler.settle(frame, self.lives.pop(frame.row, None) or self.ledger.life(frame.row))
        if life.outcome is None:
            self.lives[frame.row] = life
            return False
        return self.ledger.add(life.outcome)

    def share(self, row: RowId, leader: Outcome, *, add: bool = True, **values: Any) -> Outcome:
        """What the engine does for a row whose question is equal to the leader's."""
        life = self.lives.pop(row, None) or self.ledger.life(row)
        values = {"attempts": life.spent.attempts, **values}
        dedup_of = leader.envelope.dedup_of or leader.facts.key
        frame = _frame(
            row.ordinal, shard=row.shard, task=row.task, status=None, copy_of=leader.id, dedup_of=dedup_of, **values
        )
        frame = replace(frame, facts=replace(frame.facts, request_sha256=leader.facts.request_sha256))
        self.ledger.append(frame)
        outcome = self.settler.share(frame, life, leader)
        if add:
            self.ledger.add(outcome)
        return outcome

    def die(self) -> None:
        """The process is gone: nothing is synced, committed or closed in order."""
        journal = self.ledger.journal
        if journal._segment is not None:
            journal._segment.close()
            journal._segment = None
        self.ledger._twins.close()

    def end(self) -> None:
        """An orderly end."""
        self.ledger.commit(everything=True)
        self.ledger.close()


def schemas(tasks: Sequence[str], kept: Sequence[Column] = ()) -> dict[str, TaskSchema]:
    return {task: task_schema([Column("caption", "string")], kept) for task in tasks}


def data_files(root: Path, task: str = "caption") -> list[str]:
    return sorted(path.name for path in (root / "data" / task).glob("*"))


def failure_files(root: Path, task: str = "caption") -> list[str]:
    return sorted(path.name for path in (root / "failures" / task).glob("*"))


def segments(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "_run" / "journal").iterdir())


def answered(root: Path, task: str = "caption") -> list[dict[str, Any]]:
    """Every row that a plain reader finds under data/, in the order of the files."""
    return list(_rows(root / "data" / task))


def failed(root: Path, task: str = "caption") -> list[dict[str, Any]]:
    """Every row that a plain reader finds under failures/."""
    return list(_rows(root / "failures" / task))


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*")):
        yield from pq.ParquetFile(path).read().to_pylist()
