"""What `verify` tells a person, and whom it lets in: the holder of the output is respected, a reader is enough."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.audit import audit
from pipeline.core.errors import ConfigError, HeldError, LedgerError
from pipeline.ledger.output import Output
from pipeline.reporting.verdict import verdict, verdict_lines
from tests.ledger.outputs import found, small, stopped


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)


# The report


def test_the_report_says_what_was_checked_and_what_to_do(tmp_path: Path) -> None:
    stopped(tmp_path)
    (tmp_path / "_SUCCESS").touch()
    seen = audit(tmp_path)
    text = "\n".join(verdict_lines(seen.root, seen.findings, seen.checked))
    for words in (
        "tasks     caption, ocr",
        "planned   20 questions in 3 shards; 9 to do",
        "answered  5 in 3 parts",
        "failed    6 in 4 snapshots, 4 of them to be tried again",
        "journal   5 frames in 1 segment, 5 rows not committed yet",
        "cost      $2.5000 over the life of the output",
        "I10: _SUCCESS stands, but planned questions have no outcome (9)",
        "    ocr, shard 2: 3 rows (1, 2, 3)",
        "Delete _SUCCESS and run again.",
    ):
        assert words in text
    assert text.splitlines()[-1] == "verify: 3 findings"
    said = verdict(seen.findings, seen.checked)
    assert said["ok"] is False
    assert [one["code"] for one in said["findings"]] == [
        "success_unanswered",
        "success_retryable",
        "success_uncommitted",
    ]
    assert said["checked"]["left"] == 9


# Who may look


def test_what_is_no_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no folder"):
        audit(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no output of vlm-batch"):
        audit(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_was_only_begun_is_sound(tmp_path: Path) -> None:
    (tmp_path / "_run").mkdir()
    assert found(tmp_path) == (set(), set())
    assert list(tmp_path.rglob("*")) == [tmp_path / "_run"], "no lock is made where there is none"


def test_the_holder_of_the_output_is_named(tmp_path: Path) -> None:
    stopped(tmp_path)
    with Output(tmp_path).lock(), pytest.raises(HeldError, match=f"process {os.getpid()} on "):
        audit(tmp_path)
    assert found(tmp_path)[0] == set()


def test_nobody_starts_while_it_looks(tmp_path: Path) -> None:
    stopped(tmp_path)
    output = Output(tmp_path)
    output.lock().close()
    with output.lock_to_read() as held:
        assert held is not None
        with pytest.raises(HeldError):
            output.lock()


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on no file is opened for writing: root would not be stopped by a folder's mode."""

    def forbid() -> None:
        opened = Path.open

        def guarded(self: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
            if "r" not in mode:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))
            return opened(self, mode, *rest, **more)

        monkeypatch.setattr(Path, "open", guarded)

    return forbid


def test_a_folder_that_can_only_be_read_is_verified(tmp_path: Path, read_only: Callable[[], None]) -> None:
    stopped(tmp_path)
    Output(tmp_path).lock().close()
    with (tmp_path / "_run/lock").open("a+") as another:
        read_only()
        assert found(tmp_path)[0] == set()
        fcntl.flock(another, fcntl.LOCK_EX)
        with pytest.raises(HeldError, match="process"):
            audit(tmp_path)


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped(tmp_path)

    def denied(path: Path) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(LedgerError, match=r"Cannot read .*: Permission denied\."):
        audit(tmp_path)
