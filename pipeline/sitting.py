"""A sitting: one time that a regression asks its samples, in a folder of its own.

One that was stopped before it was judged goes on, since its answers are paid for, as long as everything that is asked
is still the same and it began less than an hour ago: after that its answers no longer tell how the model is today.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from pipeline.compose import new_run_id, open_tasks, record_of
from pipeline.config import Config
from pipeline.ledger.output import Output
from pipeline.opening import manifest_units
from pipeline.storage import local

GOES_ON_S: Final = 3600.0
"""How long after its beginning a sitting may go on."""
_NOTE: Final = "sitting.json"


@dataclass(frozen=True, slots=True)
class Sitting:
    """Where the answers go. `goes_on`: some of them may be there already."""

    root: Path
    question: str
    begun_at: float
    goes_on: bool

    def judged(self) -> None:
        """It is over: the next one asks anew. Raises LedgerError."""
        self._write(judged=True)

    def _write(self, *, judged: bool) -> None:
        note = {"question": self.question, "begun_at": self.begun_at, "judged": judged}
        local.make_folder(self.root)
        local.replace(self.root / _NOTE, orjson.dumps(note), self.root / "_run")


def begin(config: Config, folder: Path, *, fresh: bool) -> Sitting:
    """A new sitting below `folder`, or unless it has to be `fresh` one that was stopped; `config` is what will be run.

    Raises ConfigError: the manifest cannot be opened; LedgerError: the folder cannot be written.
    """
    question = _question(config)
    found = [] if fresh or not folder.is_dir() else [_stopped(root, question) for root in folder.iterdir()]
    sitting = max(filter(None, found), key=lambda one: one.begun_at, default=None)
    if sitting is None:
        sitting = Sitting(folder / new_run_id(), question, time.time(), goes_on=False)
        sitting._write(judged=False)  # noqa: SLF001 - its own maker
    return sitting


def _stopped(root: Path, question: str) -> Sitting | None:
    """The sitting in a folder, when it may go on. What cannot be read is left alone."""
    try:
        note = orjson.loads((root / _NOTE).read_bytes())
        if note["judged"] or note["question"] != question or not 0 <= time.time() - note["begun_at"] < GOES_ON_S:
            return None
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return Sitting(root, question, note["begun_at"], goes_on=True)


def _question(config: Config) -> str:
    """A hash of all that is asked: settings, prompts as they are today, pictures."""
    record = record_of(config)
    del record["started_in"]
    for decides_no_answer in ("run", "limits", "retry"):
        del record["config"][decides_no_answer]
    prompts = {name: task.fixed.sha256 for name, task in open_tasks(config).items()}
    units = {unit.name: unit.fingerprint() for unit in manifest_units(config, Output(Path(config.run.output)))}
    return hashlib.sha256(orjson.dumps([record, prompts, units], option=orjson.OPT_SORT_KEYS)).hexdigest()
