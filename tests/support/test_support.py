"""The fake server does what its script says, and its log knows first."""

import hashlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
import pytest

from tests.support import scripts
from tests.support.ask import chat_body, raw_post, read_reply
from tests.support.child import ROOT
from tests.support.exchange import Reply, Request, Script, Usage
from tests.support.fake_process import FakeProcess
from tests.support.fake_server import FakeServer, is_whole_answer, read_log
from tests.support.pictures import picture
from tests.support.schemas import obey

JPEG = picture(1)


def ask(server: FakeServer | FakeProcess, timeout: float = 10, **body: Any) -> httpx.Response:
    return httpx.post(
        f"{server.base_url}/chat/completions",
        json=chat_body(**{"image": JPEG, **body}),
        timeout=timeout,
        trust_env=False,
    )


def content(reply: httpx.Response) -> str:
    return cast("str", reply.json()["choices"][0]["message"]["content"])


def test_answer_names_picture_and_request() -> None:
    with FakeServer(scripts.caption(Usage(100, 7, 30))) as server:
        replies = [ask(server, image=picture(seed)) for seed in (1, 2, 1)]
        assert len({content(reply) for reply in replies}) == 2
        assert len({reply.headers["x-request-id"] for reply in replies}) == 3
        assert [reply.json()["id"] for reply in replies] == [reply.headers["x-request-id"] for reply in replies]
        assert replies[0].json()["usage"] == {
            "prompt_tokens": 100,
            "completion_tokens": 7,
            "total_tokens": 107,
            "prompt_tokens_details": {"cached_tokens": 30},
        }
        request = server.requests[0]
        assert content(replies[0]) == scripts.caption_of(request.image_base64_sha256)
        assert request.image_sha256 == hashlib.sha256(JPEG).hexdigest()
        assert (request.image, request.model) == (JPEG, "fake/vlm")
        assert [line["image_sha256"] for line in server.answers()] == [r.image_sha256 for r in server.requests]
        assert (server.total, server.answered, server.in_flight) == (3, 3, 0)
        models = httpx.get(f"{server.base_url}/models", trust_env=False).json()
        assert [model["id"] for model in models["data"]] == ["fake/vlm"]


SCHEMA = {
    "type": "object",
    "properties": {
        "verdict": {"enum": ["safe", "unsafe"]},
        "scores": {"type": "array", "items": {"type": "number", "maximum": 1}, "minItems": 2, "maxItems": 2},
        "note": {"anyOf": [{"$ref": "#/$defs/note"}, {"type": "null"}]},
    },
    "$defs": {"note": {"type": "string", "maxLength": 5}},
}


def test_schema_is_obeyed() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    with FakeServer() as server:
        said = json.loads(content(ask(server, response_format=wanted)))
    assert said == obey(SCHEMA, hashlib.sha256(server.requests[0].image_base64).hexdigest())
    assert said["verdict"] in {"safe", "unsafe"}
    assert len(said["scores"]) == 2
    assert len(said["note"]) == 5


BROKEN: dict[str, tuple[Script, type[httpx.HTTPError]]] = {
    "hang": (scripts.hang(), httpx.ReadTimeout),
    "unanswered": (scripts.drop(), httpx.RemoteProtocolError),
    "reset": (scripts.drop(reset=True), httpx.ReadError),
    "middle": (scripts.drop("middle"), httpx.RemoteProtocolError),
    "truncated": (scripts.truncated(), httpx.RemoteProtocolError),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_connections(name: str) -> None:
    script, met = BROKEN[name]
    with FakeServer(script) as server, pytest.raises(met):
        ask(server, timeout=0.2 if name == "hang" else 10)
    assert server.answers() == []
    assert server.in_flight == 0
    assert server.lines[-1]["event"] == {"hang": "gone", "unanswered": "dropped", "reset": "dropped"}.get(
        name, "answered"
    )


def test_dropped_after_a_whole_answer() -> None:
    dropping = FakeServer(scripts.drop("after"))
    with dropping as server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(raw_post(chat_body(JPEG)))
        status, headers, body = read_reply(connection)
        assert (status, len(body), headers.get("connection")) == (200, int(headers["content-length"]), None)
        assert connection.recv(1) == b""
        assert len(server.answers()) == 1


ODD: dict[str, tuple[Script, Callable[[httpx.Response], bool]]] = {
    "garbage": (scripts.garbage(), lambda reply: reply.status_code == 200 and b"<not json" in reply.content),
    "error in 200": (scripts.error(200), lambda reply: reply.is_success and "error" in reply.json()),
    "length": (scripts.cut_by_length("A pic"), lambda reply: reply.json()["choices"][0]["finish_reason"] == "length"),
    "refusal": (scripts.refusal("No."), lambda reply: reply.json()["choices"][0]["message"]["refusal"] == "No."),
    "filter": (
        scripts.content_filter(),
        lambda reply: reply.json()["choices"][0]["finish_reason"] == "content_filter",
    ),
    "drip": (scripts.drip(scripts.text("word " * 9), 64, 0.001), lambda reply: content(reply) == "word " * 9),
    "limited": (scripts.rate_limited(2), lambda reply: (reply.status_code, reply.headers["retry-after"]) == (429, "2")),
    "page": (scripts.error(502, shape="html"), lambda reply: reply.headers["content-type"] == "text/html"),
    "empty": (scripts.error(520, shape="empty"), lambda reply: reply.status_code == 520 and not reply.content),
    "key": (scripts.needs_key("sk-1"), lambda reply: reply.status_code == 401),
    "late": (scripts.delayed(scripts.text("x"), 0.05), lambda reply: reply.elapsed.total_seconds() >= 0.05),
    "random": (scripts.lognormal(scripts.text("x"), 0.001), lambda reply: reply.is_success),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_answers(name: str) -> None:
    script, holds = ODD[name]
    with FakeServer(script) as server:
        assert holds(ask(server))


def test_choices() -> None:
    a, b, c = (scripts.text(letter) for letter in "abc")
    second = hashlib.sha256(picture(2)).hexdigest()
    chosen = scripts.by_model({"other": b}, scripts.by_marker({"XY": c}, scripts.by_picture({second: b}, a)))
    with FakeServer(chosen) as server:
        given: list[dict[str, Any]] = [{}, {"model": "other"}, {"prompt": "XY"}, {"image": picture(2)}]
        assert [content(ask(server, **body)) for body in given] == ["a", "b", "c", "b"]
        server.script = scripts.fail_first(2, scripts.error(503), scripts.sequence(a, b))
        assert [ask(server).status_code for _ in range(4)] == [503, 503, 200, 200]
        server.script = scripts.fail_first(1, scripts.error(500), each="body")
        assert [ask(server, image=picture(n)).status_code for n in (1, 2, 1, 2)] == [500, 500, 200, 200]
        server.script = scripts.for_some_bodies(0.5, scripts.error(400), seed=1)
        rounds = [[ask(server, image=picture(n)).status_code for n in range(8)] for _ in range(2)]
        assert rounds[0] == rounds[1]
        assert set(rounds[0]) == {200, 400}


def test_quota_follows_the_clock_of_arrivals() -> None:
    script = scripts.quota(60, scripts.text("x"), burst=2)

    def at(seconds: float) -> tuple[int, dict[str, str]]:
        reply = script(Request(1, "id", "POST", "/v1/chat/completions", {}, b"", seconds))
        return reply.status, dict(reply.headers)

    assert [at(0)[0], at(0)[0], at(0.25)[0]] == [200, 200, 429]
    assert at(0.25)[1]["retry-after"] == "0.75"
    assert [at(1)[0], at(1)[0], at(5)[0], at(5)[0], at(5)[0]] == [200, 429, 200, 200, 429]


def test_chunked_and_pipelined_requests() -> None:
    plain = raw_post(chat_body(JPEG))
    body = plain.partition(b"\r\n\r\n")[2]
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:100], body[100:]))
    chunked = b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n"
    with FakeServer() as server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(chunked)
        assert read_reply(connection)[0] == 200
        connection.sendall(plain + plain)
        replied = b""
        while replied.count(b'"choices"') < 2:
            replied += connection.recv(65536)
        assert [request.body for request in server.requests] == [body] * 3
        assert server.max_connections == 1


def test_log_is_written_before_the_first_byte(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    dripping = FakeServer(scripts.drip(scripts.text("x"), 1, 60), log=log)
    with dripping as server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(raw_post(chat_body(JPEG)))
        assert connection.recv(1) == b"H"
        received, answered = read_log(log)
        assert (received["event"], answered["event"], answered["status"]) == ("received", "answered", 200)
        assert answered["image_sha256"] == hashlib.sha256(JPEG).hexdigest()
        assert answered["usage"]["prompt_tokens"] == 120
        assert is_whole_answer(answered)
    assert read_log(log)[-1]["event"] == "gone"


def test_counts_what_is_in_flight() -> None:
    async def together() -> None:
        async with FakeServer(scripts.delayed(scripts.text("x"), 0.1)) as server:
            async with httpx.AsyncClient(trust_env=False) as client, anyio.create_task_group() as tasks:
                for _ in range(8):
                    tasks.start_soon(lambda: client.post(f"{server.base_url}/chat/completions", json=chat_body(JPEG)))
            assert (server.max_in_flight, server.in_flight, server.total) == (8, 0, 8)

    anyio.run(together)


def test_error_in_a_script_is_raised() -> None:
    def broken(_: Request) -> Reply:
        raise ValueError("a bug in a test")

    def use() -> int:
        with FakeServer(broken) as server:
            return ask(server).status_code

    with pytest.raises(ValueError, match="a bug in a test"):
        use()


def test_process_answers_and_ends_with_its_stdin(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with FakeProcess(latency=0.01, log=log, rpm=60, burst=1) as server:
        assert [ask(server).status_code for _ in range(2)] == [200, 429]
        assert server.stats()["total"] == 2
        with socket.create_connection(("127.0.0.1", int(server.base_url.split(":")[2][:-3])), timeout=10) as connection:
            assert server.close() == 0
            assert connection.recv(1) == b""
    assert [line["status"] for line in read_log(log) if line["event"] == "answered"] == [200, 429]


def test_process_ends_when_its_parent_is_killed() -> None:
    code = "import time; from tests.support.fake_process import FakeProcess\n"
    code += "with FakeProcess() as server: print(server.base_url, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline().split(b":")[2].split(b"/")[0])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            parent.send_signal(signal.SIGKILL)
            assert connection.recv(1) == b""
