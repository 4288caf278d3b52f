"""What lies there after a kill: the output's files as they are, and the server's log. Read without the ledger."""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyroaring import BitMap

from pipeline.core.outcomes import Frame
from pipeline.ledger.frames import Replay, replay

_PART = re.compile(r"part-(\d{6,})-(\d{6,})\.parquet")
_SNAPSHOT = re.compile(r"shard-(\d{6,})-(\d{6,})\.parquet")
_COLUMNS = ["key", "shard", "ordinal", "request_id", "model", "image_sha256", "dedup_of", "attempts"]


class Question(NamedTuple):
    """What was asked of which picture: the same in the files, in the journal and in the server's log."""

    model: str
    picture: str


class Place(NamedTuple):
    """Where a row stands."""

    task: str
    shard: int
    ordinal: int


@dataclass(frozen=True)
class Stored:
    """A row of a committed file; `failed` when it is one of failures/."""

    place: Place
    key: str
    question: Question
    request_id: str | None
    copied: bool
    failed: bool = False
    retryable: bool = False


@dataclass
class Planned:
    """The plan as its files say: per shard the keys by ordinal, and the shards that are retired."""

    keys: dict[int, list[str]] = field(default_factory=dict)
    tasks: dict[int, list[str] | None] = field(default_factory=dict)
    retired: set[int] = field(default_factory=set)

    @classmethod
    def read(cls, folder: Path) -> "Planned":
        """Every generation that has its record."""
        plan = cls()
        for path in sorted(folder.glob("*.json")):
            record = json.loads(path.read_bytes())
            plan.retired.update(record["retired"])
            with pa.memory_map(str(path.with_suffix(".rows"))) as source:
                file = pa.ipc.open_file(source)
                for batch, (number, rows, _, tasks) in enumerate(record["shards"]):
                    plan.keys[number] = file.get_batch(batch).column("key").to_pylist()
                    plan.tasks[number] = tasks
                    assert len(plan.keys[number]) == rows
        return plan


@dataclass
class Evidence:
    """One look at an output. `problems` are what is wrong with the files themselves: I1, I2, I7 and mixed-up rows."""

    rows: list[Stored] = field(default_factory=list)
    failures: list[Stored] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    plan: Planned = field(default_factory=Planned)
    success: bool = False
    problems: list[str] = field(default_factory=list)

    def answers(self) -> Iterator[tuple[str, Question]]:
        """The id and question of every answer that is in the output or in its journal."""
        for row in (*self.rows, *self.failures):
            if row.request_id:
                yield row.request_id, row.question
        for frame in self.frames:
            if frame.problem is None and frame.request_id:
                yield frame.request_id, Question(frame.facts.model, frame.facts.image_sha256 or "")

    def left(self, tasks: tuple[str, ...]) -> list[Place]:
        """The planned rows that committed files leave open, those to be tried again included."""
        settled = {row.place for row in self.rows} | {row.place for row in self.failures if not row.retryable}
        return [
            Place(task, shard, ordinal)
            for shard, keys in self.plan.keys.items()
            for task in (tasks if self.plan.tasks[shard] is None else self.plan.tasks[shard] or ())
            for ordinal in range(len(keys))
            if shard not in self.plan.retired and Place(task, shard, ordinal) not in settled
        ]


class Reader:
    """Looks at one output again and again; committed files are read once."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._read: dict[tuple[Path, int, int], tuple[list[Stored], list[str]]] = {}

    def look(self) -> Evidence:
        """What lies there now."""
        found = Evidence(plan=Planned.read(self._out / "_run" / "plan"), success=(self._out / "_SUCCESS").exists())
        for folder in sorted(self._out.glob("data/*")):
            self._parts(folder, found)
        answered = {row.place for row in found.rows}
        for folder in sorted(self._out.glob("failures/*")):
            for path in _newest(folder).values():
                found.failures += [row for row in self._file(path, found) if row.place not in answered]
        for path in sorted((self._out / "_run" / "journal").glob("*.vlj")):
            self._segment(path, found)
        for row in (*found.rows, *found.failures):
            keys = found.plan.keys.get(row.place.shard, [])
            if row.place.ordinal >= len(keys) or keys[row.place.ordinal] != row.key:
                found.problems.append(f"I3 {row.place} is {row.key!r}, the plan says otherwise")
        return found

    def _parts(self, folder: Path, found: Evidence) -> None:
        numbers: dict[int, list[int]] = {}
        for path in sorted(folder.iterdir()):
            match = _PART.fullmatch(path.name)
            if match is None:
                found.problems.append(f"I9 {path} is no part")
                continue
            numbers.setdefault(int(match[1]), []).append(int(match[2]))
            found.rows += self._file(path, found)
        for shard, parts in numbers.items():
            if sorted(parts) != list(range(1, len(parts) + 1)):
                found.problems.append(f"I1 the parts of shard {shard} in {folder} are {sorted(parts)}")
        for place, times in Counter(row.place for row in found.rows if row.place.task == folder.name).items():
            if times > 1:
                found.problems.append(f"I2 {place} stands in {times} parts")

    def _file(self, path: Path, found: Evidence) -> list[Stored]:
        info = path.stat()
        known = (path, info.st_ino, info.st_mtime_ns)
        if known not in self._read:
            self._read[known] = _read_file(path)
        rows, problems = self._read[known]
        found.problems += problems
        return rows

    def _segment(self, path: Path, found: Evidence) -> None:
        for item in replay(path):
            if isinstance(item, Replay):
                if item.damaged:
                    found.problems.append(f"I7 {path} has a hole at {item.good_bytes}")
            else:
                found.frames.append(item)


def _newest(folder: Path) -> dict[int, Path]:
    matches = ((_SNAPSHOT.fullmatch(path.name), path) for path in sorted(folder.iterdir()))
    return {int(match[1]): path for match, path in matches if match}


def _read_file(path: Path) -> tuple[list[Stored], list[str]]:
    file = pq.ParquetFile(path)
    failed = "retryable" in file.schema_arrow.names
    values = file.read(columns=[*_COLUMNS, *(["retryable"] if failed else [])]).to_pylist()
    rows = [_stored(path.parent.name, value, failed=failed) for value in values]
    problems = []
    listed = BitMap.deserialize(base64.b64decode(file.metadata.metadata[b"vlm_batch.ordinals"]))
    if list(listed) != [row.place.ordinal for row in rows]:
        problems.append(f"I2 the footer of {path} names other rows than it holds")
    if any(int(path.name.split("-")[1]) != row.place.shard for row in rows):
        problems.append(f"I2 {path} holds rows of another shard")
    return rows, problems


def _stored(task: str, value: dict[str, Any], *, failed: bool) -> Stored:
    return Stored(
        Place(task, value["shard"], value["ordinal"]),
        value["key"],
        Question(value["model"], value["image_sha256"] or ""),
        value["request_id"],
        value["dedup_of"] is not None,
        failed,
        bool(value.get("retryable")),
    )


class ServerLog:
    """The server's log, read on as it grows: the truth about what was asked and what was sold."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self.received: list[tuple[str, Question]] = []
        """Every request in order."""
        self.sold: dict[str, dict[str, Any]] = {}
        """By request id: the answers that were sent whole with status 200, and so were paid for."""
        self.refused: set[str] = set()
        """The requests that were answered with an error, or not at all, by the server's own doing."""
        self.numbers: dict[str, int] = {}

    def read(self) -> "ServerLog":
        """Take in every whole line so far."""
        if not self._path.exists():
            return self
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for text in file:
                if not text.endswith(b"\n"):
                    break
                self._offset += len(text)
                self._note(json.loads(text))
        return self

    def _note(self, line: dict[str, Any]) -> None:
        name = line["request_id"]
        if line["event"] == "received":
            self.numbers[name] = line["number"]
            self.received.append((name, self.question(line)))
        elif line["event"] == "answered" and line["status"] == 200 and line["complete"]:
            self.sold[name] = line
        elif line["event"] in {"answered", "dropped"}:
            self.refused.add(name)

    @staticmethod
    def question(line: dict[str, Any]) -> Question:
        """What a line is about."""
        return Question(line["model"], line["image_sha256"])

    def usable(self, request_id: str) -> bool:
        """Whether this answer was one that may never be bought again."""
        return bool(self.sold.get(request_id, {}).get("usable"))
