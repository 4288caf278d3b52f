"""What a prefix cache gets to see: one request first, a picture's questions back to back, one route."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

from pipeline.core.outcomes import Row
from pipeline.engine.warming import PATIENCE_S, WORTH_CHARACTERS
from tests.engine.fake_rooms import FakeSource
from tests.engine.fakes import FakeProvider, World, ok, status
from tests.support.virtual_time import run_virtual

LONG = "x" * WORTH_CHARACTERS
TASKS = ("caption", "ocr", "moderate")


def timed(world: World) -> list[tuple[float, str]]:
    """When each request was sent, in seconds, and its name."""
    import anyio

    sent: list[tuple[float, str]] = []
    send = world.provider.send

    async def noted(body: bytes, route: str | None = None) -> object:
        sent.append((round(anyio.current_time(), 3), body.decode()))
        return await send(body, route)

    world.provider.send = noted  # type: ignore[method-assign, assignment]  # to see the moments
    run_virtual(world.flow().run)
    return sent


def test_the_first_request_of_a_prefix_goes_alone() -> None:
    world = World(
        FakeSource({1: 9}),
        provider=FakeProvider(latency=lambda: 5.0),
        settings={"warm": True},
        task_options={"instructions": LONG},
    )
    moments = Counter(moment for moment, _ in timed(world))
    start = min(moments)
    assert [moments[moment] for moment in sorted(moments)] == [1, 4, 4]
    assert start < 1
    assert sorted(moments)[1] - start == 5.0


def test_nobody_waits_without_a_cache_or_for_a_short_prefix() -> None:
    for settings, options in (({}, {"instructions": LONG}), ({"warm": True}, {"instructions": "short"})):
        provider = FakeProvider(latency=lambda: 5.0)
        world = World(FakeSource({1: 4}), provider=provider, settings=dict(settings), task_options=dict(options))
        assert len({moment for moment, _ in timed(world)}) == 1


def test_a_first_request_that_fails_leaves_the_lead_to_the_next() -> None:
    def script(name: str, number: int) -> object:
        return status(400) if name == "caption/1-0" else ok()

    world = World(
        FakeSource({1: 5}),
        provider=FakeProvider(script, latency=lambda: 5.0),  # type: ignore[arg-type]
        settings={"warm": True},
        task_options={"instructions": LONG},
    )
    moments = Counter(moment for moment, _ in timed(world))
    assert [moments[moment] for moment in sorted(moments)] == [1, 1, 3]
    assert sum(isinstance(one, Row) for one in world.ledger.committed) == 4


def test_nobody_waits_long_for_a_first_request_that_hangs() -> None:
    latencies = iter([500.0])
    world = World(
        FakeSource({1: 4}),
        provider=FakeProvider(latency=lambda: next(latencies, 1.0)),
        settings={"warm": True},
        task_options={"instructions": LONG},
    )
    sent = timed(world)
    assert [round(moment - sent[0][0]) for moment, _ in sent] == [0, PATIENCE_S, PATIENCE_S, PATIENCE_S]


def test_questions_about_one_picture_go_back_to_back_on_one_route() -> None:
    world = World(
        FakeSource({1: 20}),
        tasks=TASKS,
        provider=FakeProvider(latency=lambda: 1.0),
        task_options={"image_first": True, "model": "one"},
    )
    run_virtual(world.flow().run)
    assert len(world.ledger.committed) == 60
    by_picture: dict[str, list[str | None]] = {}
    for body, route in zip(world.provider.bodies, world.provider.routes, strict=True):
        by_picture.setdefault(body.decode().partition("/")[2], []).append(route)
    assert all(len(set(routes)) == 1 and len(routes) == 3 for routes in by_picture.values())
    assert len({routes[0] for routes in by_picture.values()}) == 20
    done: Counter[str] = Counter()
    for name in world.provider.answered:
        picture = name.partition("/")[2]
        assert name.partition("/")[0] == TASKS[done[picture]]
        done[picture] += 1
        # No other picture comes between two questions about one: there are no more under way than slots.
        assert sum(number < len(TASKS) for number in done.values()) <= 4
    assert world.provider.widest == 4


def test_without_it_tasks_go_at_once_over_a_few_routes() -> None:
    world = World(FakeSource({1: 8}), tasks=TASKS, settings={"routes": 2}, provider=FakeProvider(latency=lambda: 1.0))
    run_virtual(world.flow().run)
    first = [body.decode() for body in world.provider.bodies[:4]]
    assert [len(list(group)) for _, group in groupby(first, lambda name: name.partition("/")[2])] == [3, 1]
    assert {route and route.rpartition("-")[2] for route in world.provider.routes} == {"0", "1"}


def test_a_retry_keeps_its_route() -> None:
    def script(name: str, number: int) -> object:
        return status(500) if number == 1 else ok()

    world = World(FakeSource({1: 4}), provider=FakeProvider(script), settings={"routes": 4})  # type: ignore[arg-type]
    run_virtual(world.flow().run)
    routes: dict[bytes, set[str | None]] = {}
    for body, route in zip(world.provider.bodies, world.provider.routes, strict=True):
        routes.setdefault(body, set()).add(route)
    assert all(len(found) == 1 for found in routes.values())
    assert len(world.provider.bodies) == 8
