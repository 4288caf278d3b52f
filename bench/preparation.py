"""P1: how much of preparing a large photograph is not Pillow. P2: what a picture costs that needs nothing."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from PIL import Image

from bench import pictures
from bench.process import BrokenError
from bench.table import Figure
from pipeline.core.pictures import ImageContract
from pipeline.images.apart import Apart
from pipeline.images.preparer import ImagePreparer
from pipeline.images.rules import ServerRules

_SIDE = 1024
_CONTRACT = ImageContract(max_side=_SIDE)
_RULES = ServerRules(frozenset({"JPEG", "PNG"}))


def large_photographs(place: Path, *, quick: bool) -> list[Figure]:
    """P1."""
    del place
    width, height = (1600, 1200) if quick else pictures.TWELVE_MEGAPIXELS
    photographs = [pictures.photograph(seed, width, height) for seed in range(2 if quick else 6)]
    threads = os.cpu_count() or 2
    preparer = ImagePreparer(_RULES, Apart(threads), Apart(threads))

    def ours(source: bytes) -> None:
        preparer.weigh(source, _CONTRACT)  # as the run does before it
        preparer.prepare(source, _CONTRACT)

    with ThreadPoolExecutor(threads) as pool:
        for act in (ours, _bare):
            _per_second(pool, act, photographs)  # warm: allocators and plugins
        # Short turns: what else the machine does in the meantime then falls on both alike.
        turns = range(1 if quick else 28)
        pairs = [(_per_second(pool, ours, photographs), _per_second(pool, _bare, photographs)) for _ in turns]
    mine, theirs = zip(*pairs, strict=True)
    what = f"{width * height / 1e6:.0f} MP to {_SIDE} px in {threads} threads, against the bare Pillow calls"
    return [Figure("P1", what, "a second", median(mine), median(theirs), 0.95, goal_of_ratio=True, at_least=True)]


def _bare(source: bytes) -> None:
    """The Pillow calls that such a picture takes, and nothing else."""
    with Image.open(io.BytesIO(source)) as picture:
        longest = max(picture.size)
        picture.draft(None, (picture.width * _SIDE // longest, picture.height * _SIDE // longest))
        picture.load()
        drawn = picture if picture.mode in ("RGB", "L") else picture.convert("RGB")
        drawn.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        drawn.save(io.BytesIO(), "JPEG", quality=90)


def _per_second(pool: ThreadPoolExecutor, act: Callable[[bytes], None], work: Sequence[bytes]) -> float:
    started = time.perf_counter()
    for done in [pool.submit(act, source) for source in work]:
        done.result()
    return len(work) / (time.perf_counter() - started)


def untouched(place: Path, *, quick: bool) -> list[Figure]:
    """P2."""
    del place
    preparer, times = ImagePreparer(_RULES, Apart(1), Apart(1)), 5 if quick else 200
    jpegs = [pictures.photograph(seed, _SIDE, _SIDE, 88) for seed in range(4)]
    drawings = [pictures.drawing(seed, _SIDE, _SIDE) for seed in range(4)]
    figures = []
    for kind, sources in (("JPEG", jpegs), ("PNG", drawings)):
        seconds = []
        for index in range(times):
            source = sources[index % len(sources)]
            started = time.perf_counter()
            preparer.weigh(source, _CONTRACT)
            (sent,) = preparer.prepare(source, _CONTRACT)
            seconds.append(time.perf_counter() - started)
            if sent.data != source:
                raise BrokenError(f"a {kind} that needs nothing was changed")
        size = sum(map(len, sources)) / len(sources) / 1000
        figures.append(
            Figure("P2", f"{kind} of 1 MP, {size:.0f} KB, that needs nothing", "ms", median(seconds) * 1000, goal=1.0)
        )
    return figures
