"""The output folder: where each file lies, who may write, and which configuration it belongs to.

Everything a reader sees is under data/ and failures/; everything of ours is under _run/.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import orjson

from pipeline.core.errors import HeldError, LedgerError
from pipeline.storage.local import create, make_folder, write_error

_CONFIG = re.compile(r"config-(\d+)\.json")


class Output:
    """Names of everything under OUT. Paths only; creating the object touches nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run = root / "_run"
        self.plan = self.run / "plan"
        self.journal = self.run / "journal"
        self.segments = self.run / "segments"
        self.scratch = self.run / "tmp"
        self.reserve = self.run / "reserve"
        self.index = self.run / "index.sqlite"
        self.runs = self.run / "runs.jsonl"
        self.success = root / "_SUCCESS"

    def planned_in(self, folder: Path) -> Output:
        """The same output, whose next plan grows in `folder`: what is read is OUT's, and nothing is written there."""
        other = Output(self.root)
        other.plan, other.scratch = folder / "plan", folder / "tmp"
        make_folder(other.plan)
        for path in sorted(self.plan.iterdir()) if self.plan.is_dir() else []:
            (other.plan / path.name).symlink_to(path.absolute())
        return other

    def data(self, task: str) -> Path:
        """The folder of a task's parts."""
        return self.root / "data" / task

    def failures(self, task: str) -> Path:
        """The folder of a task's failure snapshots."""
        return self.root / "failures" / task

    def holds_answers(self) -> bool:
        """Whether anything was ever committed or journaled here."""
        patterns = ("data/*/part-*.parquet", "failures/*/shard-*.parquet", "_run/journal/*.vlj")
        return any(True for pattern in patterns for _ in self.root.glob(pattern))

    def lock(self) -> IO[str]:
        """Become the only writer until the returned file is closed or the process dies.

        Raises HeldError naming the holder, LedgerError when the folder cannot be written.
        """
        make_folder(self.run)
        path = self.run / "lock"
        try:
            file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise write_error(error, path) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._held(file) from None
        except OSError as error:  # a file system without locks: nobody holds it, and nobody could
            file.close()
            raise write_error(error, path) from None
        try:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
        except OSError as error:  # the lock is held all the same; closing it lets go
            with suppress(OSError):
                file.close()
            raise write_error(error, path) from None
        return file

    def holder(self) -> str | None:
        """Who works on the output at this moment, None when nobody does. Writes nothing."""
        try:
            with (self.run / "lock").open(encoding="utf-8") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return file.read().strip() or "an unnamed process"
        except OSError:  # no lock file, or a file system without locks
            return None
        return None

    def lock_to_read(self) -> IO[str] | None:
        """The same for one who changes nothing: no file is made, and where none can be written, to look is enough.

        None when there is no lock, or none that can be taken. Raises HeldError naming the holder.
        """
        path = self.run / "lock"
        if not path.exists():
            return None
        try:
            return self.lock()
        except (LedgerError, OSError):  # only to be read, or the disk is full
            try:
                file = path.open(encoding="utf-8")
            except OSError:
                return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._held(file) from None
        except OSError:
            file.close()
            return None
        return file

    def _held(self, file: IO[str]) -> HeldError:
        file.seek(0)
        holder = file.read().strip() or "an unnamed process"
        file.close()
        return HeldError(
            f"{self.root} is being worked on by {holder}. Wait for it to end, then run the same command again."
        )

    def take_back_success(self) -> None:
        """There is work: nobody may read `_SUCCESS` until it is done. Raises LedgerError."""
        try:
            self.success.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(error, self.success) from None

    def clear_scratch(self) -> None:
        """Delete what a killed process left half-written. Only the holder of the lock may."""
        if self.scratch.is_dir():
            for path in self.scratch.iterdir():
                if not path.is_dir():  # a folder is not of our making
                    path.unlink()

    def newest_config(self) -> dict[str, Any] | None:
        """The configuration this output stands under, None for a new output. Raises LedgerError."""
        number = self._newest()
        if number == 0:
            return None
        path = self.run / f"config-{number}.json"
        try:
            record: dict[str, Any] = orjson.loads(path.read_bytes())
            if not isinstance(record, dict) or "fingerprints" not in record:
                raise ValueError("it does not name the settings of its tasks")
        except (OSError, ValueError) as error:
            raise LedgerError(f"Cannot read {path}: {error}. The output's configuration is damaged.") from None
        return record

    def record_config(self, record: Mapping[str, Any]) -> None:
        """Keep this configuration as the newest, unless it is the newest already. Raises LedgerError."""
        if self.newest_config() == record:
            return
        path = self.run / f"config-{self._newest() + 1}.json"
        content = orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
        if not create(path, content, self.scratch):
            raise LedgerError(f"{path} appeared while this process held the output.")

    def _newest(self) -> int:
        if not self.run.is_dir():
            return 0
        numbers = (_CONFIG.fullmatch(path.name) for path in self.run.iterdir())
        return max((int(match[1]) for match in numbers if match), default=0)


def changed_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[str]]:
    """By task: the names of the settings in which two records' fingerprints differ.

    A task that is only in one of them is no change.
    """
    changes = {}
    for task, settings in new["fingerprints"].items():
        before = old["fingerprints"].get(task, settings)
        if changed := sorted(name for name in {*before, *settings} if before.get(name) != settings.get(name)):
            changes[task] = changed
    return changes


def merge_fingerprints(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> dict[str, Any]:
    """The new record, still knowing the tasks that only the old one names: they may come back."""
    earlier = old["fingerprints"] if old else {}
    return {**new, "fingerprints": {**earlier, **new["fingerprints"]}}
