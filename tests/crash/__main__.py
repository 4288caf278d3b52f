"""Kill a few hundred real runs and check after each that nothing was lost, doubled or bought again.

    python -m tests.crash                       everything; 6 to 10 minutes on two cores
    python -m tests.crash --only power-cut      one scenario, or one point: --only mid-frame
    python -m tests.crash --seed 7 --kills 20   other moments, fewer of them

A scenario that breaks keeps its folder: output, pictures, configuration and the server's log.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.table import Table

from tests.crash.disk import Skipped
from tests.crash.scenarios import ALONE, SCENARIOS, Job, Scenario
from tests.crash.trial import CONCURRENCY, Broken, Tally, can_verify


@dataclass
class Played:
    """A scenario that was played: what it counted, or why it broke or was skipped."""

    scenario: Scenario
    tally: Tally
    broken: str = ""
    skipped: str = ""


def main(arguments: list[str]) -> int:
    """Play, print, judge. 0 when every invariant held."""
    options = _parser().parse_args(arguments)
    known = {scenario.name: scenario for scenario in (*ALONE, *SCENARIOS)}
    if unknown := set(options.only) - set(known):
        print(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        return 2
    chosen = [known[name] for name in options.only] or list(SCENARIOS)
    place = Path(tempfile.mkdtemp(prefix="vlm-batch-crash-"))
    verify = can_verify()
    print(f"seed {options.seed}, {options.kills} random kills, verify {'after each' if verify else 'not there yet'}")
    started = time.monotonic()

    def play(scenario: Scenario) -> Played:
        seed = random.Random(f"{options.seed} {scenario.name}").randrange(10_000)
        kills = round(options.kills * scenario.share)
        return _play(scenario, Job(place / scenario.name, seed, kills, verify))

    with ThreadPoolExecutor(options.lanes) as lanes:
        played = list(lanes.map(play, chosen))
    console = Console(width=None if sys.stdout.isatty() else 130)
    console.print(_table(played))
    print(_total(played, time.monotonic() - started))
    for one in played:
        if one.skipped:
            print(f"skipped {one.scenario.name}: {one.skipped}")
    broken = [one for one in played if one.broken]
    for one in broken:
        print(f"\nBROKEN {one.scenario.name}\n  {one.broken}\n  kept: {place / one.scenario.name}")
        print(
            f"  again: python -m tests.crash --seed {options.seed} --kills {options.kills} --only {one.scenario.name}"
        )
    if not broken:
        place.rmdir()
    return 1 if broken else 0


def _play(scenario: Scenario, job: Job) -> Played:
    started = time.monotonic()
    try:
        tally = scenario.play(job)
    except Skipped as skipped:
        job.folder.with_suffix(".disk").rmdir()
        return Played(scenario, Tally(), skipped=str(skipped))
    except Exception as error:  # noqa: BLE001 - whatever breaks a scenario is reported with the others
        print(f"  {scenario.name}: broken", flush=True)
        counted = (
            error.tally if isinstance(error, Broken) and error.tally else Tally(seconds=time.monotonic() - started)
        )
        return Played(scenario, counted, broken=f"{type(error).__name__}: {error}")
    shutil.rmtree(job.folder)
    print(f"  {scenario.name}: {tally.kills} kills, {tally.seconds:.0f} s", flush=True)
    return Played(scenario, tally)


def _table(played: list[Played]) -> Table:
    table = Table("scenario", title="Killed and run again")
    for heading in ("kills", "answers", "lost", "doubled", "bought again", "extra max", "mean", "in flight", "s", ""):
        table.add_column(heading, justify="right")
    for group in dict.fromkeys(one.scenario.group for one in played):
        members = [one for one in played if one.scenario.group == group]
        total = _sum([one.tally for one in members])
        broken, skipped = sum(bool(one.broken) for one in members), all(one.skipped for one in members)
        numbers = (total.kills, total.answers, total.lost, total.doubled, total.again, max(total.extra, default=0))
        table.add_row(
            group,
            *(f"{number:,}" for number in numbers),
            f"{fmean(total.extra or [0]):.1f}",
            str(CONCURRENCY),
            f"{total.seconds:.0f}",
            f"{broken} broken" if broken else "skipped" if skipped else _remark(total),
        )
    return table


def _remark(tally: Tally) -> str:
    if tally.full:
        return f"cost {', '.join(map(str, tally.full))}"
    return f"{tally.cut} cut off" if tally.cut else "ok"


def _sum(tallies: list[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        for name in ("kills", "answers", "lost", "doubled", "again", "cut", "seconds"):
            setattr(total, name, getattr(total, name) + getattr(tally, name))
        total.extra += tally.extra
        total.full += tally.full
    return total


def _total(played: list[Played], seconds: float) -> str:
    total = _sum([one.tally for one in played])
    most = max(total.extra, default=0)
    sign = "<=" if most <= CONCURRENCY else "> "
    broken = sum(bool(one.broken) for one in played)
    return (
        f"{total.kills} kills, {total.answers:,} answers in {seconds:.0f} s: "
        f"lost {total.lost}, doubled {total.doubled}, usable answers asked again {total.again}, "
        f"extra calls per kill {sign} calls in flight ({most} of {CONCURRENCY})"
        + f"; {broken} scenarios broken"
        * bool(broken)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--kills", type=int, default=200, help="random kills, over the outputs that share them")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this scenario; may be repeated")
    parser.add_argument("--lanes", type=int, default=2, help="outputs worked on at once")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
