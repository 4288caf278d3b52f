"""`make bench` measures and prints; here only that it does, never how fast anything was."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.process import BrokenError, measured
from bench.table import Figure

ROOT = Path(__file__).parents[2]
linux = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="pins processes and reads /proc")
CHILD = """
import time
held = bytearray(b"x") * 100_000_000
while time.process_time() < 0.3:
    pass
"""
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}], check=True)"


def measure(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "bench", *options], cwd=ROOT, capture_output=True, text=True)


def lines_of(printed: str, workload: str) -> list[list[str]]:
    """The cells of the table's lines about a workload."""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]
    return [row for row in rows if row[0] == workload]


def test_a_quick_run_prints_what_was_measured_beside_its_reference_and_its_goal() -> None:
    ended = measure("--quick", "--only", "P2,P1")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for heading in ("workload", "what", "unit", "ours", "reference", "ratio", "goal"):
        assert heading in ended.stdout
    jpeg, png = lines_of(ended.stdout, "P2")
    assert "JPEG" in jpeg[1]
    assert "PNG" in png[1]
    for row in (jpeg, png):
        assert float(row[3]) > 0
        assert row[6] == "<= 1"
        assert row[7] in {"met", "not met"}
    (large,) = lines_of(ended.stdout, "P1")
    assert float(large[5]) > 0
    assert large[6] == "ratio >= 0.95"


@linux
def test_the_real_command_and_the_raw_client_ask_the_light_server_equally_often() -> None:
    ended = measure("--quick", "--only", "W1")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    cpu, memory, speed = lines_of(ended.stdout, "W1")
    assert cpu[6] == "<= 0.35"
    assert float(memory[3]) > float(memory[4]) > 10, "our process and the raw client both hold some megabytes"
    assert float(speed[3].replace(",", "")) > 0


@linux
def test_long_manifests_and_heavy_files_are_planned_and_read() -> None:
    ended = measure("--quick", "--only", "M1,M2")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (parquet, grown, cost), packed = lines_of(ended.stdout, "M1")[:3], lines_of(ended.stdout, "M1")[3]
    assert parquet[6:] == packed[6:] == ["<= 250", "met"]
    assert parquet[3] == grown[3]
    assert grown[6] == "ratio <= 1.1"
    assert float(cost[3]) > 0
    small, _, large, _ = lines_of(ended.stdout, "M2")
    assert small[6:] == ["<= 350", "met"]
    assert large[6:] == ["<= 700", "met"]


@linux
def test_objects_are_fetched_as_a_run_does_and_by_the_bare_client() -> None:
    ended = measure("--quick", "--only", "M3")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    cpu, speed = lines_of(ended.stdout, "M3")
    assert cpu[6] == "<= 0.5"
    assert float(speed[3].replace(",", "")) > 0
    assert float(speed[4].replace(",", "")) > 0


@linux
def test_what_a_child_of_the_command_costs_counts_too() -> None:
    cost = measured([sys.executable, "-c", PARENT])
    assert cost.cpu_s >= 0.3, "the child ends after 0.3 s of its own CPU time"
    assert cost.peak_bytes >= 100_000_000


@linux
def test_a_command_that_fails_is_no_measurement() -> None:
    with pytest.raises(BrokenError, match="no such picture"):
        measured([sys.executable, "-c", "raise SystemExit('no such picture')"])


def test_a_workload_that_does_not_exist_is_refused() -> None:
    ended = measure("--only", "W9")
    assert ended.returncode == 2
    assert "W9" in ended.stdout


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        (Figure("X", "from above", "ms", 2.0, goal=2.0), True),
        (Figure("X", "from above", "ms", 2.1, goal=2.0), False),
        (Figure("X", "of the ratio", "a second", 9.0, 10.0, 0.95, goal_of_ratio=True, at_least=True), False),
        (Figure("X", "of the ratio", "a second", 9.6, 10.0, 0.95, goal_of_ratio=True, at_least=True), True),
        (Figure("X", "no goal", "ms", 2.0, 1.0), None),
    ],
)
def test_a_goal_is_met_or_not(figure: Figure, met: bool | None) -> None:
    assert figure.met is met
