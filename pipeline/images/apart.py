"""Decodes what is known to explode in child processes, under limits of memory and time.

A hostile file can then neither take the machine's memory nor hang or crash the run: it becomes the failure of its row,
and the next picture goes on. The limits count computing, not waiting, and a bad end counts only where a fresh child
came to it too: the verdict is the picture's own, whatever was decoded before it and however busy the machine is.
"""

from __future__ import annotations

import signal
import threading
from contextlib import suppress

from anyio import NoEventLoopError
from anyio.from_thread import check_cancelled

from pipeline.core.errors import ItemError, RunError
from pipeline.core.pictures import ImageContract, PreparedImage
from pipeline.images import apart_wire as wire
from pipeline.images.apart_link import Child, ChildEndedError
from pipeline.images.inspect import inspect
from pipeline.images.passing import MANY_SCANS
from pipeline.images.rules import ServerRules

MEMORY_MIB = 1280
"""Address space of a child. The largest pictures (89 megapixels) take 0.8 GB as AVIF and as a turned TIFF, and their
source, up to 256 MB, may be held twice."""

PDF_MEMORY_MIB = 640
"""Of a child that draws pages: a page has as many pixels as are sent, but its pictures may have many more."""

CPU_S = 60.0
"""Seconds of computing for a picture. The slowest that may come, 256 MB of plain PPM, takes 26 of one core of 2020."""

WALL_S = 900.0
"""Seconds by the clock, for a child that waits instead of computing; a busy machine does not get there."""

DOCUMENT = 5
"""So many times as long where all pages of a document are wanted: 200 of them take a second each at the worst."""

_OVERDUE = (None, -signal.SIGALRM, -signal.SIGPROF)

_LARGE_WEBP = 20_000_000
"""Pixels. Pillow 13 holds four copies of a WebP at once, and a child gives all memory back."""


def tame(source: bytes) -> bool:
    """Whether `source` may be decoded in the run's own process: JPEG of few scans, PNG, WebP. Quick.

    Their decoders are bounded by the size in the header, which has its cap. Everything else goes apart, and what is no
    picture with it. Raises ItemError as `inspect` does.
    """
    if source.startswith(b"\xff\xd8\xff"):
        return source.count(b"\xff\xda") <= MANY_SCANS  # in coded pixels 0xFF is never followed by that
    if source.startswith(b"RIFF") and source[8:12] == b"WEBP":
        header = inspect(source)
        return header.width * header.height <= _LARGE_WEBP
    return source.startswith(b"\x89PNG\r\n\x1a\n")


class Apart:
    """Up to `count` children, started when they are needed; for use from several threads.

    `memory_mib`, `cpu_s` and `wall_s` limit one picture. `close` ends the children.
    """

    def __init__(
        self, count: int, *, memory_mib: int = MEMORY_MIB, cpu_s: float = CPU_S, wall_s: float = WALL_S
    ) -> None:
        self._memory_mib = memory_mib
        self._cpu_s = cpu_s
        self._wall_s = wall_s
        self._count = count
        self._seats = threading.BoundedSemaphore(count)
        self._lock = threading.Lock()
        self._idle: list[Child] = []
        self._closed = False

    def prepare(self, source: bytes, contract: ImageContract, rules: ServerRules) -> tuple[PreparedImage, ...]:
        """What `pipeline.images.prepare.prepared` makes of it. Blocking, for a thread.

        In a thread of anyio whose task is cancelled it ends at once, with the cancellation. Raises ItemError as that
        function does, and unreadable for a picture that exceeds the limits or crashes its decoder; RunError when no
        child can be started, or `close` was called.
        """
        times = DOCUMENT if contract.pages == "all" else 1
        cpu_s, wall_s = self._cpu_s * times, self._wall_s * times
        request = wire.job(source, contract, rules, cpu_s, wall_s)
        with self._seats:
            try:
                return self._asked(self._idle_or_fresh(), request, wall_s)
            except ChildEndedError as ended:
                if ended.status in _OVERDUE:  # its time was its own
                    raise self._verdict(ended.status, times) from None
            try:
                return self._asked(self._fresh(), request, wall_s)
            except ChildEndedError as ended:
                raise self._verdict(ended.status, times) from None

    def close(self) -> None:
        """End all children and wait until they are gone. A thread that waits for one gets RunError, and no verdict."""
        self._closed = True
        for _ in range(self._count):
            self._seats.acquire()
        while self._idle:
            self._idle.pop().end()
        self._seats.release(self._count)

    def _asked(self, child: Child, request: tuple[bytes, ...], wall_s: float) -> tuple[PreparedImage, ...]:
        try:
            try:
                images = wire.read_answer(*child.ask(request, wall_s, self._memory_mib << 20))
            except wire.OddAnswerError as error:
                raise ChildEndedError(0) from error
        except ItemError:
            self._give_back(child)
            raise
        except BaseException:
            child.end()
            raise
        self._give_back(child)
        return images

    def _verdict(self, status: int | None, times: int) -> ItemError:
        if status in (None, -signal.SIGALRM):
            text = f"decoding does not end within {self._wall_s * times:g} s"
        elif status == -signal.SIGPROF:
            text = f"decoding takes more than {self._cpu_s * times:g} s of computing"
        elif status == wire.EXHAUSTED:
            text = f"decoding needs more than {self._memory_mib} MiB of memory"
        elif status == -signal.SIGABRT:  # C++ does so when memory is refused, and hardly ever for another reason
            text = f"the decoder gave up, as it does when it needs more than {self._memory_mib} MiB of memory"
        else:
            text = "the decoder crashed on it"
        return ItemError("unreadable", f"{text}: it is damaged or made to exhaust")

    def _idle_or_fresh(self) -> Child:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._fresh()

    def _fresh(self) -> Child:
        self._mind()
        try:
            return Child(self._memory_mib, self._mind)
        except (OSError, ChildEndedError) as error:
            why = error.strerror if isinstance(error, OSError) else "it ends at once"
            raise RunError(f"The process that decodes pictures does not start: {why}.") from error

    def _give_back(self, child: Child) -> None:
        with self._lock:
            self._idle.append(child)

    def _mind(self) -> None:
        """Nobody waits any more: the run was closed, or gives up what it has in its threads."""
        if self._closed:
            raise RunError("Decoding has been closed.")
        with suppress(NoEventLoopError):  # a thread of somebody else's cannot be cancelled
            check_cancelled()
