"""A decoder with a hole in it, for children only: a picture that begins with `run:` is a program, which is then run.

It comes into the children through `sitecustomize`, so that the product needs no way in. What stands behind the program
is the picture that the decoder gives back when the program has let it live.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_HOLE = """
import pipeline.images.prepare as room

sound = room.prepared

def prepared(source, contract, rules):
    if source.startswith(b"run:"):
        program, _, source = source[4:].partition(bytes(1))
        exec(program, {})
    return sound(source, contract, rules)

room.prepared = prepared
"""

SEGFAULT = "import ctypes; ctypes.string_at(0)"
SPIN = "while True: pass"
SLEEP = "import time; time.sleep(3600)"


@pytest.fixture
def flawed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Children that are started from here on have the hole."""
    folder = tmp_path / "flaw"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_HOLE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))


def program(code: str, picture: bytes = b"") -> bytes:
    return b"run:" + code.encode() + b"\0" + picture


def children(parent: int) -> set[int]:
    """The decoding children of a process, by their pids."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            above = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        if above == parent and b"pipeline.images.apart_child" in command:
            found.add(int(folder.name))
    return found


class Sign:
    """A way for a child to say that it has got so far, and with which pid."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "sign"
        os.mkfifo(self._path)

    @property
    def code(self) -> str:
        return f"import os; sign = open({str(self._path)!r}, 'w'); sign.write(str(os.getpid())); sign.close()\n"

    def wait(self) -> int:
        return int(self._path.read_text(encoding="ascii"))


@pytest.fixture
def sign(tmp_path: Path) -> Sign:
    return Sign(tmp_path)
