"""Planning long manifests: memory does not grow with them, and every row stays what it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def rewritten(kind: str, rows: int, folder: Path) -> dict[str, float]:
    folder.mkdir()
    command = [sys.executable, "-m", "tests.manifests.rewritten", kind, str(rows), str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found: dict[str, float] = json.loads(result.stdout)
    print(kind, rows, found)
    return found


def test_memory_does_not_grow_with_the_manifest(tmp_path: Path) -> None:
    """Twenty thousand rows fill a shard; nothing but a bit a row may come on top."""
    short, long = (rewritten("listing", rows, tmp_path / str(rows)) for rows in (20_000, 200_000))
    assert long["peak_mb"] - short["peak_mb"] < 40


@pytest.mark.slow
def test_many_rows_are_planned_again(tmp_path: Path) -> None:
    assert rewritten("listing", 300_000, tmp_path / "many")["peak_mb"] < 300


def test_addresses_signed_anew_and_shuffled_leave_what_is_new(tmp_path: Path) -> None:
    assert rewritten("parquet", 20_000, tmp_path / "set")["to_do"] == 200


@pytest.mark.slow
def test_many_addresses_signed_anew_leave_a_hundredth(tmp_path: Path) -> None:
    found = rewritten("parquet", 200_000, tmp_path / "set")
    assert found["to_do"] == 2_000
    assert found["peak_mb"] < 250
