"""Pictures from the web: as bytes, by their address where the server may fetch it, inline when it could not."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pipeline.core.errors import CallError, ItemError, RunError
from pipeline.core.outcomes import Failure, Row
from pipeline.core.pictures import Download
from pipeline.core.types import Reply
from pipeline.engine.pictures import small_chunks
from tests.engine.fake_rooms import FakePreparer, FakeSource, FakeWeb
from tests.engine.fakes import FakeProvider, World, ok, status
from tests.support.virtual_time import run_virtual

SIGNED = "https://host/a.jpg?sig=1"
OTHER = "https://host/b.jpg"
URLS = (SIGNED, OTHER)


def _world(send: str, provider: FakeProvider | None = None, *, links: set[str] = frozenset(), **more: Any) -> World:  # type: ignore[assignment]
    web = FakeWeb(links=set(links), broken=more.pop("broken", {}))
    settings = {"send": send, "downloads": 4}
    source = FakeSource({1: 2}, urls=URLS)
    return World(source, provider=provider or FakeProvider(), web=web, settings=settings, **more)


def _asked(world: World) -> list[str]:
    return sorted(body.decode() for body in world.provider.bodies)


def _run(world: World) -> World:
    run_virtual(world.flow().run)
    assert world.budget.held == 0
    assert len(world.ledger.committed) == 2
    return world


def _fails_to_fetch(name: str, number: int) -> Reply | Exception:
    if "link:" in name:
        return CallError("http_5xx", "Timeout while fetching", 500, of_address=True)
    return ok()


def test_inline_is_what_everybody_gets_who_did_not_ask_for_more() -> None:
    world = _run(_world("inline", links={SIGNED, OTHER}))
    assert _asked(world) == [f"caption/{SIGNED}", f"caption/{OTHER}"]
    row = world.outcome("caption/1-0")
    assert row.facts.image_sha256 == hashlib.sha256(SIGNED.encode()).hexdigest()
    assert row.facts.width == 64


def test_an_address_that_the_server_may_fetch_is_sent_and_nothing_is_fetched_here() -> None:
    world = _run(_world("url", links={SIGNED}))
    assert _asked(world) == [f"caption/{OTHER}", f"caption/link:{SIGNED}"]
    assert world.web.fetched == [OTHER], "what the rule does not allow is fetched here"
    facts = world.outcome("caption/1-0").facts
    assert (facts.image_sha256, facts.width, facts.pages) == (None, None, None)
    asked = hashlib.sha256(b"caption/link:https://host/a.jpg").hexdigest()
    assert facts.request_sha256 == asked, "a signature changes from day to day and is no part of the question"


def test_what_the_server_cannot_fetch_is_sent_inline_once() -> None:
    world = _run(_world("url", FakeProvider(_fails_to_fetch), links={SIGNED, OTHER}))
    asked = [f"caption/{SIGNED}", f"caption/{OTHER}", f"caption/link:{SIGNED}", f"caption/link:{OTHER}"]
    assert _asked(world) == asked
    row = world.outcome("caption/1-0")
    assert isinstance(row, Row)
    assert (row.envelope.attempts, row.facts.width) == (2, 64)
    assert row.facts.image_sha256 == hashlib.sha256(SIGNED.encode()).hexdigest()
    checkpoints = [frame for frame in world.ledger.frames if frame.problem is not None]
    assert len(checkpoints) == 2
    assert not any(frame.ended for frame in checkpoints)


@pytest.mark.parametrize("of_address", [True, False])
def test_what_is_refused_inline_too_is_the_rows_failure(of_address: bool) -> None:
    def refuse(name: str, number: int) -> Reply | Exception:
        return CallError("image_rejected", "no such picture", 400, of_address=of_address) if "a.jpg" in name else ok()

    world = _run(_world("url", FakeProvider(refuse), links={SIGNED}))
    failure = world.outcome("caption/1-0")
    assert isinstance(failure, Failure)
    assert failure.problem.kind == "image_rejected"
    linked = [body for body in world.provider.bodies if b"link:" in body]
    assert len(linked) == 1
    assert failure.envelope.attempts == (2 if of_address else 1), "never a third time"


def test_a_picture_that_nobody_can_fetch_is_told_as_what_we_found() -> None:
    broken = {SIGNED: ItemError("not_found", "there is nothing at https://host/a.jpg", 404)}
    world = _run(_world("url", FakeProvider(_fails_to_fetch), links={SIGNED}, broken=broken))
    failure = world.outcome("caption/1-0")
    assert isinstance(failure, Failure)
    assert (failure.problem.kind, failure.problem.http_status) == ("not_found", 404)
    assert failure.envelope.attempts == 1


def test_a_picture_that_cannot_be_prepared_inline_gives_its_bytes_back() -> None:
    preparer = FakePreparer(broken={SIGNED})
    failure = _run(_world("url", FakeProvider(_fails_to_fetch), links={SIGNED}, preparer=preparer)).outcome(
        "caption/1-0"
    )
    assert isinstance(failure, Failure)
    assert failure.problem.kind == "truncated"


def test_a_decoder_that_cannot_be_started_drains_here_too() -> None:
    class Preparer(FakePreparer):
        def prepare(self, source: bytes, contract):  # type: ignore[no-untyped-def]
            raise RunError("The process that decodes pictures does not start")

    provider = FakeProvider(_fails_to_fetch, latency=lambda: 5.0)
    world = _world("url", provider, links={SIGNED, OTHER}, preparer=Preparer())
    with pytest.raises(RunError, match="does not start"):
        run_virtual(world.flow().run)
    assert world.budget.held == 0
    assert len(provider.bodies) == 2, "no request was given up"


def test_dead_addresses_are_no_outage_of_the_server() -> None:
    urls = tuple(f"https://host/{number}.jpg" for number in range(60))
    world = World(
        FakeSource({1: 60}, urls=urls),
        provider=FakeProvider(_fails_to_fetch),
        web=FakeWeb(links=set(urls)),
        settings={"send": "url", "downloads": 8},
    )
    run_virtual(world.flow().run)
    assert len(world.ledger.committed) == 60
    assert all(isinstance(one, Row) for one in world.ledger.committed)
    assert len(world.provider.bodies) == 120, "one request by the address, one with the picture"


def test_workers_that_fetch_never_wait_for_questions_that_wait_for_workers() -> None:
    """A budget of two addresses, one request at once, and nothing that the server can fetch."""
    urls = tuple(f"https://host/{number:03}.jpg" for number in range(60))

    class Heavy(FakeWeb):
        async def fetch(self, url: str, reserve: Callable[[int], Awaitable[None]]) -> Download:
            await reserve(500)
            return await super().fetch(url, reserve)

    world = World(
        FakeSource({1: 60}, urls=urls),
        provider=FakeProvider(_fails_to_fetch),
        web=Heavy(links=set(urls)),
        bytes_in_flight=100,
        concurrency=1,
        settings={"send": "url", "downloads": 8},
    )
    run_virtual(world.flow().run)
    assert len(world.ledger.committed) == 60
    assert all(isinstance(one, Row) for one in world.ledger.committed)
    assert world.budget.held == 0


@pytest.mark.parametrize("send", ["url", "auto"])
def test_a_repair_stays_one_when_its_picture_goes_inline(send: str) -> None:
    def script(name: str, number: int) -> Reply | Exception:
        return ok("cut") if number == 1 else _fails_to_fetch(name, number)

    world = _run(_world(send, FakeProvider(script), links={SIGNED, OTHER}))
    asked = [body.decode() for body in world.provider.bodies if b"a.jpg" in body]
    linked, inline = f"caption/link:{SIGNED}", f"caption/{SIGNED}"
    # The first answer to each wording is cut: by the address, and once more with the picture itself.
    assert asked == {"url": [linked, f"{linked}+", f"{inline}+"], "auto": [linked, f"{inline}+"]}[send]


def test_what_is_inline_already_is_not_sent_inline_once_more() -> None:
    """By its address the answer is cut; the repair has the picture itself, and is refused."""

    def script(name: str, number: int) -> Reply | Exception:
        return ok("cut") if "link:" in name else CallError("image_rejected", "no", 400, of_address=True)

    world = _run(_world("auto", FakeProvider(script), links={SIGNED, OTHER}))
    assert len(world.provider.bodies) == 4


@pytest.mark.parametrize("code", [403, 404])
def test_a_status_of_the_pictures_host_is_not_taken_for_the_servers_own(code: int) -> None:
    world = _run(
        _world("url", FakeProvider(lambda name, number: status(code) if "link:" in name else ok()), links=set(URLS))
    )
    assert all(isinstance(one, Row) for one in world.ledger.committed)
    assert len(world.provider.bodies) == 4


def test_auto_sends_the_address_of_what_needs_nothing_done_and_asks_the_same_question() -> None:
    class Preparer(FakePreparer):
        def prepare(self, source: bytes, contract):  # type: ignore[no-untyped-def]
            return super().prepare(source if source == SIGNED.encode() else b"smaller", contract)

    world = _run(_world("auto", links={SIGNED, OTHER}, preparer=Preparer()))
    assert _asked(world) == [f"caption/link:{SIGNED}", "caption/smaller"]
    facts = world.outcome("caption/1-0").facts
    inline = _run(_world("inline", preparer=Preparer())).outcome("caption/1-0").facts
    assert facts == inline, "by which way it is sent is no part of the question"


def test_auto_that_fails_to_fetch_goes_inline_without_fetching_twice() -> None:
    world = _run(_world("auto", FakeProvider(_fails_to_fetch), links={SIGNED, OTHER}))
    assert len(world.provider.bodies) == 4
    assert sorted(world.web.fetched) == sorted(URLS)
    assert all(isinstance(one, Row) for one in world.ledger.committed)


def test_a_drain_ends_the_wait_for_a_picture() -> None:
    def script(name: str, number: int) -> Reply | Exception:
        if "link:" in name:
            world.stop.drain()
            return CallError("http_5xx", "Timeout while fetching", 500, of_address=True)
        return ok()

    world = _world("url", FakeProvider(script), links=set(URLS))
    run_virtual(world.flow().run)
    assert world.ledger.committed == []
    assert world.budget.held == 0


def test_a_refused_key_is_no_matter_of_the_address() -> None:
    from pipeline.core.errors import ServerError

    world = _world("url", FakeProvider(lambda name, number: status(401)), links=set(URLS))
    with pytest.raises(ServerError):
        run_virtual(world.flow().run)


def test_what_comes_from_the_web_never_shares_a_chunk() -> None:
    here = list(FakeSource({1: 3}, size=0).scan(FakeSource({1: 3}).shards[0]))
    away = list(FakeSource({1: 2}, urls=URLS).scan(FakeSource({1: 2}).shards[0]))
    wanted = [(row, ("caption",)) for row in (here[0], away[0], here[1], here[2], away[1])]
    chunks = list(small_chunks(wanted, 100))
    assert [[row.url for row, _ in chunk] for chunk in chunks] == [[None], [SIGNED], [None, None], [OTHER]]


def test_a_hosts_refusal_that_reads_like_the_servers_own_is_the_addresss_first() -> None:
    """Under status 200 too: with the picture itself it shows whose it was."""
    passed_on = FakeProvider(lambda name, n: ok("no money of address") if "link:" in name else ok())
    world = _run(_world("url", passed_on, links={SIGNED, OTHER}))
    assert [type(one) for one in world.ledger.committed] == [Row] * 2
    own = FakeProvider(lambda name, n: ok("no money of address"))
    world = _world("url", own, links={SIGNED, OTHER})
    with pytest.raises(RunError, match="no money"):
        run_virtual(world.flow().run)
    assert world.ledger.committed == []
