"""The real servers start, answer a picture, and end."""

import json
from collections.abc import Callable

import httpx

from tests.support.ask import chat_body
from tests.support.llmock import LLMock
from tests.support.pictures import picture
from tests.support.tiny_model import write_model

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["verdict"],
    "properties": {"verdict": {"enum": ["safe", "unsafe"]}},
}


def ask(base_url: str, body: dict[str, object], key: str = "test") -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{base_url}/chat/completions", json=body, headers=headers, timeout=30, trust_env=False)


def test_llama_looks_at_pictures(llama_server: str) -> None:
    without = ask(llama_server, chat_body(max_tokens=4, temperature=0)).json()["usage"]["prompt_tokens"]
    seen = ask(llama_server, chat_body(picture(1), max_tokens=4, temperature=0)).json()
    assert seen["usage"]["prompt_tokens"] >= without + 16
    assert seen["usage"]["prompt_tokens_details"]["cached_tokens"] >= 0
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}
    bound = ask(llama_server, chat_body(picture(1), max_tokens=200, temperature=0, response_format=wanted)).json()
    assert json.loads(bound["choices"][0]["message"]["content"])["verdict"] in {"safe", "unsafe"}
    assert ask(llama_server, chat_body(picture(1, format="WEBP"))).status_code == 400


def test_llmock_limits_and_judges(llmock_server: Callable[..., LLMock]) -> None:
    server = llmock_server(rpm=2)
    body = chat_body(picture(1), model="gpt-4o", max_tokens=8)
    replies = [ask(server.base_url, body) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [200, 200, 429, 429]
    assert float(replies[2].headers["retry-after"]) > 0
    verdict = server.verdict()
    assert not verdict["passed"]
    assert "retry_after_ignored" in {finding["code"] for finding in verdict["findings"]}


def test_model_is_the_same_for_the_same_seed(tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    first, second = (write_model(tmp_path_factory.mktemp("model")) for _ in range(2))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert sum(path.stat().st_size for path in first) < 1_000_000
