"""What a power cut would leave: a record of every write to the journal and of every sync, made from outside.

Each line is one event with its time (the machine's monotonic clock), written by one os.write:

    c PATH                  a segment was created            d PATH        a folder was synced
    w PATH END              a frame was written up to END    l FROM TO     a file got its name
    s PATH SIZE SECONDS     a file was synced                u PATH        a segment was deleted
    h SECONDS               the process stood still          k             it is about to die
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SUFFIX = ".vlj"
STILL_S = 0.04
"""A pause of a thread that does nothing, from which on the whole process counts as held up."""


class Recorder:
    """Wraps the functions of `os` and `Path` that the journal and the parts go through."""

    def __init__(self, path: Path) -> None:
        self._write = os.write
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._paths: dict[int, str] = {}
        self._wrap(os, "open", self._open)
        self._wrap(os, "write", self._written)
        self._wrap(os, "fsync", self._synced)
        self._wrap(os, "fdatasync", self._synced)
        self._wrap(os, "link", self._linked)
        self._wrap(Path, "unlink", self._unlinked)
        threading.Thread(target=self._beat, daemon=True).start()

    def note(self, kind: str, *values: object) -> None:
        """One line."""
        self._write(self._file, "\t".join((kind, f"{time.monotonic():.6f}", *map(str, values))).encode() + b"\n")

    def _wrap(self, owner: Any, name: str, around: Callable[..., Any]) -> None:
        call = getattr(owner, name)
        setattr(owner, name, lambda *values, **named: around(call, *values, **named))

    def _open(self, call: Callable[..., int], path: Any, flags: int, *values: Any, **named: Any) -> int:
        descriptor = call(path, flags, *values, **named)
        self._paths[descriptor] = os.fspath(path)
        if flags & os.O_CREAT and str(path).endswith(SUFFIX):
            self.note("c", path)
        return descriptor

    def _written(self, call: Callable[..., int], descriptor: int, data: Any) -> int:
        count = call(descriptor, data)
        path = self._paths.get(descriptor, "")
        if path.endswith(SUFFIX):
            self.note("w", path, os.lseek(descriptor, 0, os.SEEK_CUR))
        return count

    def _synced(self, call: Callable[..., None], descriptor: int) -> None:
        path, size, started = self._paths.get(descriptor, "?"), os.fstat(descriptor).st_size, time.monotonic()
        call(descriptor)
        if os.path.isdir(path):  # noqa: PTH112 - Path is watched itself
            self.note("d", path)
        else:
            self.note("s", path, size, f"{time.monotonic() - started:.6f}")

    def _linked(self, call: Callable[..., None], source: Any, target: Any, **named: Any) -> None:
        call(source, target, **named)
        self.note("l", source, target)

    def _unlinked(self, call: Callable[..., None], path: Path, *values: Any, **named: Any) -> None:
        if path.suffix == SUFFIX:
            self.note("u", path)
        call(path, *values, **named)

    def _beat(self) -> None:
        before = time.monotonic()
        while True:
            time.sleep(0.005)  # a heart beats
            now = time.monotonic()
            if now - before > STILL_S:
                self.note("h", f"{now - before:.6f}")
            before = now


@dataclass
class Trace:
    """A trace read back: per segment what was written when, and up to where it is on the disk."""

    written: dict[Path, list[tuple[float, int]]] = field(default_factory=dict)
    synced: dict[Path, int] = field(default_factory=dict)
    longest_sync: float = 0.0
    longest_pause: float = 0.0
    died_at: float | None = None
    problems: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Trace":
        """Every whole line."""
        trace = cls()
        named: dict[Path, Path] = {}
        whole: dict[Path, int] = {}
        created: set[Path] = set()
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        for kind, time_, *values in (line.split("\t") for line in lines):
            if kind == "c":
                created.add(Path(values[0]))
                trace.written.setdefault(Path(values[0]), [])
            elif kind == "w":
                trace.written.setdefault(Path(values[0]), []).append((float(time_), int(values[1])))
            elif kind == "s":
                trace.longest_sync = max(trace.longest_sync, float(values[2]))
                whole[Path(values[0])] = int(values[1])
                if Path(values[0]) not in created:  # a name that is not on the disk yet leads nowhere
                    trace.synced[Path(values[0])] = int(values[1])
            elif kind == "d":
                created = {segment for segment in created if segment.parent != Path(values[0])}
                named = {final: scratch for final, scratch in named.items() if final.parent != Path(values[0])}
            elif kind == "l":
                scratch, final = map(Path, values)
                named[final] = scratch
                if whole.get(scratch) != final.stat().st_size if final.exists() else scratch not in whole:
                    trace.problems.append(f"{final.name} got its name before its bytes were synced")
            elif kind == "u" and named:
                lost = ", ".join(path.name for path in named)
                trace.problems.append(f"{Path(values[0]).name} was deleted before the names were synced of {lost}")
            elif kind == "h":
                trace.longest_pause = max(trace.longest_pause, float(values[0]))
            elif kind == "k":
                trace.died_at = float(time_)
        return trace

    def cut(self) -> list[tuple[float, Path]]:
        """Cut every segment of this run back to its last sync; when each frame that is gone had been written."""
        gone = []
        for segment, frames in self.written.items():
            kept = self.synced.get(segment, 0)
            gone += [(time_, segment) for time_, end in frames if end > kept]
            if segment.exists() and segment.stat().st_size > kept:
                os.truncate(segment, kept)
        return gone
