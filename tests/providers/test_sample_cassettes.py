"""The sample pictures asked of the scripted larger model: recorded once, then answered from the cassettes alone."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest

from pipeline.compose import OpenTask, open_reader, open_tasks
from pipeline.config import Config
from pipeline.core.errors import CallError, ItemError
from pipeline.core.pictures import PreparedImage
from pipeline.core.ports import Provider
from pipeline.core.types import Answer, ManifestRow, Repair
from pipeline.images.prepare import prepared
from pipeline.images.rules import ServerRules
from pipeline.providers.recording import Recording
from pipeline.providers.replaying import Missed, Replaying
from pipeline.storage.http import AiohttpTransport
from pipeline.storage.local import LocalFetcher
from tests.providers.cassettes import VERSIONS, files
from tests.providers.examples import KEY, provider
from tests.support.fake_server import FakeServer
from tests.support.scripted_model import SAMPLES, THINKS, UNSURE, scripted_model

LABELS = [json.loads(line) for line in (SAMPLES / "labels.jsonl").read_text("utf-8").splitlines()]
CONFIG = Config.model_validate(
    {
        "manifest": {"path": [str(SAMPLES / "images")]},
        "provider": {"dialect": "generic", "base_url": "http://127.0.0.1:1/v1", "model": "scripted/larger"},
        "tasks": [{"kind": "caption"}, {"kind": "ocr"}, {"kind": "moderate"}],
        "run": {"output": "out"},
    }
)
TASKS = open_tasks(CONFIG)
Pictures = dict[tuple[str, str], tuple[PreparedImage, ...]]


class Recordings(NamedTuple):
    """What was asked, answered and written; answers by task and sample."""

    folder: Path
    pictures: Pictures
    answers: dict[tuple[str, str], Answer]
    requests: list[str]


def prepare(quality: int | None = None) -> Pictures:
    """Every sample as each task wants it; the JPEGs with other bytes for a `quality`."""
    pictures: Pictures = {}
    for label in LABELS:
        source = LocalFetcher().fetch(ManifestRow(0, 0, label["id"], "", str(SAMPLES / label["file"])))
        for task in TASKS.values():
            images = prepared(source, task.contract, ServerRules(frozenset({"JPEG", "PNG"})))
            if quality is not None:
                images = tuple(replace(one, data=one.data + b"%d" % quality) for one in images)
            pictures[task.name, label["id"]] = images
    return pictures


async def ask(server: Provider, task: OpenTask, images: tuple[PreparedImage, ...]) -> Answer:
    """One answer, after two repairs at most."""
    prompt, repair = task.prompt({}, images), None
    for number in (1, 2, 3):
        reply = await server.send(server.render(prompt, repair), "route")
        completion = server.read(reply.body, server.notes(reply))
        try:
            return task.parse(completion, len(images))
        except ItemError as error:
            repair = Repair(error.kind, completion.text, number)
    raise AssertionError(repair)


async def ask_all(server: Provider, pictures: Pictures) -> dict[tuple[str, str], Answer]:
    return {(task, sample): await ask(server, TASKS[task], images) for (task, sample), images in pictures.items()}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    folder, pictures = tmp_path_factory.mktemp("cassettes"), prepare()

    async def record() -> tuple[dict[tuple[str, str], Answer], list[str]]:
        async with FakeServer(scripted_model()) as fake, AiohttpTransport() as transport:
            server = provider(base_url=fake.base_url, transport=transport)
            answers = await ask_all(Recording(server, folder, VERSIONS, KEY), pictures)
            return answers, [request.body_sha256 for request in fake.requests]

    answers, requests = anyio.run(record)
    return Recordings(folder, pictures, answers, requests)


def test_every_request_has_a_small_file_under_its_name(recorded: Recordings) -> None:
    assert len(recorded.requests) == len(LABELS) * 3 + len(THINKS)
    assert files(recorded.folder).keys() == {f"{sha256[:16]}.json" for sha256 in recorded.requests}
    sizes = [len(content) for content in files(recorded.folder).values()]
    assert max(sizes) < 8000
    assert sum(sizes) < 300_000


def test_all_of_it_comes_again_without_a_server(recorded: Recordings) -> None:
    replaying = Replaying(open_reader(CONFIG), recorded.folder, VERSIONS)
    assert anyio.run(ask_all, replaying, recorded.pictures) == recorded.answers
    assert replaying.missed == ()


def test_the_answers_are_those_of_a_good_model_with_one_cut_and_one_unsure(recorded: Recordings) -> None:
    kept = [json.loads(content)["reply"]["body"] for content in files(recorded.folder).values()]
    assert Counter(body["choices"][0]["finish_reason"] for body in kept) == {"stop": len(LABELS) * 3, "length": 1}
    assert all(body["usage"]["prompt_tokens"] > 0 for body in kept)
    verdicts = {sample: answer["verdict"] for (task, sample), answer in recorded.answers.items() if task == "moderate"}
    assert [sample for sample, verdict in verdicts.items() if verdict == "unsure"] == [UNSURE]
    texts: dict[str, Any] = {sample: one["text"] for (task, sample), one in recorded.answers.items() if task == "ocr"}
    exact = [label["id"] for label in LABELS if label.get("text") == texts[label["id"]]]
    assert 5 < len(exact) < 20


def test_recording_all_of_it_again_changes_no_file(recorded: Recordings) -> None:
    before = files(recorded.folder)

    async def record() -> None:
        async with FakeServer(scripted_model()) as fake, AiohttpTransport() as transport:
            server = provider(base_url=fake.base_url, transport=transport)
            await ask_all(Recording(server, recorded.folder, VERSIONS, KEY), recorded.pictures)

    anyio.run(record)
    assert files(recorded.folder) == before


def missed(recorded: Recordings, pictures: Pictures, **changes: Any) -> tuple[Missed, ...]:
    """Every request of the samples that is not answered, with other settings of the provider."""
    config = CONFIG.model_copy(update={"provider": CONFIG.provider.model_copy(update=changes)})
    replaying = Replaying(open_reader(config), recorded.folder, {**VERSIONS, "pillow": "12.9.9"})

    async def ask_each() -> None:
        for (name, _), images in pictures.items():
            body = replaying.render(open_tasks(config)[name].prompt({}, images))
            with pytest.raises(CallError):
                await replaying.send(body)

    anyio.run(ask_each)
    return tuple(replaying.missed)


def test_pictures_prepared_otherwise_are_told_for_every_row(recorded: Recordings) -> None:
    misses = missed(recorded, prepare(quality=5))
    assert {tuple(change.what for change in one.changes) for one in misses} == {
        ("image preparation", "library versions")
    }
    assert all("pillow was 11.3.0, is 12.9.9" in one.message for one in misses)
    assert len(misses) == len({one.message for one in misses}) == len(LABELS) * 3


def test_another_model_and_another_temperature_are_told_for_every_row(recorded: Recordings) -> None:
    other = missed(recorded, recorded.pictures, model="other/model")
    assert {tuple(change.what for change in one.changes) for one in other} == {("model",)}
    warmer = missed(recorded, recorded.pictures, temperature=0.7)
    assert {one.changes[0].how for one in warmer} == {"temperature was 0.0, is 0.7"}
    nearest = [json.loads((recorded.folder / one.nearest).read_text()) for one in warmer]
    sent = [hashlib.sha256(images[0].data).hexdigest() for images in recorded.pictures.values()]
    assert [one["request"]["pictures"][0]["sha256"] for one in nearest] == sent
