"""`run.max_cost_usd` with the real command: a bound over the life of the output, kept through resumes and kills."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from pipeline.engine.purse import GAPS
from tests.integration.command import Job, until
from tests.integration.test_mistakes import told
from tests.support import scripts
from tests.support.exchange import Reply, Request, Usage
from tests.support.fake_server import FakeServer

NewJob = Callable[..., Job]
MODEL = {"model": "gpt-4o-mini"}  # 0.15 and 0.60 USD a million
ANSWER = Usage(prompt=10_000, completion=1_000, cached=0)
PRICE = 0.0021
WIDTH = 4


def test_a_budget_ends_the_run_and_more_of_it_goes_on(new_job: NewJob, fake_server: FakeServer) -> None:
    fake_server.script = scripts.delayed(scripts.caption(ANSWER), 0.02)
    job = new_job(60, provider=MODEL, limits={"concurrency": WIDTH}, run_={"max_cost_usd": 0.05})
    ended = job.run()
    assert ended.code == 4, ended.stderr
    cost = sum(row["cost_usd"] for row in job.rows())
    assert 0.05 <= cost <= 0.05 + WIDTH * PRICE
    assert len(job.rows()) == fake_server.answered
    assert "The budget is spent: $0.0" in ended.stdout
    assert f"{60 - len(job.rows())} questions are left" in ended.stdout
    before = fake_server.total
    assert job.run().code == 4
    assert fake_server.total == before, "nothing is asked once it is spent"
    ended = job.run("--max-cost", "1")
    assert ended.code == 0, ended.stderr
    assert len(job.rows()) == 60 == fake_server.answered
    assert job.command("verify").code == 0


def test_a_budget_outlives_a_kill(new_job: NewJob, fake_server: FakeServer) -> None:
    fake_server.script = scripts.delayed(scripts.caption(ANSWER), 0.05)
    job = new_job(60, provider=MODEL, limits={"concurrency": WIDTH}, run_={"max_cost_usd": 0.05})
    with job.start() as running:
        until(lambda: fake_server.answered >= 10, "answers")
        running.kill()
    assert job.run().code == 4
    assert 0.05 / PRICE <= fake_server.answered <= 0.05 / PRICE + 2 * WIDTH + 1


@pytest.mark.parametrize("model", ["fake/vlm", "unheard-of"])
def test_a_budget_for_a_model_without_a_price_is_refused(new_job: NewJob, fake_server: FakeServer, model: str) -> None:
    job = new_job(1, provider={"model": model}, run_={"max_cost_usd": 1.0})
    told(job.run(), 2, "run.max_cost_usd", f"the price of {model} is not known")
    assert fake_server.total == 0


def silent(request: Request) -> Reply:
    """An answer that says nothing of its tokens."""
    whole = scripts.caption()(request)
    body = json.loads(whole.body)
    del body["usage"]
    return replace(whole, body=json.dumps(body).encode())


def test_a_server_that_does_not_count_ends_a_run_with_a_budget(new_job: NewJob, fake_server: FakeServer) -> None:
    fake_server.script = silent
    job = new_job(30, provider=MODEL, limits={"concurrency": WIDTH}, run_={"max_cost_usd": 1.0})
    told(job.run(), 1, "did not say how many tokens", "run.max_cost_usd cannot be kept")
    assert GAPS <= len(job.rows()) == fake_server.answered < GAPS + WIDTH


def test_a_price_that_is_missing_is_not_blamed_on_the_server(new_job: NewJob, fake_server: FakeServer) -> None:
    fake_server.script = scripts.caption(ANSWER)
    provider = {"dialect": "litellm", "model": "unheard-of"}  # a proxy may say a price itself; this one does not
    job = new_job(30, provider=provider, limits={"concurrency": 1}, run_={"max_cost_usd": 1.0})
    told(job.run(), 1, "came without a price, and none is known for unheard-of", "provider.prices")
    assert len(job.rows()) == GAPS


def test_one_answer_that_says_nothing_of_its_tokens_ends_nothing(new_job: NewJob, fake_server: FakeServer) -> None:
    fake_server.script = scripts.sequence(scripts.caption(ANSWER), silent, scripts.caption(ANSWER))
    job = new_job(10, provider=MODEL, limits={"concurrency": 1}, run_={"max_cost_usd": 3.5 * PRICE})
    ended = job.run()
    assert (ended.code, fake_server.answered) == (4, 4), ended.stderr
    assert [row["cost_usd"] for row in job.rows()].count(None) == 1, "what was not said is not written"
    ended = job.run("--max-cost", "1")
    assert (ended.code, fake_server.answered) == (0, 10), ended.stderr


def test_earlier_answers_without_a_price_are_told_with_their_number(new_job: NewJob, fake_server: FakeServer) -> None:
    counted = scripts.caption(ANSWER)
    fake_server.script = scripts.sequence(counted, counted, silent, counted, silent, scripts.hang())
    job = new_job(9, limits={"concurrency": 1})
    assert job.run("--limit", "2").code == 0
    with job.start() as running:
        until(lambda: len(job.journaled()) == 3 and fake_server.in_flight, "three more answers in the journal")
        running.kill()
    prices = job.folder / "prices.toml"
    prices.write_text('[models]\n"fake/vlm" = { input = 0.15, output = 0.6 }\n')
    job.provider["prices"], job.run_["max_cost_usd"] = str(prices), 1.0
    fake_server.script = counted
    warned = job.run("--limit", "1").event("budget.unpriced")
    assert (warned["level"], warned["rows"]) == ("warning", 4), "what was still in the journal gets today's price"
    assert "not in run.max_cost_usd" in warned["effect"]
    del job.run_["max_cost_usd"]
    assert "budget.unpriced" not in job.run().stderr, "nobody asked for a bound"


@pytest.mark.parametrize("streamed", [False, True], ids=["finish reason error", "a stream without an end"])
def test_answers_that_are_broken_off_are_part_of_the_budget(
    new_job: NewJob, fake_server: FakeServer, *, streamed: bool
) -> None:
    def broken(request: Request) -> Reply:
        whole = json.loads(scripts.caption(ANSWER)(request).body)
        if not streamed:
            whole["choices"][0]["finish_reason"] = "error"
            return Reply(body=json.dumps(whole).encode())
        chunk = {"choices": [{"index": 0, "delta": {"content": "A c"}}], "usage": whole["usage"]}
        return Reply(body=f"data: {json.dumps(chunk)}\n\n".encode())

    fake_server.script = broken
    job = new_job(60, provider=MODEL, limits={"concurrency": WIDTH}, run_={"max_cost_usd": 0.02})
    ended = job.run()
    assert ended.code == 4, ended.stdout + ended.stderr
    assert 0.02 / PRICE <= fake_server.total <= 0.02 / PRICE + WIDTH + 1
    before = fake_server.total
    assert job.run().code == 4
    assert fake_server.total == before, "what was paid for is remembered"
