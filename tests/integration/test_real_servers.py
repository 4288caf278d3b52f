"""Against servers that we did not write: llama.cpp with a real vision tower, and llmock as a judge of retries."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import KINDS
from tests.integration.command import Job
from tests.support.llmock import LLMock
from tests.support.pictures import AWKWARD, picture, write_pictures

FORMATS = {
    "photo.webp": lambda: picture(1, 96, 64, "WEBP"),
    "moving.gif": AWKWARD["animation"],
    "old.bmp": AWKWARD["bmp"],
    "scan.tif": AWKWARD["pages"],
    "logo.png": AWKWARD["rgba"],
    "turned.jpg": AWKWARD["oriented"],
}


def test_llama_reads_every_format_as_we_send_it(llama_server: str, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name, make in FORMATS.items():
        (pictures / name).write_bytes(make())
    job = Job(
        tmp_path,
        pictures,
        llama_server,
        provider={"dialect": "llamacpp", "model": "tiny", "temperature": 1.0, "seed": 1},
        tasks=[{"kind": "caption", "max_tokens": 8}, {"kind": "moderate", "max_tokens": 2000}],
        limits={"concurrency": 1},
        retry={"repairs": 0, "attempts": 1},
        run_={"max_failure_share": 1},  # a random model is seldom to the point
    )
    ended = job.run()
    assert ended.code == 0, ended.stderr
    refused = "the server answered 500: The model produced output that does not match"
    for task in ("caption", "moderate"):
        rows, failures = job.rows(task), job.failures(task)
        assert sorted(row["key"] for row in [*rows, *failures]) == sorted(FORMATS)
        # llama.cpp answers 500 to an answer that a schema bound and the token limit cut. None blames a picture.
        for row in failures:
            assert KINDS[row["kind"]].stage == "parse" or (task == "moderate" and row["message"].startswith(refused))
        answered = [row for row in [*rows, *failures] if row.get("http_status") != 500]
        assert all(row["raw_text"] or row["kind"] == "empty" for row in answered)
        assert all(row["served_model"] == "tiny" for row in answered)
        assert all(row["prompt_tokens"] > 500 and row["completion_tokens"] > 0 for row in answered)
        cached = [row["cached_tokens"] for row in sorted(answered, key=lambda row: row["finished_at"])]
        print(task, "cached tokens", cached, job.kinds(task))
        if task == "caption":
            assert len(answered) == len(FORMATS)
            assert min(cached[1:]) > 500  # all but the picture and what follows it
    for row in job.rows("moderate"):
        assert row["verdict"] in {"safe", "unsafe", "unsure"}
        assert set(row["labels"]) <= {"sexual", "violence", "violence/graphic", "self-harm"}
        assert json.loads(row["raw_text"])["verdict"] == row["verdict"]


def test_llmock_finds_no_fault_with_our_retries(llmock_server: Callable[..., LLMock], tmp_path: Path) -> None:
    # Twenty at once, then one every three seconds: two of twenty-two are refused and wait.
    server = llmock_server(rpm=20)
    write_pictures(tmp_path / "pictures", 22)
    job = Job(
        tmp_path,
        tmp_path / "pictures",
        server.base_url,
        provider={"model": "gpt-4o", "api_key_env": "TEST_KEY"},
        limits={"concurrency": 22},
        env={"TEST_KEY": "sk-test"},
    )
    ended = job.run("--verbose")
    assert ended.code == 0, ended.stderr
    assert (len(job.rows()), job.failures()) == (22, [])
    verdict = server.verdict()
    assert verdict["findings"] == []
    assert verdict["passed"]
    assert verdict["attempts"] > 22


def fails(status: int, model: str, times: int | None, **how: object) -> dict[str, object]:
    return {"type": "fail", "status": status, "times": times, "match": {"model": model}, **how}


def test_llmock_finds_no_fault_with_how_we_back_off_and_give_up(
    llmock_server: Callable[..., LLMock], tmp_path: Path
) -> None:
    # A task and a model for each trouble: server errors that pass and that stay, and refusals for good. No quota: what
    # the whole run waits for would stand between two attempts of a row, and the judge takes that for its backoff.
    server = llmock_server()
    server.script(
        fails(500, "stumbles", 16),
        fails(500, "dead", None),
        fails(400, "refuses", 4, message="no such pixel"),
        fails(422, "refuses", 4, message="not this one"),
    )
    write_pictures(tmp_path / "pictures", 8)
    models = ("stumbles", "dead", "refuses")
    job = Job(
        tmp_path,
        tmp_path / "pictures",
        server.base_url,
        provider={"api_key_env": "TEST_KEY"},
        tasks=[{"kind": "caption", "name": model, "model": model} for model in models],
        limits={"concurrency": 24},
        retry={"attempts": 4},
        run_={"max_failure_share": 1},
        env={"TEST_KEY": "sk-test"},
    )
    ended = job.run()
    assert ended.code == 0, ended.stderr
    verdict = server.verdict()
    assert verdict["findings"] == []
    # It had much to judge: of each question every attempt, and none was taken for another question.
    assert (verdict["calls"], verdict["attempts"], verdict["faults_injected"]) == (24, 24 + 40, 16 + 32 + 8)
    assert [len(job.rows(model)) for model in models] == [8, 0, 0]
    assert [(row["kind"], row["attempts"]) for row in job.failures("dead")] == [("http_5xx", 4)] * 8
    assert [(row["kind"], row["attempts"]) for row in job.failures("refuses")] == [("bad_request", 1)] * 8


@pytest.mark.parametrize("status", [429, 500, 503])
def test_llmock_sees_us_wait_as_long_as_it_asks(
    status: int, llmock_server: Callable[..., LLMock], tmp_path: Path
) -> None:
    # Five rows that meet a 503 are an outage, a single 429 is for everybody: the gate closes, for as long as was asked.
    server = llmock_server()
    server.script(fails(status, "away", 6, retry_after=2.5))
    write_pictures(tmp_path / "pictures", 12)
    job = Job(
        tmp_path,
        tmp_path / "pictures",
        server.base_url,
        provider={"model": "away", "api_key_env": "TEST_KEY"},
        limits={"concurrency": 6},
        env={"TEST_KEY": "sk-test"},
    )
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert len(job.rows()) == 12
    verdict = server.verdict()
    assert verdict["findings"] == []
    assert (verdict["calls"], verdict["attempts"], verdict["faults_injected"]) == (12, 18, 6)
