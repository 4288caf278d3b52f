"""`check`: what a server can do of what a run needs, by at most four small calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from pipeline import few_calls
from pipeline import probe as looking
from pipeline.checks import read_config
from pipeline.config import Config
from pipeline.reporting.probed import Probe
from tests.integration.command import Job
from tests.support import scripts
from tests.support.exchange import Reply, Request, Script, Usage
from tests.support.fake_server import FakeServer

NewJob = Callable[..., Job]
NO_QUESTION = b'"messages":"none"'
COLOUR = "Which colour"


def server_like(
    colour: Script | None = None,
    answer: Script | None = None,
    refusal: Script | None = None,
    usage: Usage | None = None,
) -> Script:
    """A server by its answers: to the question about the colour, to the task's, to no question."""
    return scripts.by_marker(
        {
            COLOUR: colour or scripts.json_answer({"colour": "green"}, usage),
            NO_QUESTION.decode(): refusal or scripts.error(422, "no list", shape="detail_list"),
        },
        answer or scripts.caption(usage),
    )


async def soon(config: Config) -> Probe:
    with anyio.fail_after(20):  # less than any of its time-outs
        return await looking.probe(config)


def look(job: Job, *overrides: str) -> Probe:
    return anyio.run(soon, read_config(job.write(), overrides))


def marks(found: Probe) -> dict[str, str]:
    return {finding.topic: finding.mark for finding in found.findings}


def said(found: Probe, topic: str) -> str:
    (line,) = [f"{finding.said} {finding.advice}" for finding in found.findings if finding.topic == topic]
    return line


def test_a_server_that_can_everything(new_job: NewJob, fake_server: FakeServer) -> None:
    fake_server.script = server_like(usage=Usage(prompt=1000, completion=10, cached=600))
    job = new_job(1, provider={"model": "fake/vlm", "api_key_env": "A_KEY"}, env={"A_KEY": "sk-very-secret-1234"})
    ended = job.about_the_job("check")
    assert ended.code == 0, ended.stderr
    assert {line[0] for line in ended.stdout.splitlines()[:-1]} == {"✓"}
    assert "taken from A_KEY" in ended.stdout
    assert "600 of 1,000 tokens of a repeated request came from a cache" in ended.stdout
    assert 'come with status 422 as a list "detail"' in ended.stdout
    assert "4 calls, 3,000 tokens in, 30 tokens out, an unknown price. No output was touched." in ended.stdout
    assert "sk-very" not in ended.stdout + ended.stderr
    assert not job.out.exists()
    task, colour, again, nothing = fake_server.requests
    assert task.body == again.body, "the same request twice"
    assert task.has("Write a caption for the picture")
    assert len(task.images_base64()) == len(colour.images_base64()) == 1
    assert colour.has('"json_schema"')
    assert not nothing.images_base64()


def test_the_same_for_a_program(new_job: NewJob, fake_server: FakeServer) -> None:
    fake_server.script = server_like(usage=Usage(prompt=1000, completion=10, cached=0))
    ended = new_job(1, provider={"model": "gpt-4o-mini"}).about_the_job("check", "--json")
    assert ended.code == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert (found["fine"], found["calls"], found["prompt_tokens"]) == (True, 4, 3000)
    assert found["cost_usd"] == pytest.approx(3 * (1000 * 0.15 + 10 * 0.6) / 1e6)
    lines = {line["topic"]: line for line in found["findings"]}
    assert lines["cache"]["mark"] == "open"
    assert "none of 1,000 tokens" in lines["cache"]["said"]
    assert lines["model"]["mark"] == "open"


def test_a_wrong_configuration_is_exit_2(new_job: NewJob, fake_server: FakeServer) -> None:
    ended = new_job(1, provider={"api_key_env": "NOT_SET"}, limits={"concurrency": 0}).about_the_job("check")
    assert ended.code == 2
    assert len(ended.errors) == 2
    assert fake_server.total == 0


def test_nobody_there_is_exit_5(new_job: NewJob) -> None:
    job = new_job(1)
    job.base_url = "http://127.0.0.1:9/v1"
    ended = job.about_the_job("check")
    assert ended.code == 5
    assert "✗ server  http://127.0.0.1:9/v1" in ended.stdout
    assert "0 calls" in ended.stdout


def test_a_schema_that_is_ignored_hinders_nobody(new_job: NewJob, fake_server: FakeServer) -> None:
    fake_server.script = server_like(colour=scripts.text("It is Green."))
    found = look(new_job(1))
    assert (marks(found)["schema"], marks(found)["sight"], found.fine) == ("open", "fine", True)


@pytest.mark.parametrize(
    "answer", ['{"colour": "purple"}', '{"colour": "green", "why": 1}', '```json\n{"colour": "green"}\n```', "[1]"]
)
def test_an_answer_that_breaks_the_schema_shows_that_it_is_ignored(
    new_job: NewJob, fake_server: FakeServer, answer: str
) -> None:
    fake_server.script = server_like(colour=scripts.text(answer))
    assert marks(look(new_job(1)))["schema"] == "open"


def test_a_model_that_does_not_see_is_suspected(new_job: NewJob, fake_server: FakeServer) -> None:
    for answer in (scripts.json_answer({"colour": "red"}), scripts.text("I see no evergreen picture.")):
        fake_server.script = server_like(colour=answer)
        found = look(new_job(1))
        assert (marks(found)["sight"], found.fine) == ("open", True)
        assert "Does the model see?" in said(found, "sight")


@pytest.mark.parametrize(("kind", "mark"), [("caption", "open"), ("moderate", "wrong")])
def test_a_refused_schema_matters_to_tasks_that_have_one(
    new_job: NewJob, fake_server: FakeServer, kind: str, mark: str
) -> None:
    fake_server.script = server_like(colour=scripts.error(400, "json schema not supported"))
    found = look(new_job(1, tasks=[{"kind": kind}]))
    assert (marks(found)["schema"], found.fine) == (mark, mark == "open")
    assert marks(found)["cache"] == "fine", "the rest is looked at all the same"


@pytest.mark.parametrize(
    ("refusal", "topic", "words"),
    [
        (scripts.error(400, "fake/vlm is not a multimodal model"), "vision", "takes no pictures"),
        (scripts.error(400, "cannot identify image file", code="invalid_image"), "vision", "400"),
        (scripts.error(401, "no such key"), "call", "Check the API key"),
        (scripts.error(404, "no such model", code="model_not_found"), "call", "provider.model"),
        (scripts.error(429, "no money", code="insufficient_quota"), "call", "Add credit"),
        (scripts.error(200, "no money", code="insufficient_quota"), "call", "Add credit"),
        (scripts.error(500), "call", "500"),
    ],
)
def test_what_a_run_cannot_do_without(
    new_job: NewJob, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch, refusal: Script, topic: str, words: str
) -> None:
    monkeypatch.setattr(few_calls, "LONGEST_WAIT_S", 0.0)
    fake_server.script = server_like(answer=refusal)
    found = look(new_job(1))
    assert (marks(found)[topic], found.fine) == ("wrong", False)
    assert words in said(found, topic)
    assert "schema" not in marks(found), "nothing else is to be learned"
    assert found.calls == (2 if words == "500" else 1), "what may pass is tried once more"


def test_one_retry_in_all_and_four_calls(
    new_job: NewJob, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(few_calls, "LONGEST_WAIT_S", 0.0)
    fake_server.script = scripts.fail_first(1, scripts.rate_limited(60), server_like())
    found = look(new_job(1))
    assert found.fine
    assert "errors" not in marks(found), "its call was spent on the retry"
    assert fake_server.total == found.calls == 4
    limited, server = scripts.rate_limited(60), server_like()
    fake_server.script = scripts.sequence(limited, server, limited, server)
    found = look(new_job(1))
    assert (marks(found)["schema"], marks(found)["cache"], found.calls) == ("open", "fine", 4)


def test_a_spent_quota_is_no_pass_where_nothing_was_learned(new_job: NewJob, fake_server: FakeServer) -> None:
    fake_server.script = scripts.rate_limited(1)
    job = new_job(1, tasks=[{"kind": "caption"}, {"kind": "ocr", "model": "other"}])
    ended = job.about_the_job("check")
    assert ended.code == 5
    assert "✗ call    refused by quota: " in ended.stdout
    assert "Nothing was learned: try again later." in ended.stdout
    assert fake_server.total == 2, "one retry, and no more calls at one who asks for patience"
    fake_server.script = scripts.by_model({"other": scripts.rate_limited(1)}, server_like())
    found = look(job)
    assert (marks(found)["call"], found.fine) == ("open", True), "of the other model everything was learned"


def test_a_second_model_is_not_asked_beyond_four_calls(
    new_job: NewJob, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(few_calls, "LONGEST_WAIT_S", 0.0)
    job = new_job(1, tasks=[{"kind": "caption"}, {"kind": "ocr", "model": "other"}])
    fake_server.script = scripts.fail_first(1, scripts.rate_limited(60), server_like())
    found = look(job)
    assert (marks(found)["vision"], found.fine, found.calls) == ("open", True, 4)
    assert found.findings[-1].said == "ocr: not asked, all calls were made."
    before = fake_server.total
    fake_server.script = scripts.by_model({"other": scripts.error(500)}, server_like())
    assert (look(job).calls, fake_server.total - before) == (4, 4), "and not tried once more"


def test_silence_is_told_in_the_end(new_job: NewJob, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(few_calls, "CALL_S", 0.2)
    fake_server.script = scripts.hang()
    found = look(new_job(1))
    assert (marks(found)["call"], found.calls) == ("wrong", 1)
    assert "no answer within" in said(found, "call")


def test_a_task_that_cannot_use_the_answer_is_told(new_job: NewJob, fake_server: FakeServer) -> None:
    fake_server.script = server_like(answer=scripts.cut_by_length("An unfinished"))
    found = look(new_job(1))
    assert (marks(found)["vision"], found.fine) == ("open", True)
    assert "unusable (cut): 'An unfinished'" in said(found, "vision")


def test_a_server_that_tells_nothing_of_its_cache(new_job: NewJob, fake_server: FakeServer) -> None:
    def silent(request: Request) -> Reply:
        reply = server_like()(request)
        if reply.status != 200:
            return reply
        body = json.loads(reply.body)
        del body["usage"]
        return replace(reply, body=json.dumps(body).encode())

    fake_server.script = silent
    found = look(new_job(1))
    assert marks(found)["cache"] == "open"
    assert "does not say" in said(found, "cache")
    assert (found.prompt_tokens, found.completion_tokens, found.cost_usd) == (None, None, None)


def test_a_server_that_answers_no_question_is_told(new_job: NewJob, fake_server: FakeServer) -> None:
    fake_server.script = server_like(refusal=scripts.caption())
    found = look(new_job(1))
    assert (marks(found)["errors"], found.fine) == ("open", True)


def test_each_model_is_asked(new_job: NewJob, fake_server: FakeServer) -> None:
    fake_server.script = scripts.by_model({"other": scripts.error(404, "no such model")}, server_like())
    job = new_job(1, tasks=[{"kind": "caption"}, {"kind": "ocr", "model": "other"}])
    found = look(job)
    assert [request.model for request in fake_server.requests] == ["fake/vlm", "fake/vlm", "fake/vlm", "other"]
    assert not found.fine
    assert fake_server.requests[-1].field("max_tokens") <= 300, "a long answer is not needed to see that there is one"
    listed = [(finding.mark, finding.said) for finding in found.findings if finding.topic == "model"]
    assert [mark for mark, _ in listed] == ["fine", "open"]


def test_the_nearest_name_is_suggested(new_job: NewJob, fake_server: FakeServer) -> None:
    fake_server.script = server_like()
    assert "Did you mean 'fake/vlm'?" in said(look(new_job(1, provider={"model": "fake/vml"})), "model")
    assert "It lists fake/vlm." in said(look(new_job(1, provider={"model": "zzz"})), "model")


class ClosedList(FakeServer):
    """Refuses to list its models."""

    status = 404

    def _plain(self, path: str) -> Reply:
        return Reply(self.status, b'[{"error": {"message": "sk-very-secret-1234 is not known"}}]')


def test_a_list_that_is_refused(tmp_path: Path) -> None:
    with ClosedList(server_like()) as server:
        job = Job(tmp_path, tmp_path, server.base_url, provider={"api_key_env": "A_KEY"})
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("A_KEY", "sk-very-secret-1234")
            found = look(job)
            assert (marks(found)["model"], found.fine) == ("open", True)
            assert "lists no models (status 404)" in said(found, "model")
            server.status = 401
            before = server.total
            found = look(job)
        assert not found.fine
        (refused,) = [finding.said for finding in found.findings if finding.mark == "wrong"]
        assert "Check the API key" in refused
        assert "sk-very" not in refused
        assert server.total == before, "no call is worth making"


def test_a_real_llama(llama_server: str, tmp_path: Path) -> None:
    job = Job(tmp_path, tmp_path, llama_server, provider={"dialect": "llamacpp", "model": "tinny", "seed": 1})
    ended = job.about_the_job("check")
    assert ended.code == 0, ended.stdout
    assert "Did you mean 'tiny'?" in ended.stdout
    assert "✓ schema  a JSON schema is enforced." in ended.stdout
    assert "✓ cache" in ended.stdout
    assert "✓ errors  come with status" in ended.stdout


def test_the_embedded_server_is_started(tmp_path: Path) -> None:
    job = Job(tmp_path, tmp_path, "", provider={"dialect": "embedded"})
    config = job.write().read_text().replace('base_url = ""\n', "").replace('model = "fake/vlm"\n', "")
    job.config.write_text(config)
    found = anyio.run(looking.probe, read_config(job.config, []))
    assert found.fine
    assert (marks(found)["vision"], marks(found)["sight"], found.cost_usd) == ("fine", "fine", 0)
