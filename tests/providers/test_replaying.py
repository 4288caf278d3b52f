"""Replay: the recorded answers and nothing else, and for every other request what has changed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.core.errors import CallError, ConfigError
from pipeline.core.outcomes import Failure
from pipeline.core.ports import Provider
from pipeline.core.types import Prompt, Repair
from pipeline.providers.asked import asked
from pipeline.providers.cassette import Cassette, Recorded, name_of, written
from pipeline.providers.recording import Recording
from pipeline.providers.replaying import Replaying
from tests.engine.fake_rooms import FakeSource
from tests.engine.fakes import World
from tests.providers.cassettes import VERSIONS, answer, record, rendered, replay, response, server
from tests.providers.examples import again, fixed, image, prompt, provider
from tests.support.virtual_time import run_virtual

PICTURES = [image(f"picture {number}".encode()) for number in range(5)]
CAPTION = fixed()
OCR = fixed(system="You transcribe.", instructions="Transcribe all text.", max_tokens=3000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What two tasks asked about five pictures, recorded."""
    for task in (CAPTION, OCR):
        for number, picture in enumerate(PICTURES):
            said = response(answer(f"{task.system} {number}"))
            record(tmp_path, rendered(Prompt(task, f"title: {number}", (picture,))), said)
    return tmp_path


def missed(folder: Path, asked: Prompt, versions: Mapping[str, str] = VERSIONS, repair: Repair | None = None) -> str:
    replaying = Replaying(provider(api_key=None), folder, versions)
    with pytest.raises(CallError) as caught:
        anyio.run(replaying.send, provider().render(asked, repair))
    assert (caught.value.kind, caught.value.status) == ("bad_request", None)
    (one,) = replaying.missed
    assert one.message == caught.value.message
    assert one.request_sha256[:12] in one.message
    return one.message


def test_an_equal_request_gets_its_answer_without_key_and_server(folder: Path) -> None:
    reply = replay(folder, rendered(Prompt(OCR, "title: 3", (PICTURES[3],))), {"pillow": "99", "other": "1"})
    assert reply.status == 200
    assert provider().read(reply.body).text == "You transcribe. 3"


def test_a_repair_has_a_cassette_of_its_own(folder: Path) -> None:
    question = Prompt(CAPTION, "title: 0", (PICTURES[0],))
    assert "sampling (max_tokens was 256, is 512, seed was 7, is 8)" in missed(folder, question, repair=again(1))
    body = provider().render(question, again(1))
    record(folder, body, response(answer("The whole of it.")))
    assert provider().read(replay(folder, body).body).text == "The whole of it."
    assert provider().read(replay(folder, rendered(question)).body).text == "You describe pictures. 0"


def the(**changes: Any) -> Prompt:
    return Prompt(fixed(**changes), "title: 2", (PICTURES[2],))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (the(model="b/model"), ["model (was a/model, is b/model)"]),
        (
            the(instructions="Say what it is."),
            ["prompt (was “Describe it in one sentence.”, is “Say what it is.”)"],
        ),
        (the(system=""), ["prompt (was “You describe pictures.”)"]),
        (the(temperature=0.5, seed=None), ["sampling (seed was 7, is not there, temperature was 0.0, is 0.5)"]),
        (the(schema={"a": 1}), ["sampling (response_format was not there, is sha256 "]),
        (
            Prompt(CAPTION, "title: 2", (image(b"smaller"),)),
            ["image preparation (", "library versions (pillow was 11.3.0, is 12.0.0)"],
        ),
        (
            Prompt(fixed(model="b/model"), "title: 2", (image(b"smaller"),)),
            ["model (", "image preparation (", "library versions ("],
        ),
        (Prompt(CAPTION, "title: 2", (PICTURES[2],), image_first=True), ["prompt ("]),
    ],
)
def test_a_miss_names_what_has_changed_and_only_that(folder: Path, asked: Prompt, said: list[str]) -> None:
    message = missed(folder, asked, {**VERSIONS, "pillow": "12.0.0"})
    for words in said:
        assert words in message
    known = ("model (", "prompt (", "sampling (", "image preparation (", "library versions (", "layout (")
    assert sum(words in message for words in known) == len(said), message
    nearest = message.partition("since ")[2].partition(".json")[0]
    kept = json.loads((folder / f"{nearest}.json").read_text())
    assert kept["reply"]["body"]["choices"][0]["message"]["content"] == "You describe pictures. 2"


def test_a_picture_that_is_prepared_otherwise_by_the_same_libraries_is_told_alone(folder: Path) -> None:
    message = missed(folder, Prompt(CAPTION, "title: 2", (image(b"smaller"),)))
    assert "image preparation (" in message
    assert "library versions" not in message


def test_a_text_that_goes_on_differently_and_another_order_of_the_parts_are_told(folder: Path) -> None:
    long = "Describe it, " * 20
    record(folder, rendered(the(instructions=long)), response(answer()))
    words = "prompt (the text that begins “" + " ".join(long[:60].split()) + "” goes on differently)"
    assert words in missed(folder, the(instructions=long + "please"))
    two = Prompt(CAPTION, "title: 2", (PICTURES[2], PICTURES[3]))
    record(folder, rendered(two), response(answer()))
    body = rendered(two).replace(b'"temperature":0.0,"max_tokens":256', b'"max_tokens":256,"temperature":0.0')
    assert body != rendered(two)
    replaying = Replaying(provider(api_key=None), folder, VERSIONS)
    with pytest.raises(CallError, match="layout \\(the same parts stand in another order or form\\)"):
        anyio.run(replaying.send, body)


def test_nothing_like_it_was_recorded(folder: Path) -> None:
    message = missed(folder, Prompt(fixed(system="A", instructions="B"), None, (image(b"new"),)))
    assert "nothing like it was recorded" in message


def flow(provider: Provider, rows: int, model: str = "a/model") -> World:
    world = World(FakeSource({1: rows}), provider=provider, task_options={"model": model})  # type: ignore[arg-type]
    run_virtual(world.flow().run)
    return world


@pytest.mark.parametrize("answered", [0, 1])
def test_sixty_misses_fail_sixty_rows_and_do_not_stop_the_run(tmp_path: Path, answered: int) -> None:
    """In a row, before and after the first answer: words that were the same would stop it after 10 or 50."""
    recording = Recording(server(lambda _: response(answer("ok"))), tmp_path, VERSIONS, None)
    recorded = flow(recording, 3, "a/model" if answered else "b/model")
    for one in sorted(recorded.ledger.committed, key=lambda one: one.id)[1:]:
        (tmp_path / name_of(one.facts.request_sha256 or "")).unlink()
    replaying = Replaying(provider(api_key=None), tmp_path, VERSIONS)
    world = flow(replaying, 60 + answered)
    failures = [one for one in world.ledger.committed if isinstance(one, Failure)]
    assert len(world.ledger.committed) == 60 + answered
    assert len(failures) == 60
    assert {one.problem.kind for one in failures} == {"bad_request"}
    assert {one.problem.message for one in failures} == {one.message for one in replaying.missed}
    assert {one.facts.request_sha256 for one in failures} == {one.request_sha256 for one in replaying.missed}


def test_a_miss_is_told_once_however_often_it_is_asked(folder: Path) -> None:
    replaying = Replaying(provider(api_key=None), folder, VERSIONS)
    for _ in range(3):
        with pytest.raises(CallError):
            anyio.run(replaying.send, rendered(the(model="b/model")))
    assert len(replaying.missed) == 1


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda text: text[: len(text) // 2], "the file: Invalid JSON"),
        (lambda text: "<<<<<<< HEAD\n" + text, "the file: Invalid JSON"),
        (lambda text: text.replace('"version": 1', '"version": 2'), "version: Input should be 1"),
        (lambda text: text.replace('"model": "a/model",\n    "pic', '"pic'), "request.model: Field required"),
        (lambda text: text.replace('"status": 200', '"status": 503'), "reply.status: "),
        (lambda text: text.replace('"form": "json"', '"form": "text"'), "must be a text"),
        (
            lambda text: text.replace('"choices"', '"none"').replace('"form": "json"', '"form": "stream"'),
            "must have choices",
        ),
        (lambda text: text.replace('"versions"', '"version5"'), "version"),
    ],
)
def test_a_broken_cassette_is_named_with_what_to_do(folder: Path, damage: Callable[[str], str], what: str) -> None:
    path = sorted(folder.glob("*.json"))[4]
    damaged = damage(path.read_text())
    assert damaged != path.read_text()
    path.write_text(damaged)
    with pytest.raises(ConfigError) as caught:
        Replaying(provider(api_key=None), folder, VERSIONS)
    (problem,) = caught.value.problems
    assert str(path) in problem
    assert what in problem
    assert "record it again with vlm-batch regress CONFIG --record" in problem


def test_every_broken_cassette_is_named_at_once_and_one_under_a_wrong_name(folder: Path) -> None:
    first, second, third = sorted(folder.glob("*.json"))[:3]
    first.write_text("")
    wrong = second.rename(folder / "0000000000000000.json")
    third.chmod(0)
    third.unlink()
    third.mkdir()
    with pytest.raises(ConfigError) as caught:
        Replaying(provider(api_key=None), folder, VERSIONS)
    problems = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 3
    assert f"{wrong} holds the answer to another request, which belongs in {second.name}" in problems
    assert f"{third} cannot be read: Is a directory" in problems


def test_five_hundred_cassettes_are_opened_and_compared_in_a_moment(tmp_path: Path) -> None:
    for number in range(500):
        request = asked(rendered(prompt(f"title: {number}", image(b"%d" % number))))
        reply = Recorded(status=200, headers={}, form="json", body=answer("A cup on a table. " * 10))
        (tmp_path / name_of(request.sha256)).write_bytes(
            written(Cassette(request=request, versions=VERSIONS, reply=reply))
        )
    began = time.process_time()
    replaying = Replaying(provider(api_key=None), tmp_path, VERSIONS)
    opened = time.process_time()
    for number in range(50):
        with pytest.raises(CallError, match="sampling"):
            anyio.run(replaying.send, rendered(prompt(f"title: {number}", image(b"%d" % number), seed=9)))
    compared = time.process_time()
    print(f"opened in {opened - began:.3f} s, a miss takes {(compared - opened) / 50 * 1000:.1f} ms")
    # Ten times what it takes, so that only another order of growth is found.
    assert opened - began < 0.5
    assert compared - opened < 3
