"""The event loop stays awake while real pictures are prepared: answers are read and journaled in between."""

from __future__ import annotations

import io
import time
from statistics import median, quantiles
from typing import Any

import anyio
import pytest
from PIL import Image

from pipeline.core.pictures import ImageContract
from pipeline.core.types import ManifestRow
from pipeline.images.apart import Apart
from pipeline.images.preparer import ImagePreparer
from pipeline.images.rules import ServerRules
from tests.engine.fake_rooms import FakeSource
from tests.engine.fakes import FakeProvider, World

TICK_S = 0.005


def _large_picture() -> bytes:
    across = Image.linear_gradient("L").resize((4000, 3000))
    grain = Image.effect_noise((4000, 3000), 20)
    out = io.BytesIO()
    Image.merge("RGB", (across, grain, across.rotate(180))).save(out, "PNG", compress_level=1)
    return out.getvalue()


class Photos:
    """Every row is the same large picture with another tail, which PNG ignores."""

    def __init__(self) -> None:
        self.photo = _large_picture()

    def fetch(self, row: ManifestRow) -> bytes:
        return self.photo + row.key.encode()


class Timed(ImagePreparer):
    """Notes how long each picture took."""

    seconds: list[float]

    def prepare(self, source: bytes, contract: ImageContract) -> Any:
        started = time.perf_counter()
        try:
            return super().prepare(source, contract)
        finally:
            self.seconds.append(time.perf_counter() - started)


class Anything(FakeProvider):
    """Renders real pictures."""

    def render(self, prompt: Any, repair: Any = None) -> bytes:
        return f"caption/{hash(prompt.images[0].data)}-{len(self.bodies)}".encode()


@pytest.mark.parametrize("threads", [2])
def test_the_loop_is_awake_while_pictures_are_prepared(threads: int) -> None:
    preparer = Timed(ServerRules(frozenset({"JPEG", "PNG"})), Apart(1), Apart(1))
    preparer.seconds = []
    photos = Photos()
    world = World(
        FakeSource({1: 8}, size=len(photos.photo)),
        fetcher=photos,  # type: ignore[arg-type]
        preparer=preparer,  # type: ignore[arg-type]
        provider=Anything(),
        bytes_in_flight=2**30,
        settings={"threads": threads, "max_sides": {"caption": 1024}},
    )
    lags: list[float] = []

    async def look() -> None:
        while True:
            before = time.perf_counter()
            await anyio.sleep(TICK_S)
            lags.append(time.perf_counter() - before - TICK_S)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(look)
            await world.flow().run()
            group.cancel_scope.cancel()

    anyio.run(main)
    assert len(preparer.seconds) == 8
    typical = median(preparer.seconds)
    late = quantiles(lags, n=20)[-1]
    # Done in the loop itself, every tick would come late by a whole picture. A share of it, not a time: the machine may
    # be busy. What is left are Pillow's calls that keep the interpreter's lock.
    assert late < typical / 4, f"a tick in twenty is {late:.3f} s late; a picture takes {typical:.3f} s"
    assert len(lags) > 8, "there were ticks to come late"
