"""The same job, changed in nothing but the dialect, the address and the model, against every kind of server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.core.errors import KINDS
from tests.integration.command import Job
from tests.support.fake_server import FakeServer
from tests.support.pictures import write_pictures
from tests.support.strict_server import PERSONALITIES, strict


def job(folder: Path, base_url: str, dialect: str, **provider: object) -> Job:
    pictures = folder / "pictures"
    if not pictures.exists():
        write_pictures(pictures, 6)
    keys = {"FIREWORKS_API_KEY": "test", "OPENAI_API_KEY": "test"}
    return Job(
        folder,
        pictures,
        base_url,
        provider={"dialect": dialect, "model": "a/model", **provider},
        tasks=[{"kind": "caption"}, {"kind": "moderate"}, {"kind": "ocr", "max_tokens": 6000}],
        env=dict(keys),
    )


@pytest.mark.parametrize("dialect", PERSONALITIES)
def test_one_line_switches_the_server(dialect: str, tmp_path: Path) -> None:
    with FakeServer(strict(dialect)) as server:
        made = job(tmp_path, server.base_url, dialect)
        ended = made.run()
    assert ended.code == 0, ended.stderr
    for task in ("caption", "moderate", "ocr"):
        rows = made.rows(task)
        assert len(rows) == 6
        assert not made.failures(task)
        assert {row["prompt_tokens"] for row in rows} == {900}
        assert {row["cached_tokens"] for row in rows} == {None if dialect == "ollama" else 640}
        assert {row["cost_usd"] for row in rows} == {0.00125 if dialect == "litellm" else None}


@pytest.mark.parametrize("dialect", ["fireworks", "llamacpp"])
def test_completions_end_to_end(dialect: str, tmp_path: Path) -> None:
    template = "<|user|>{images}\n{system} {text}<|assistant|>\n"
    with FakeServer(strict(dialect)) as server:
        made = job(tmp_path, server.base_url, dialect, api="completions", template=template)
        ended = made.run()
        prompts = [json.loads(request.body)["prompt"] for request in server.requests]
    assert ended.code == 0, ended.stderr
    assert [len(made.rows(task)) for task in ("caption", "moderate", "ocr")] == [6, 6, 6]
    texts = [prompt if isinstance(prompt, str) else prompt["prompt_string"] for prompt in prompts]
    assert all(text.startswith("<|user|><") and text.endswith("<|assistant|>\n") for text in texts)


def test_llama_answers_chat_and_completions_alike(llama_server: str, tmp_path: Path) -> None:
    counts = {}
    for api in ("chat", "completions"):
        folder = tmp_path / api
        folder.mkdir()
        made = job(folder, llama_server, "llamacpp", api=api, temperature=1.0, seed=1)
        made.tasks = [{"kind": "caption", "max_tokens": 8}, {"kind": "moderate", "max_tokens": 2000}]
        made.limits, made.retry = {"concurrency": 1}, {"repairs": 0, "attempts": 1}
        made.run_ = {"max_failure_share": 1}  # a random model is seldom to the point
        ended = made.run()
        assert ended.code == 0, ended.stderr
        for task in ("caption", "moderate"):
            rows = [row for row in [*made.rows(task), *made.failures(task)] if row.get("http_status") != 500]
            assert all(row["prompt_tokens"] > 16 and row["completion_tokens"] > 0 for row in rows), rows
            assert all(row["served_model"] == "tiny" for row in rows)
            counts[api, task] = [row["cached_tokens"] for row in sorted(rows, key=lambda row: row["finished_at"])]
        answers = [json.loads(row["raw_text"]) for row in made.rows("moderate")]
        assert all(answer["verdict"] in {"safe", "unsafe", "unsure"} for answer in answers)
    print("cached tokens", counts)
    assert all(None not in cached for cached in counts.values())


def test_llama_answers_in_whatever_dialect_it_is_asked(llama_server: str, tmp_path: Path) -> None:
    # What a random model says is seldom to the point, but a schema this narrow binds even that one.
    red = {"type": "object", "properties": {"red": {"type": "boolean"}}, "required": ["red"]}
    read = {}
    for dialect in ("llamacpp", "vllm", "generic"):
        folder = tmp_path / dialect
        folder.mkdir()
        made = job(folder, llama_server, dialect, temperature=1.0, seed=1)
        made.tasks.append({"kind": "ask", "question": "Is it red?", "schema": json.dumps(red)})
        made.run_ = {"max_failure_share": 1}
        ended = made.run()
        assert ended.code == 0, ended.stderr
        for task in ("caption", "moderate", "ocr", "ask"):
            rows, failures = made.rows(task), made.failures(task)
            assert len([*rows, *failures]) == 6
            assert rows or task == "moderate"
            for row in failures:
                assert KINDS[row["kind"]].stage == "parse", row
                # Without a 200 only where the server itself held the answer against the schema.
                assert row["http_status"] == 200 or (task == "moderate" and row["kind"] == "schema_mismatch"), row
            answered = [row for row in [*rows, *failures] if row["prompt_tokens"] is not None]
            assert all(row["cached_tokens"] is not None and row["served_model"] == "tiny" for row in answered)
            assert len(answered) == 6 or task == "moderate"
            if task != "moderate":
                read[dialect, task] = sorted(row["prompt_tokens"] for row in answered)
        assert len(made.rows("ask")) == 6
        assert {type(row["red"]) for row in made.rows("ask")} == {bool}
    assert all(tokens == read["llamacpp", task] for (_, task), tokens in read.items()), "the prompt is the same in each"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"dialect": "vllm", "api": "completions"}, "provider.api: vllm takes pictures with chat only; leave api out"),
        ({"dialect": "openai", "api": "completions"}, "or use one of fireworks, llamacpp"),
        ({"api": "completions", "template": "{text}"}, "provider.template: {images} must stand in it once"),
        ({"template": "{images}{text}"}, "provider.template: only api = 'completions' has one"),
        (
            {"api": "completions", "layout": "image_first", "template": "{text}{images}"},
            "provider.layout: provider.template says where the pictures stand; leave one of them out",
        ),
        (
            {"prices": "none.toml", "template": "{images}{text}"},
            "provider.prices: cannot read none.toml: No such file or directory",
        ),
    ],
)
def test_settings_that_cannot_go_together(settings: dict[str, str], problem: str, tmp_path: Path) -> None:
    ended = job(tmp_path, "http://127.0.0.1:9/v1", **{"dialect": "llamacpp", **settings}).run()
    assert ended.code == 2
    assert problem in " ".join(ended.stderr.split())


def test_llama_takes_no_address_beside_a_prompt(tmp_path: Path) -> None:
    made = job(tmp_path, "http://127.0.0.1:9/v1", "llamacpp", api="completions")
    made.images = {"send": "url"}
    ended = made.run()
    assert ended.code == 2
    assert "images.send: with api = 'completions' llamacpp takes pictures inline only" in ended.stderr


def test_ones_own_prices_are_counted(tmp_path: Path) -> None:
    prices = tmp_path / "mine.toml"
    prices.write_text('[models]\n"a/model" = { input = 1000, output = 0 }')
    with FakeServer(strict("generic")) as server:
        made = job(tmp_path, server.base_url, "generic", prices=str(prices))
        assert made.run().code == 0
    assert {row["cost_usd"] for row in made.rows("caption")} == {0.9}
    prices.unlink()
    copy = made.command("reparse", "--to", str(tmp_path / "copy"))
    assert copy.code == 0, copy.stderr
    assert made.command("status").code == 0, "its prices are kept in the output"


def test_the_pictures_can_go_first(tmp_path: Path) -> None:
    with FakeServer(strict("generic")) as server:
        made = job(tmp_path, server.base_url, "generic", layout="image_first")
        assert made.run().code == 0
        [first] = {json.loads(request.body)["messages"][0]["content"][0]["type"] for request in server.requests}
    assert first == "image_url"
