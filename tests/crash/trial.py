"""A trial: one output, its pictures, its server, and all that was ever seen of them. Kills, looks, and judges."""

import hashlib
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from tests.crash import judge
from tests.crash.evidence import Evidence, Reader, ServerLog
from tests.integration.command import COMMAND, Ended, Job, Running, until
from tests.support.fake_process import FakeProcess
from tests.support.pictures import picture

CONCURRENCY = 8


class Broken(AssertionError):  # noqa: N818 - it is no error of the suite, it is what the suite looks for
    """An invariant does not hold. The text says which; `tally` is what was counted until then."""

    tally: "Tally | None" = None


@dataclass
class Tally:
    """What a scenario counted; a line of the table at the end.

    `cut` answers were taken by power cuts; `full` has what each full disk has cost.
    """

    kills: int = 0
    answers: int = 0
    lost: int = 0
    doubled: int = 0
    again: int = 0
    cut: int = 0
    extra: list[int] = field(default_factory=list)
    full: list[int] = field(default_factory=list)
    seconds: float = 0.0


class Trial:
    """One output under test. `server` are options of the fake server's process; `place` is where the output lies."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        place: Path | None = None,
        tasks: list[dict[str, Any]] | None = None,
        small: bool = True,
        verify: bool = False,
        **server: Any,
    ) -> None:
        folder.mkdir(parents=True)
        self.folder, self.chance, self.tally = folder, random.Random(seed), Tally()
        self.always: tuple[str, ...] = ()
        """Options of the victim in every run."""
        self._seed, self.small, self._verify, self._runs = seed, small, verify, 0
        options: dict[str, Any] = {
            "script": "tests.crash.scripts:stormy",
            "latency": 0.04,
            "sigma": 0.5,
            "fail_share": 0.01,
        }
        options |= {"drop_share": 0.01, "seed": seed, "log": folder / "server.jsonl", "max_seconds": 1800, **server}
        self._server = FakeProcess(**options)
        self.log = ServerLog(folder / "server.jsonl")
        self.job = Job(place or folder, folder / "pictures", "", tasks=tasks or [{"kind": "caption"}])
        self.job.run_ = {"max_failure_share": 1.0}
        self.job.limits = {"concurrency": CONCURRENCY}
        self.job.retry = {"attempts": 4, "total_seconds": 60.0}
        self.reader = Reader(self.job.out)
        self.pictures: dict[str, int] = {}
        """By key: the seed of the picture; equal seeds are equal pictures."""
        self.known = judge.Known(tuple(task.get("name") or task["kind"] for task in self.job.tasks))

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        self._server.__enter__()
        self.job.base_url = self._server.base_url
        self._watcher = Watcher(self.job.out)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._watcher.stop()
        self._server.close()
        self.tally.seconds = time.monotonic() - self._started
        if isinstance(error, Broken):
            error.tally = self.tally

    # What happens

    def grow(self, pictures: int, equal_share: float = 0.0) -> None:
        """Add pictures to the manifest; a share of them equal to earlier ones, under keys of their own."""
        self.job.manifest.mkdir(exist_ok=True)
        for number in range(len(self.pictures), len(self.pictures) + pictures):
            fresh = not self.pictures or self.chance.random() >= equal_share
            seed = self._seed * 100_000 + number if fresh else self.chance.choice(list(self.pictures.values()))
            key = f"{number:05d}.jpg"
            data = picture(seed)
            (self.job.manifest / key).write_bytes(data)
            self.pictures[key] = seed
            if not judge.EQUAL_ASKED_ONCE:  # one more row, one more answer
                picture_hash = hashlib.sha256(data).hexdigest()
                self.known.satisfied = {one for one in self.known.satisfied if one.picture != picture_hash}

    def start(self, *victim: str, command: tuple[str, ...] = ()) -> Running:
        """The command, under the options of the victim."""
        self._runs += 1
        self.job.retry["total_seconds"] = 60.0 + self._runs  # each run records its configuration
        options = (*(("--small",) if self.small else ()), "--seed", str(self._runs), *self.always, *victim)
        module = [sys.executable, "-m", "tests.crash.victim", *options, "--", "run", str(self.job.write()), *command]
        return Running(module)

    def answers_or_end(self, running: Running, answers: int, patience: float = 60.0) -> bool:
        """Wait until the server has sold so many more answers; False when the run has ended first."""
        wanted = len(self.log.read().sold) + answers
        until(lambda: len(self.log.read().sold) >= wanted or running.process.poll() is not None, "answers", patience)
        return running.process.poll() is None

    def told_to_stop(self, running: Running, answers: int) -> None:
        """SIGTERM once there are so many answers."""
        if self.answers_or_end(running, answers):
            running.process.terminate()

    # What is looked at

    def quiet(self) -> None:
        """Wait until the server knows that its client is gone: from here on its log is complete."""
        until(lambda: self._server.stats()["connections"] == 1, "the server to see that the client is gone")
        self.log.read()

    def killed(self, ended: Ended) -> Evidence:
        """A run was killed: count it, and hold what lies there against all that was seen before."""
        self._expect(ended.code == -9, f"the run ended with {ended.code} instead of being killed", ended)
        self.tally.kills += 1
        self.quiet()
        now = self.reader.look()
        self.tally.extra.append(judge.extra_calls(self.known, self.log, now))
        self._expect(self.tally.extra[-1] <= CONCURRENCY, f"I6 {self.tally.extra[-1]} calls were paid for twice", ended)
        self._judge(now, ended)
        return now

    def cut_back(self, gone: list[str]) -> None:
        """Forget what a power cut has taken: those answers may be bought again."""
        self.known.forget(gone)
        self._judge(self.reader.look(), None)

    def ended(self, ended: Ended, *codes: int) -> Evidence:
        """A run came to its own end, with one of these exit codes."""
        self._expect(ended.code in codes, f"the run ended with {ended.code} instead of {codes}", ended)
        self._expect("Traceback" not in ended.stderr, "the run ended with a traceback", ended)
        self.quiet()
        now = self.reader.look()
        if 1 not in codes:
            extra = judge.extra_calls(self.known, self.log, now)
            self._expect(extra == 0, f"I6 {extra} answers were received and not kept", ended)
        self._judge(now, ended)
        return now

    def complete(self, *victim: str) -> Evidence:
        """Run until nothing is left, and check everything."""
        for _ in range(4):
            with self.start(*victim) as running:
                ended = running.end(120)
            now = self.ended(ended, 0)
            if not any(row.retryable for row in now.failures):
                break
        self._expect(now.success, "I10 nothing is left and there is no _SUCCESS", ended)
        problems = judge.finished(self.known, self.log, now, set(self.pictures))
        self.tally.lost, self.tally.doubled = len(problems.lost), problems.doubled
        self._report(problems.all, ended)
        asked = len(self.log.received)
        with self.start(*victim) as running:
            again = running.end()
        self.ended(again, 0)
        self._expect("no call was made" in again.stdout and len(self.log.received) == asked, "a call was made", again)
        self.tally.answers = len(self.known.held)
        return now

    def refuses_another_prompt(self) -> None:
        """I12: a changed prompt is refused, and nothing is touched."""
        before = self.job.tree()
        with Running([*COMMAND, "run", str(self.job.config), "--set", 'tasks.0.prompt="Something else"']) as running:
            ended = running.end()
        self._expect(ended.code == 2 and "prompt changed" in ended.stderr, "I12 a changed prompt is accepted", ended)
        self._expect(self.job.tree() == before, "I12 a refused run has changed the output", ended)

    def refuses_a_second(self, first: Running) -> bool:
        """I11: while a process works here, a second is told so. False when the first had ended before."""
        first.signal(signal.SIGSTOP)  # it holds the output, and cannot end meanwhile
        try:
            with Running([*COMMAND, "run", str(self.job.config)]) as running:
                second = running.end()
        finally:
            first.signal(signal.SIGCONT)
        if first.process.poll() is not None:
            return False
        told = second.code == 75 and f"process {first.pid} on " in second.stderr
        self._expect(told, f"I11 a second process is not refused: exit {second.code}", second)
        return True

    def _judge(self, now: Evidence, ended: Ended | None) -> None:
        self._report(now.problems + self._watcher.problems, ended)
        again = judge.bought_again(self.known, self.log)
        self.tally.again += len(again)
        problems = again + judge.kept(self.known, self.log, now)
        problems += [f"I10 _SUCCESS is there and {now.left(self.known.tasks)[:3]} are left"] * (
            now.success and bool(now.left(self.known.tasks))
        )
        self._report(problems, ended)
        copies = Counter(self.pictures.values())
        self.known.take_over(self.log, now, {key: copies[seed] for key, seed in self.pictures.items()})
        if self._verify and self.job.out.exists():
            with Running([*COMMAND, "verify", str(self.job.out)]) as running:
                verified = running.end()
            self._expect(verified.code == 0, f"verify says {verified.code}: {verified.stdout[-500:]}", verified)

    def _report(self, problems: list[str], ended: Ended | None) -> None:
        self._expect(not problems, "; ".join(problems[:5]), ended)

    def _expect(self, holds: object, problem: str, ended: Ended | None) -> None:
        if not holds:
            said = f"\n  stderr: {ended.stderr[-800:]}\n  stdout: {ended.stdout[-300:]}" if ended else ""
            raise Broken(f"run {self._runs}: {problem}{said}")

    def expect(self, holds: object, problem: str, ended: Ended | None = None) -> None:
        """Raises Broken with what was expected."""
        self._expect(holds, problem, ended)


def can_verify() -> bool:
    """Whether the command knows how to audit an output by itself."""
    helped = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
    return " verify " in helped.stdout


class Watcher:
    """I9: a plain reader that looks into data/ all the time. What it sees is whole, and stays what it is."""

    def __init__(self, out: Path) -> None:
        self._data, self.problems = out / "data", list[str]()
        self._seen: dict[Path, tuple[int, int, int]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join(10)

    def _watch(self) -> None:
        while not self._ended.wait(0.03):
            gone = [path.name for path in self._seen if not path.exists()]
            if gone and not self._ended.is_set():
                self.problems.append(f"I9 {gone} vanished from data/")
            for path in sorted(self._data.rglob("*.*")):
                self._look(path)

    def _look(self, path: Path) -> None:
        try:
            info = path.stat()
            now = (info.st_ino, info.st_size, info.st_mtime_ns)
            if path not in self._seen:
                pq.ParquetFile(path).read()
        except (OSError, pa.ArrowException) as error:
            self.problems.append(f"I9 a reader cannot read {path}: {error}")
            return
        if self._seen.setdefault(path, now) != now:
            self.problems.append(f"I9 {path} has changed under its reader")
