"""The output folder: one writer at a time, and one configuration that its answers were paid for under."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.core.errors import HeldError, LedgerError
from pipeline.ledger.output import Output, changed_settings, merge_fingerprints

HOLDER = """
import sys
from pathlib import Path
from pipeline.ledger.output import Output
held = Output(Path(sys.argv[1])).lock()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    output = Output(tmp_path / "out")
    command = [sys.executable, "-c", HOLDER, str(output.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(HeldError, match=rf"is being worked on by process {first.pid} on .*run the same command"):
            output.lock()
        first.send_signal(signal.SIGKILL)
        first.wait()
    with output.lock():
        pass


def test_the_lock_ends_with_its_file(tmp_path: Path) -> None:
    output = Output(tmp_path)
    with output.lock(), pytest.raises(HeldError, match=f"process {os.getpid()} on"):
        output.lock()
    output.lock().close()


def test_a_folder_without_locks_is_not_called_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(LedgerError, match=r"Cannot write .*lock: No locks available"):
        Output(tmp_path).lock()


def test_a_file_where_the_output_should_be(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(LedgerError, match=r"Cannot write .*: Not a directory"):
        Output(tmp_path / "out").lock()


def record(**tasks: dict[str, Any]) -> dict[str, Any]:
    return {"version": "1", "fingerprints": tasks, "config": {}}


CAPTION = {"kind": "caption", "model": "m", "temperature": 0.0, "labels": None}


def configs(output: Output) -> list[str]:
    return sorted(path.name for path in output.run.glob("config-*"))


def test_a_configuration_is_recorded_when_it_changes_and_only_then(tmp_path: Path) -> None:
    output = Output(tmp_path)
    assert output.newest_config() is None
    output.record_config(record(caption=CAPTION))
    output.record_config(record(caption=CAPTION))
    assert configs(output) == ["config-1.json"]

    output.record_config(record(caption=CAPTION, ocr={"kind": "ocr"}))
    assert configs(output) == ["config-1.json", "config-2.json"]
    assert output.newest_config() == record(caption=CAPTION, ocr={"kind": "ocr"})
    assert orjson.loads((output.run / "config-1.json").read_bytes()) == record(caption=CAPTION), "never overwritten"


def test_the_tenth_configuration_is_newer_than_the_ninth(tmp_path: Path) -> None:
    output = Output(tmp_path)
    for number in range(1, 12):
        output.record_config(record(caption={**CAPTION, "seed": number}))
    newest = output.newest_config()
    assert newest is not None
    assert newest["fingerprints"]["caption"]["seed"] == 11
    assert len(configs(output)) == 11


def test_changed_settings_are_named_task_by_task() -> None:
    old = record(caption=CAPTION, ocr={"kind": "ocr", "model": "m"})
    new = record(caption={**CAPTION, "model": "other", "temperature": 0.5}, ocr={"kind": "ocr", "model": "other"})
    assert changed_settings(old, new) == {"caption": ["model", "temperature"], "ocr": ["model"]}


def test_a_setting_that_is_new_to_the_product_counts_as_not_set() -> None:
    before = record(caption=CAPTION)
    assert changed_settings(before, record(caption={**CAPTION, "schema": None})) == {}
    assert changed_settings(before, record(caption={**CAPTION, "schema": "a.json"})) == {"caption": ["schema"]}


def test_a_task_more_or_less_is_no_change_and_is_remembered() -> None:
    both, caption = record(caption=CAPTION, ocr={"kind": "ocr"}), record(caption=CAPTION)
    assert changed_settings(caption, both) == changed_settings(both, caption) == {}
    assert merge_fingerprints(both, caption) == both
    assert merge_fingerprints(None, caption) == caption
    assert changed_settings(merge_fingerprints(both, caption), record(ocr={"kind": "caption"})) == {"ocr": ["kind"]}


@pytest.mark.parametrize("content", [b"", b'{"fingerprints": {', b"[]", b"{}", b"\xff\xfe"])
def test_a_damaged_configuration_is_named(tmp_path: Path, content: bytes) -> None:
    output = Output(tmp_path)
    output.run.mkdir()
    (output.run / "config-1.json").write_bytes(content)
    with pytest.raises(LedgerError, match=r"Cannot read .*config-1\.json.*configuration is damaged"):
        output.newest_config()
