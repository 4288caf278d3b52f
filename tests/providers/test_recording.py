"""Recording: one small file a request, the same bytes for the same answer, and nothing in it that git must not hold."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.core.errors import ConfigError
from pipeline.core.pictures import LinkedImage
from pipeline.core.types import Completion, Prompt
from pipeline.providers.asked import request_sha256
from pipeline.providers.cassette import prune
from pipeline.providers.dialects import DIALECTS
from pipeline.providers.recording import Recording, secret_in
from pipeline.providers.server import NO_NOTES, Server
from pipeline.providers.usage import Prices
from tests.providers.cassettes import (
    VERSIONS,
    Saying,
    answer,
    files,
    record,
    refusal,
    rendered,
    replay,
    response,
    server,
)
from tests.providers.examples import KEY, fixed, image, prompt, provider

PICTURE = random.Random(1).randbytes(3000)
ENCODED = base64.b64encode(PICTURE).decode()
STREAM = b"".join(
    b"data: " + json.dumps({"id": "c-9", "created": 5, "model": "a/model", "choices": [choice]}).encode() + b"\n\n"
    for choice in (
        {"index": 0, "delta": {"role": "assistant", "content": "A cup "}, "finish_reason": None},
        {"index": 0, "delta": {"content": "on a table."}, "finish_reason": "stop"},
    )
)


def only(folder: Path) -> dict[str, Any]:
    ((name, content),) = files(folder).items()
    value: dict[str, Any] = json.loads(content)
    assert name == value["request"]["sha256"][:16] + ".json"
    return value


def test_a_cassette_holds_the_answer_and_the_facts_of_its_request(tmp_path: Path) -> None:
    body = rendered(prompt("title: Ein Gruß", image(PICTURE, "image/png"), schema={"type": "object"}))
    record(tmp_path, body, response(answer("Eine Tasse, 茶碗", usage={"prompt_tokens": 9})))
    (content,) = files(tmp_path).values()
    kept = only(tmp_path)
    assert kept["request"] == {
        "sha256": hashlib.sha256(body).hexdigest(),
        "model": "a/model",
        "texts": [
            {"begins": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}
            for text in ("You describe pictures.", "Describe it in one sentence.", "title: Ein Gruß")
        ],
        "pictures": [
            {"sha256": hashlib.sha256(PICTURE).hexdigest(), "bytes": 3000, "mime": "image/png", "address": None}
        ],
        "sampling": {
            "temperature": 0.0,
            "max_tokens": 256,
            "seed": 7,
            "response_format": kept["request"]["sampling"]["response_format"],
        },
    }
    assert kept["request"]["sampling"]["response_format"].startswith("sha256 ")
    assert kept["versions"] == VERSIONS
    assert kept["reply"]["body"]["choices"][0]["message"]["content"] == "Eine Tasse, 茶碗"
    assert "茶碗" in content.decode()
    assert content.endswith(b"}\n")
    assert content.count(b"\n") > 40
    assert ENCODED[:40] not in content.decode()
    assert KEY not in content.decode()


def test_the_same_answer_recorded_again_is_the_same_file(tmp_path: Path) -> None:
    body = rendered(prompt())
    timings = {"cache_n": 3, "prompt_ms": 17.25}
    metrics = {"prompt-tokens": "9", "server-time-to-first-token": "0.25"}
    first = answer(usage={"prompt_tokens": 9}, timings=timings, perf_metrics=metrics, system_fingerprint="fp-1")
    headers = {"date": "Mon", "x-request-id": "r-1", "fireworks-cached-prompt-tokens": "4"}
    record(tmp_path, body, response(first, headers=headers))
    before = files(tmp_path)
    assert only(tmp_path)["reply"]["headers"] == {"fireworks-cached-prompt-tokens": "4"}
    later = {"id": "chatcmpl-2", "created": 1_800_000_000, "system_fingerprint": "fp-2"}
    later |= {"timings": {**timings, "prompt_ms": 3.5}, "perf_metrics": {**metrics, "server-time-to-first-token": "9"}}
    again = dict(reversed((first | later).items()))
    record(tmp_path, body, response(again, headers={**headers, "date": "Tue", "x-request-id": "r-2"}))
    assert files(tmp_path) == before
    record(tmp_path, body, response(answer("Another answer.")))
    assert files(tmp_path).keys() == before.keys()
    assert only(tmp_path)["reply"]["body"]["choices"][0]["message"]["content"] == "Another answer."


def test_the_run_gets_the_reply_as_it_came(tmp_path: Path) -> None:
    reply = record(tmp_path, rendered(prompt()), response(answer(), headers={"x-request-id": "r-1"}))
    assert json.loads(reply.body) == answer()
    assert provider().request_id(reply) == "r-1"


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (answer("data of the picture: " + ENCODED[:80]), "data in base64"),
        (answer("\n".join(ENCODED[at : at + 76] for at in range(0, 760, 76))), "data in base64"),
        (answer("data:image/png;base64,iVBORw0KGgo="), "data in base64"),
        (answer(prompt_text=base64.urlsafe_b64encode(PICTURE).decode()), "data in base64"),
    ],
)
def test_an_answer_that_git_must_not_hold_is_not_written(tmp_path: Path, said: dict[str, Any], what: str) -> None:
    refused = refusal(tmp_path, rendered(prompt()), response(said))
    assert what in refused
    assert "request " + hashlib.sha256(rendered(prompt())).hexdigest()[:12] in refused
    assert ENCODED[:40] not in refused
    assert files(tmp_path) == {}


def test_no_key_is_ever_written(tmp_path: Path) -> None:
    # In the question, and in an answer in a form that only JSON undoes: not recorded. In a header: cut out of it.
    escaped = json.dumps(answer("x")).replace('"x"', '"' + "".join(f"\\u{ord(sign):04x}" for sign in KEY) + '"')
    for body, said in (
        (rendered(prompt(f"my key is {KEY}")), response(answer())),
        (rendered(prompt()), response(escaped.encode())),
    ):
        refused = refusal(tmp_path, body, said)
        assert "the server's key" in refused
        assert KEY not in refused
    assert files(tmp_path) == {}
    record(tmp_path, rendered(prompt()), response(answer(), headers={"x-litellm-response-cost": f"0.1 {KEY}"}))
    [written] = files(tmp_path).values()
    assert KEY.encode() not in written


@pytest.mark.parametrize(
    "harmless",
    [
        "ha" * 500,
        "-" * 200,
        "| " + "---" * 60,
        "a1b2c3d4e5f60718" * 10,
        "Donaudampfschifffahrtsgesellschaft" * 3,
        "漢字" * 200,
    ],
)
def test_long_words_lines_and_loops_are_no_data(tmp_path: Path, harmless: str) -> None:
    record(tmp_path, rendered(prompt()), response(answer(harmless)))
    assert only(tmp_path)["reply"]["body"]["choices"][0]["message"]["content"] == harmless


@pytest.mark.parametrize("colour", ["white", "black", "#123456"])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
def test_any_picture_s_data_is_found(colour: str, form: str) -> None:
    # The plainest pictures there are have the fewest different characters.
    written = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(written, form)
    text = base64.b64encode(written.getvalue()).decode()
    assert secret_in(json.dumps(f"I see {text}.").encode(), None) == "data in base64"
    packed = [base64.b64encode(random.Random(seed).randbytes(60)) for seed in range(2000)]
    assert all(secret_in(b"I see " + data, None) for data in packed)


@pytest.mark.parametrize(
    "said",
    [
        response({"error": {"message": "busy"}}, 503),
        response({"error": {"message": "busy"}}),
        response(b"<html>"),
        response(STREAM[: len(STREAM) // 2]),
        response({**answer(), "choices": [{"message": {"content": "A c"}, "finish_reason": "abort"}]}),
    ],
)
def test_what_is_no_answer_is_not_recorded(tmp_path: Path, said: httpx.Response) -> None:
    record(tmp_path, rendered(prompt()), said)
    assert files(tmp_path) == {}


def test_a_stream_is_kept_put_together_and_comes_again_as_a_stream(tmp_path: Path) -> None:
    body = rendered(prompt())
    record(tmp_path, body, response(STREAM + b"data: [DONE]\n\n"))
    kept = only(tmp_path)["reply"]
    assert kept["form"] == "stream"
    assert kept["body"]["choices"][0]["message"] == {"content": "A cup on a table."}
    again = replay(tmp_path, body)
    assert again.body.startswith(b"data: ")
    completion = provider().read(again.body)
    assert (completion.text, completion.finish_reason) == ("A cup on a table.", "stop")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(st.characters()) | st.none(), JSON, st.sampled_from(["stop", "length", "content_filter", None]))
def test_whatever_a_server_says_reads_the_same_when_it_comes_again(
    tmp_path_factory: pytest.TempPathFactory, content: str | None, odd: Any, finish_reason: str | None
) -> None:
    folder = tmp_path_factory.mktemp("cassettes")
    choice = {"message": {"content": content, "refusal": odd}, "finish_reason": finish_reason}
    said = json.dumps({"id": "1", "model": odd, "usage": odd, "odd": odd, "choices": [choice]}).encode()
    body = rendered(prompt())
    record(folder, body, response(said))
    before, after = provider().read(said), provider().read(replay(folder, body).body)
    assert (after.text, after.refusal, after.finish_reason) == (before.text, before.refusal, before.finish_reason)
    assert (after.usage, after.served_model) == (before.usage, before.served_model)


def test_the_name_is_the_row_s_request_hash_whatever_signs_an_address(tmp_path: Path) -> None:
    url, shown = "https://host/a.jpg?size=2&X-Amz-Signature=abc&X-Amz-Date=1", "https://host/a.jpg?size=2"
    for changes in ({"dialect": "openai"}, {"dialect": "fireworks", "api": "completions"}):
        signed = rendered(Prompt(fixed(), 'say "url":"https://x/?sig=1"', (LinkedImage(url, shown),)), **changes)
        bare = rendered(Prompt(fixed(), 'say "url":"https://x/?sig=1"', (LinkedImage(shown, shown),)), **changes)
        assert signed != bare
        assert request_sha256(signed) == request_sha256(bare) == hashlib.sha256(bare).hexdigest()
        record(tmp_path / changes["dialect"], signed, response(answer()))
        kept = only(tmp_path / changes["dialect"])
        assert kept["request"]["pictures"] == [{"address": shown, "sha256": None, "bytes": None, "mime": None}]
        assert "abc" not in json.dumps(kept)
    inline = rendered(prompt())
    assert request_sha256(inline) == hashlib.sha256(inline).hexdigest()


@pytest.mark.parametrize("dialect", ["fireworks", "llamacpp"])
def test_a_plain_completion_is_described_as_well(tmp_path: Path, dialect: str) -> None:
    body = rendered(prompt(None, image(PICTURE)), dialect=dialect, api="completions")
    say = server(lambda _: response({"content": "A cup.", "stop_type": "eos"}), dialect=dialect)
    anyio.run(Recording(say, tmp_path, VERSIONS, KEY).send, body)
    kept = only(tmp_path)["request"]
    assert [picture["sha256"] for picture in kept["pictures"]] == [hashlib.sha256(PICTURE).hexdigest()]
    assert len(kept["texts"]) == 1
    assert kept["texts"][0]["begins"].startswith("You describe pictures. Describe it in one sentence. <")


def test_equal_requests_at_once_leave_one_whole_file_and_unused_ones_go(tmp_path: Path) -> None:
    recording = Recording(server(lambda _: response(answer())), tmp_path, VERSIONS, KEY)
    old, new = rendered(prompt("old")), rendered(prompt("new"))
    record(tmp_path, old, response(answer()))
    (tmp_path / "README.md").write_text("Recorded.")

    async def twice() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(recording.send, new)

    anyio.run(twice)
    assert [path.name for path in prune(tmp_path, recording.used)] == [request_sha256(old)[:16] + ".json"]
    assert files(tmp_path).keys() == {"README.md", request_sha256(new)[:16] + ".json"}
    assert json.loads(replay(tmp_path, new).body)["choices"][0]["message"]["content"] == "A cup on a table."


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = refusal(tmp_path / "file" / "cassettes", rendered(prompt()), response(answer()))
    assert "Cannot write" in refused


def test_a_replay_without_cassettes_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are no cassettes in"):
        replay(tmp_path / "none", rendered(prompt()))


def test_an_answer_that_would_read_otherwise_is_kept_as_its_text(tmp_path: Path) -> None:
    class Dated(Server):
        """Reads a member that cassettes leave out."""

        def read(self, body: bytes, notes: Mapping[str, str] = NO_NOTES) -> Completion:
            return replace(super().read(body, notes), text=str(json.loads(body).get("created")))

    inner = Dated(
        DIALECTS["generic"],
        base_url="http://127.0.0.1:1/v1",
        api_key=KEY,
        transport=Saying(lambda _: response(answer())),
        timeout_s=5,
        prices=Prices.load(),
    )
    body = rendered(prompt())
    anyio.run(Recording(inner, tmp_path, VERSIONS, KEY).send, body)
    assert only(tmp_path)["reply"]["form"] == "text"
    assert json.loads(replay(tmp_path, body).body) == answer()
