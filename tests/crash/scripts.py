"""A server on a bad day: most answers are good, some are cut, some pictures can never be answered."""

import random
from dataclasses import replace

from tests.support.exchange import Reply, Request, Script
from tests.support.scripts import caption, cut_by_length, error, for_some_bodies, rate_limited, refusal, sometimes


def calm() -> Script:
    """Every answer is usable, and the log says so."""
    return _noted(caption(), usable=True)


def stormy() -> Script:
    """6 % of answers are cut (a repair may fare better), 8 % of pictures refused, 6 % rejected; some 429."""
    answers = for_some_bodies(0.06, _noted(cut_by_length("Half of an ans"), usable=False), calm())
    pictures = for_some_pictures(
        0.08, _noted(refusal(), usable=False), for_some_pictures(0.06, error(400, "cannot read this image"), answers)
    )
    return sometimes(0.02, rate_limited(0.05), pictures, seed=3)


def unwilling() -> Script:
    """Two of five pictures are refused: wherever a run is stopped, there are failures before and after it."""
    return for_some_pictures(0.4, _noted(refusal(), usable=False), calm())


def for_some_pictures(share: float, odd: Script, usual: Script) -> Script:
    """An odd script for this share of the pictures, however often they are asked."""

    def script(request: Request) -> Reply:
        chance = random.Random(f"{share} {request.image_sha256}").random()
        return (odd if chance < share else usual)(request)

    return script


def _noted(then: Script, *, usable: bool) -> Script:
    def script(request: Request) -> Reply:
        reply = then(request)
        return replace(reply, note={**reply.note, "usable": usable})

    return script
