"""The short form of `make crash`: ten kills of one output, five at random and five at a named point."""

from pathlib import Path

import pytest

from tests.crash.points import POINTS, missing, named
from tests.crash.scenarios import kill_at, kill_at_random
from tests.crash.trace import Trace
from tests.crash.trial import CONCURRENCY, Trial, can_verify

AT = ("mid-frame", "mid-replay", "after-link", "part-known", "rows-named")


@pytest.mark.slow
def test_ten_kills_lose_nothing_double_nothing_and_buy_nothing_twice(tmp_path: Path) -> None:
    with Trial(tmp_path / "trial", 20, verify=can_verify(), latency=0.02) as trial:
        kill_at_random(trial, 5, pictures=30)
        for name in AT:
            trial.grow(12)
            kill_at(trial, named(name))
        trial.complete()
        trial.refuses_another_prompt()
    tally = trial.tally
    assert tally.kills == 10
    assert (tally.lost, tally.doubled, tally.again) == (0, 0, 0)
    assert max(tally.extra) <= CONCURRENCY
    print(f"{tally.kills} kills, {tally.answers} answers, extra calls per kill {tally.extra}, {tally.seconds:.0f} s")


def test_every_point_is_a_function_of_the_product() -> None:
    assert missing() == []
    assert len({point.name for point in POINTS}) == len(POINTS)


def test_a_power_cut_takes_what_was_not_synced(tmp_path: Path) -> None:
    one, two = tmp_path / "000001.vlj", tmp_path / "000002.vlj"
    one.write_bytes(bytes(30))
    two.write_bytes(bytes(10))
    lines = [
        *(f"c\t1.0\t{one}", f"d\t1.1\t{tmp_path}", f"w\t1.2\t{one}\t10", f"w\t1.3\t{one}\t20"),
        *(f"s\t1.4\t{one}\t20\t0.010", f"w\t1.5\t{one}\t30", f"c\t1.6\t{two}", f"w\t1.7\t{two}\t10"),
        *(f"s\t1.8\t{two}\t10\t0.020", "k\t1.9", "h\t9"),  # the last line is torn
    ]
    (tmp_path / "trace").write_text("\n".join(lines))
    trace = Trace.read(tmp_path / "trace")
    assert (trace.longest_sync, trace.died_at, trace.problems) == (0.02, 1.9, [])
    assert trace.cut() == [(1.5, one), (1.7, two)]
    assert (one.stat().st_size, two.stat().st_size) == (20, 0), "the second segment's name was never synced"
