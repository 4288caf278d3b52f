"""A journal in a folder of its own, and what is read back of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.core.outcomes import Frame
from pipeline.ledger.frames import Replay, replay
from pipeline.ledger.journal import Journal


def journal_in(folder: Path, **options: Any) -> Journal:
    return Journal(folder, folder.with_name(f"{folder.name}.segments"), **options)


def record(folder: Path) -> list[str]:
    return folder.with_name(f"{folder.name}.segments").read_text().splitlines()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def frames(path: Path) -> list[Frame]:
    *found, end = replay(path)
    assert isinstance(end, Replay)
    assert not end.damaged
    return [frame for frame in found if isinstance(frame, Frame)]
