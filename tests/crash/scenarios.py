"""What is done to a run: killed at random or at each point, cut off from power, short of disk, with a mad clock."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.crash import judge
from tests.crash.disk import fill, mounted
from tests.crash.points import POINTS, Point, Start, named
from tests.crash.trace import Trace
from tests.crash.trial import Tally, Trial
from tests.integration.command import Running, until

SYNC_S = 0.05
"""What the product promises: no more than so many seconds of answers die with the machine."""
SLACK_S = 0.15
"""How late a group sync may be on a machine that has other work."""
LOST_ON_FULL_DISK = 0
"""Answers a full disk may cost: the reserve is kept for those in hand and in flight."""
LOST_AT_FILE_LIMIT = 0
"""The same where a file may not grow: there a new segment takes them."""
POWER_CUT_AT = ("frame-written", "before-sync", "part-known", "snapshot-named", "segment-gone", "restored")
POINTS_GROUP = f"every named point ({len(POINTS)})"
EQUAL = 0.3
"""Share of pictures that equal an earlier one."""
CHAIN = 7
"""How many points one output dies at."""


@dataclass(frozen=True)
class Job:
    """What every scenario is given."""

    folder: Path
    seed: int
    kills: int = 0
    verify: bool = False


@dataclass(frozen=True)
class Scenario:
    """A line of the table. Those of the same `group` share one; `share` is its part of the random kills."""

    name: str
    group: str
    play: Callable[[Job], Tally]
    share: float = 0.0


def kill_at_random(trial: Trial, kills: int, equal_share: float = 0.0, pictures: int = 60) -> None:
    """Kill after some answers, after some time, or in the middle of a drain; the manifest grows now and then."""
    chance = trial.chance
    trial.grow(pictures, equal_share)
    tried = False
    while trial.tally.kills < kills:
        with trial.start() as running:
            if chance.random() < 0.2:
                _wait(running, chance.uniform(0.2, 1.5))
            else:
                alive = trial.answers_or_end(running, chance.randint(1, 20))
                if alive and not tried and trial.tally.kills >= 2:
                    tried = trial.refuses_a_second(running)
                if chance.random() < 0.2:
                    running.process.terminate()
                    _wait(running, chance.uniform(0, 0.3))
            ended = running.kill()
        if ended.code == -9:
            trial.killed(ended)
        else:
            trial.ended(ended, 0, 75)
        if ended.code == 0:
            trial.grow(chance.randint(20, pictures), equal_share)
        elif chance.random() < 0.15:
            trial.grow(chance.randint(3, 20), equal_share)


def kill_at(trial: Trial, point: Point) -> None:
    """Die at a point. Broken when the run never comes there."""
    with trial.start("--at", point.name) as running:
        if point.start == "told":
            trial.told_to_stop(running, 4)
        ended = running.end()
    trial.expect(ended.code == -9, f"the point {point.name} was never reached: exit {ended.code}", ended)
    trial.killed(ended)


def cut_power(trial: Trial, kills: int) -> None:
    """Kill, and cut every journal back to its last sync: only what was written just now may be gone.

    Kills at random meet the product's own bounds: the end of a small segment is a sync, too, and would hide a late one.
    """
    trial.grow(100)
    while trial.tally.kills < kills:
        trace = trial.folder / f"trace-{trial.tally.kills}-{time.monotonic_ns()}.txt"
        at = ("--at", trial.chance.choice(POWER_CUT_AT)) if trial.tally.kills % 3 == 2 else ()
        trial.small = bool(at)
        with trial.start("--trace", str(trace), *at) as running:
            if at:
                until(lambda: running.process.poll() is not None, "the point or the end")
            else:
                trial.answers_or_end(running, trial.chance.randint(5, 60))
            killed_at = time.monotonic()
            ended = running.kill()
        if ended.code == 0:
            trial.ended(ended, 0)
            trial.grow(100)
            continue
        before = dict(trial.killed(ended).answers())
        record = Trace.read(trace)
        trial.expect(not record.problems, "; ".join(record.problems[:3]), ended)
        gone = record.cut()
        may_be = SYNC_S + record.longest_sync + max(SLACK_S, 3 * record.longest_pause)
        old = [(record.died_at or killed_at) - written_at for written_at, _ in gone]
        trial.expect(
            all(age <= may_be for age in old),
            f"a power cut takes answers of up to {max(old, default=0):.3f} s before it; {may_be:.3f} s may be",
            ended,
        )
        after = dict(trial.reader.look().answers())
        lost = [name for name in before if name not in after]
        trial.tally.cut += len(lost)
        trial.cut_back(lost)


def _wait(running: Running, seconds: float) -> None:
    over = time.monotonic() + seconds
    until(lambda: time.monotonic() >= over or running.process.poll() is not None, "the time")


# The scenarios: each makes its trial, plays it, and completes the output


def _random(job: Job) -> Tally:
    with Trial(job.folder, job.seed, verify=job.verify) as trial:
        kill_at_random(trial, job.kills)
        trial.complete()
        trial.refuses_another_prompt()
    return trial.tally


def _two_tasks(job: Job) -> Tally:
    tasks = [{"kind": "caption", "model": "fake/caption"}, {"kind": "ocr", "model": "fake/ocr"}]
    with Trial(job.folder, job.seed, verify=job.verify, tasks=tasks) as trial:
        kill_at_random(trial, job.kills)
        trial.complete()
        trial.refuses_another_prompt()
    return trial.tally


def _equal_pictures(job: Job) -> Tally:
    with Trial(job.folder, job.seed, verify=job.verify) as trial:
        kill_at_random(trial, job.kills, equal_share=0.3)
        trial.complete()
    return trial.tally


def _mad_clock(job: Job) -> Tally:
    with Trial(job.folder, job.seed, verify=job.verify) as trial:
        trial.always = ("--clock-jump", "20000")
        kill_at_random(trial, job.kills)
        trial.complete()
    return trial.tally


def _power(job: Job) -> Tally:
    with Trial(job.folder, job.seed, verify=job.verify) as trial:
        cut_power(trial, job.kills)
        trial.complete()
    return trial.tally


def points(*chosen: Point) -> Callable[[Job], Tally]:
    """One output that dies at each of these points in turn. All of them have the same start."""

    def play(job: Job) -> Tally:
        calm: dict[str, Any] = {"fail_share": 0.15, "drop_share": 0.0, "latency": 0.02}
        start = chosen[0].start
        if start == "journaled":  # nothing may keep a segment but the rows that are committed
            calm |= {"script": "tests.crash.scripts:calm", "fail_share": 0.0}
        if start == "drained":
            calm["script"] = "tests.crash.scripts:unwilling"
        with Trial(job.folder, job.seed, verify=job.verify, small=start != "journaled", **calm) as trial:
            trial.grow(40 if start in {"new", "drained"} else 16, 0.0 if start == "drained" else EQUAL)
            if start in {"done", "killed", "told"}:
                with trial.start() as running:
                    trial.ended(running.end(), 0)
            for point in chosen:
                _lead_to(trial, start)
                kill_at(trial, point)
            trial.complete()
        return trial.tally

    return play


def _lead_to(trial: Trial, start: Start) -> None:
    if start in {"done", "killed", "told"}:
        trial.grow(20, EQUAL)
    if start in {"killed", "told"}:
        with trial.start() as running:
            trial.answers_or_end(running, 8)
            ended = running.kill()
        if ended.code == -9:
            trial.killed(ended)
        else:
            trial.ended(ended, 0)
        trial.grow(10, EQUAL)
    if start == "drained":
        with trial.start() as running:
            trial.told_to_stop(running, 14)
            trial.ended(running.end(), 75)
    if start == "journaled":
        kill_at(trial, named("before-recovered"))


def _chains() -> Iterator[Scenario]:
    """Every point once: those that may follow each other share an output."""
    several = [point for point in POINTS if point.start in {"killed", "told"}]
    for number, first in enumerate(range(0, len(several), CHAIN), start=1):
        chain = several[first : first + CHAIN]
        yield Scenario(f"points-{number}", POINTS_GROUP, points(*chain))
    for point in POINTS:
        if point not in several:
            yield Scenario(point.name, POINTS_GROUP, points(point))


def _file_limit(job: Job) -> Tally:
    with Trial(job.folder, job.seed, verify=job.verify, small=False) as trial:
        trial.grow(100)
        with trial.start("--file-bytes", "40000") as running:
            _full(trial, running, LOST_AT_FILE_LIMIT)
        trial.complete()
    return trial.tally


def _full_disk(job: Job) -> Tally:
    with (
        mounted(job.folder.with_suffix(".disk")) as place,
        Trial(job.folder, job.seed, place=place, verify=job.verify) as trial,
    ):
        for _ in range(2):
            trial.grow(100)
            with trial.start() as running:
                trial.answers_or_end(running, 12)
                fill(place / "filler")
                _full(trial, running, LOST_ON_FULL_DISK)
            (place / "filler").unlink()
        trial.complete()
    return trial.tally


def _full(trial: Trial, running: Running, may_be_lost: int) -> None:
    """I13: the run ends with exit 1 and names the disk; all but so many answers are kept."""
    ended = running.end()
    now = trial.ended(ended, 1)
    trial.expect("disk is full" in ended.stderr, "I13 the message does not name the disk", ended)
    lost = judge.extra_calls(trial.known, trial.log, now)
    trial.tally.full.append(lost)
    trial.expect(lost <= may_be_lost, f"I13 a full disk has cost {lost} answers", ended)


SCENARIOS = (
    Scenario("random-1", "random kills, grows", _random, 0.3),
    Scenario("random-2", "random kills, grows", _random, 0.3),
    Scenario("two-tasks", "random kills, two tasks", _two_tasks, 0.2),
    Scenario("equal-pictures", "random kills, equal pictures", _equal_pictures, 0.2),
    Scenario("power-cut", "power cut after each kill", _power, 0.15),
    Scenario("mad-clock", "a clock that jumps by hours", _mad_clock, 0.1),
    Scenario("full-disk", "a full disk", _full_disk),
    Scenario("file-limit", "a file that may not grow", _file_limit),
    *_chains(),
)
ALONE = tuple(Scenario(point.name, POINTS_GROUP, points(point)) for point in POINTS)
"""Each point on an output of its own, to be asked for by name."""
