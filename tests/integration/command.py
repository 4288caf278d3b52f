"""The real command in a real process, as a person runs it: a configuration in, an exit code, lines and tables out."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from resource import RLIMIT_FSIZE, setrlimit
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.outcomes import Frame
from pipeline.ledger.frames import replay

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "pipeline"]
PATIENCE = 60.0
"""Seconds after which a run that was to end counts as hanging; generous, for a busy machine."""


@dataclass(frozen=True)
class Ended:
    """What is left of a process: its exit code (negative: the signal that killed it) and all that it wrote."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def events(self) -> list[dict[str, Any]]:
        """The log: the lines of stderr that are JSON."""
        return [json.loads(line) for line in self.stderr.splitlines() if line.startswith("{")]

    @property
    def errors(self) -> list[str]:
        """What went wrong, as a person reads it."""
        return [line.removeprefix("error: ") for line in self.stderr.splitlines() if line.startswith("error: ")]

    def event(self, name: str) -> dict[str, Any]:
        """The one line of the log with this event."""
        (found,) = [line for line in self.events if line["event"] == name]
        return found


def told(ended: Ended, code: int, *words: str) -> None:
    """The run ended with this code and one error, which holds all the words."""
    assert ended.code == code, ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(ended.errors) == 1, ended.stderr
    for word in words:
        assert word in ended.errors[0]


class Running:
    """A process that was started; killed on leaving if it still runs. `end` waits for it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str | None] | None = None,
        cwd: Path = ROOT,
        file_bytes: int | None = None,
    ) -> None:
        given = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
        limit = None if file_bytes is None else partial(setrlimit, RLIMIT_FSIZE, (file_bytes, file_bytes))
        self._started = time.monotonic()
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={name: value for name, value in given.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limit,  # noqa: PLW1509 - no thread of a test holds a lock that setrlimit needs
        )
        self._written: dict[str, str] = {}
        self._readers = [
            threading.Thread(target=self._read, args=(name,), daemon=True) for name in ("stdout", "stderr")
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        with getattr(self.process, name) as pipe:
            for line in pipe:
                self._written[name] = self._written.get(name, "") + line

    @property
    def pid(self) -> int:
        return self.process.pid

    def wrote(self, event: str) -> bool:
        """Whether the log has this event by now."""
        return f'"event": "{event}"' in self._written.get("stderr", "")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, patience: float = PATIENCE) -> Ended:
        """Wait for the end; a process that does not end in time is killed, and the test fails."""
        try:
            code = self.process.wait(patience)
        finally:
            self.process.kill()
            self.process.wait()
            for reader in self._readers:
                reader.join(10)
        return Ended(
            code, self._written.get("stdout", ""), self._written.get("stderr", ""), time.monotonic() - self._started
        )

    def kill(self) -> Ended:
        """Kill -9, now."""
        self.process.kill()
        return self.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Job:
    """One configuration file and its output, in a folder of their own.

    `provider`, `limits` and so on are the tables of the file; `tasks` its [[tasks]]. `start` and `run` write the file
    anew each time, so that a test may change a table between two runs.
    """

    folder: Path
    manifest: Path
    base_url: str
    tasks: list[dict[str, Any]] = field(default_factory=lambda: [{"kind": "caption"}])
    run_: dict[str, Any] = field(default_factory=dict)
    manifest_: dict[str, Any] = field(default_factory=dict)
    images: dict[str, Any] = field(default_factory=dict)
    provider: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    retry: dict[str, Any] = field(default_factory=dict)
    more: dict[str, dict[str, Any]] = field(default_factory=dict)
    env: dict[str, str | None] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def config(self) -> Path:
        return self.folder / "job.toml"

    def write(self) -> Path:
        """Write the configuration file."""
        tables = {
            "run": {"output": str(self.out), **self.run_},
            "manifest": {"path": str(self.manifest), **self.manifest_},
            "images": self.images,
            "provider": {"dialect": "generic", "base_url": self.base_url, "model": "fake/vlm", **self.provider},
            "limits": self.limits,
            "retry": self.retry,
            **self.more,
        }
        parts = [_table(f"[{name}]", values) for name, values in tables.items() if values]
        self.config.write_text("\n".join([*parts, *(_table("[[tasks]]", task) for task in self.tasks)]))
        return self.config

    def start(self, *options: str, file_bytes: int | None = None) -> Running:
        return Running([*COMMAND, "run", str(self.write()), *options], env=self.env, file_bytes=file_bytes)

    def run(self, *options: str, file_bytes: int | None = None, patience: float = PATIENCE) -> Ended:
        with self.start(*options, file_bytes=file_bytes) as running:
            return running.end(patience)

    def command(self, verb: str, *options: str) -> Ended:
        """Another command about the output."""
        with Running([*COMMAND, verb, str(self.out), *options], env=self.env) as running:
            return running.end()

    def about_the_job(self, verb: str, *options: str) -> Ended:
        """Another command about the configuration."""
        with Running([*COMMAND, verb, str(self.write()), *options], env=self.env) as running:
            return running.end()

    # What a reader finds

    def rows(self, task: str = "caption") -> list[dict[str, Any]]:
        """The usable answers of a task, by key."""
        return _read(self.out / "data" / task)

    def failures(self, task: str = "caption") -> list[dict[str, Any]]:
        """The failures of a task, by key."""
        return _read(self.out / "failures" / task)

    def kinds(self, task: str = "caption") -> dict[str, str]:
        """Key to kind of what stands failed."""
        return {row["key"]: row["kind"] for row in self.failures(task)}

    def journaled(self) -> list[Frame]:
        """The readable frames of the journal as it lies there now."""
        segments = sorted((self.out / "_run" / "journal").glob("*.vlj"))
        return [item for path in segments for item in replay(path) if isinstance(item, Frame)]

    def kept_answers(self, task: str = "caption") -> set[str]:
        """The request ids of every answer that is in the output or in the journal."""
        rows = [*self.rows(task), *self.failures(task)]
        frames = [frame for frame in self.journaled() if frame.row.task == task]
        return {row["request_id"] or "" for row in rows} | {frame.request_id or "" for frame in frames}

    def tree(self) -> dict[str, str]:
        """Every file of the output with a hash of its content; the lock, which names its last holder, left out."""
        files = [path for path in self.out.rglob("*") if path.is_file() and path != self.out / "_run" / "lock"]
        return {str(path.relative_to(self.out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _read(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.glob("*.parquet"))
    table: pa.Table = pa.concat_tables([pq.ParquetFile(path).read() for path in files]) if files else pa.table({})
    rows: list[dict[str, Any]] = table.to_pylist()
    return sorted(rows, key=lambda row: str(row["key"]))


def _table(heading: str, values: Mapping[str, Any]) -> str:
    # JSON's numbers, texts and lists are TOML's too.
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
    return "\n".join([heading, *lines, ""])


def until(holds: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait for a condition that another process or thread will bring about; fails with `what` when it does not."""
    give_up_at = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < give_up_at, f"waited {patience:.0f} s in vain: {what}"
        time.sleep(0.005)  # between two looks


class Tail:
    """The lines of a server's log, read on as it grows."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self.lines: list[dict[str, Any]] = []

    def read(self) -> list[dict[str, Any]]:
        """Every whole line so far."""
        self.lines += self._fresh()
        return self.lines

    def count(self, event: str) -> int:
        """How many lines so far are of this event."""
        return sum(line["event"] == event for line in self.read())

    def has(self, event: str, n: int) -> bool:
        """Whether at least `n` lines so far are of this event."""
        return self.count(event) >= n

    def _fresh(self) -> Iterator[dict[str, Any]]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield json.loads(line)
