"""Questions with the real command: each row's own, behind its picture, and no other."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from pipeline.prompts.prefix import CONTEXT_NOTICE, QUESTION_NOTICE
from pipeline.tasks.moderate import LABELS
from tests.integration.command import COMMAND, ROOT, Ended, Job, Running
from tests.support import scripts
from tests.support.exchange import Reply, Request, answer
from tests.support.fake_server import FakeServer

NewJob = Callable[..., Job]
PICTURES, EACH = 10, 3
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "count": {"type": "integer"},
        "share": {"type": "number"},
        "open": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "places": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"}}}},
    },
    "required": ["name"],
}
VERDICT = {"verdict": "safe", "labels": [], "reason": "A lawn."}
TYPED_TASK = {"kind": "ask", "question": "What is it?"}
TYPED = '{"name": "Ü", "count": 3, "share": null, "open": true, "tags": ["a"], "places": [{"x": 1}]}'


def _parts(request: Request) -> list[dict[str, Any]]:
    """What the last message says, part by part."""
    content: list[dict[str, Any]] = json.loads(request.body)["messages"][-1]["content"]
    return content


def _question(request: Request) -> str:
    """The question behind the pictures."""
    kinds = [part["type"] for part in _parts(request)]
    assert kinds.count("image_url") == 1
    assert kinds.index("image_url") in (0, len(kinds) - 2), "first, or right before the question"
    text: str = _parts(request)[-1]["text"]
    found = json.loads(text.removeprefix("<question>").removesuffix("</question>"))
    assert isinstance(found, str)
    return found


def _echo(request: Request) -> Reply:
    """An answer that tells which question came with which picture."""
    return answer(request, f"{_question(request)} {request.image_sha256[:12]}")


def _listing(job: Job, rows: Iterable[dict[str, Any]], name: str = "questions.jsonl") -> Job:
    job.manifest = job.folder / "pictures" / name
    rows = list(rows)
    if name.endswith(".csv"):
        with job.manifest.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        job.manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return job


def _pictures(job: Job) -> list[str]:
    return sorted(path.name for path in (job.folder / "pictures").iterdir())


def _thirty(job: Job) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{picture}-{number}",
            "image": picture,
            "question": f'What is {number} of {picture}, "now" & <here>?\nSay é.',
            "title": f"A title of {picture}" if number == 0 else None,
        }
        for picture in _pictures(job)
        for number in range(EACH)
    ]


@pytest.mark.parametrize("layout", ["auto", "text_first"])
@pytest.mark.parametrize("name", ["questions.jsonl", "questions.csv"])
def test_thirty_questions_about_ten_pictures_get_thirty_answers(
    new_job: NewJob, fake_server: FakeServer, name: str, layout: str
) -> None:
    fake_server.script = _echo
    task = {"kind": "ask", "question_from": "question", "context": ["title"]}
    job = new_job(PICTURES, tasks=[task], manifest_={"key": "id", "keep": ["question"]}, provider={"layout": layout})
    rows = _thirty(job)
    _listing(job, rows, name)
    ended = job.run()
    assert ended.code == 0, ended.stderr
    found = job.rows("ask")
    assert job.failures("ask") == []
    assert [row["key"] for row in found] == sorted(row["id"] for row in rows)
    asked = {row["id"]: row["question"] for row in rows}
    for row in found:
        assert row["answer"] == f"{asked[row['key']]} {row['image_sha256'][:12]}"
        assert row["question"] == asked[row["key"]]
        assert row["dedup_of"] is None
    assert len({row["request_sha256"] for row in found}) == PICTURES * EACH
    assert len({row["prompt_sha256"] for row in found}) == 1

    requests = fake_server.requests
    assert len(requests) == PICTURES * EACH
    assert Counter(map(_question, requests)) == Counter(asked.values())
    heads = {request.body[: request.body.index(b"picture, between <question>")] for request in requests}
    assert len(heads) == (1 if layout == "text_first" else PICTURES), "one beginning, or one a picture"
    instructions: set[str] = set()
    for request in requests:
        texts = [part["text"] for part in _parts(request) if part["type"] == "text"]
        instructions.add(texts[0])
        titled = "What is 0 of" in _question(request)
        assert len(texts) == 2 + titled, "a null leaves no trace"
        if titled:
            assert json.loads(texts[1].removeprefix("<context>").removesuffix("</context>")).keys() == {"title"}
        assert request.body.count(b"<question>") == 2, "once in the fixed part, once around the question"
    [text] = instructions
    assert text.endswith(f"{CONTEXT_NOTICE}\n\n{QUESTION_NOTICE}")

    before = fake_server.total
    again = job.run()
    assert again.code == 0
    assert fake_server.total == before


def test_a_row_without_a_usable_question_fails_by_itself_and_is_not_asked(
    new_job: NewJob, fake_server: FakeServer
) -> None:
    fake_server.script = _echo
    job = new_job(1, tasks=[{"kind": "ask", "question_from": "q"}], manifest_={"key": "id"})
    [picture] = _pictures(job)
    questions = {"a": "Fine?", "b": None, "c": "  ", "d": "x" * 2001, "e": 5, "f": "y" * 2000}
    _listing(job, [{"id": key, "image": picture, "q": value} for key, value in questions.items()])
    ended = job.run()
    assert ended.code == 0, ended.stderr
    assert [row["key"] for row in job.rows("ask")] == ["a", "f"]
    failures = {row["key"]: (row["stage"], row["kind"], row["message"]) for row in job.failures("ask")}
    assert set(failures) == {"b", "c", "d", "e"}
    assert {(stage, kind) for stage, kind, _ in failures.values()} == {("scan", "bad_row")}
    assert failures["b"][2] == failures["c"][2] == "the column 'q' holds no question"
    assert "2,001 characters" in failures["d"][2]
    assert fake_server.total == 2


def test_rows_that_share_a_picture_need_keys(new_job: NewJob, fake_server: FakeServer) -> None:
    fake_server.script = _echo
    job = new_job(2, tasks=[{"kind": "ask", "question_from": "question"}])
    _listing(job, _thirty(job))
    ended = job.run()
    assert ended.code in (1, 2)
    [error] = ended.errors
    for word in ("manifest.key", "rows may then share a picture", "manifest.on_duplicate_key"):
        assert word in error
    assert fake_server.total == 0
    job.manifest_["on_duplicate_key"] = "number"
    assert job.run().code == 0
    assert len(job.rows("ask")) == 2 * EACH


def test_one_question_for_every_row_stands_in_the_fixed_part(new_job: NewJob, fake_server: FakeServer) -> None:
    fake_server.script = scripts.text("Two.")
    job = new_job(3, tasks=[{"kind": "ask", "question": "How many cars?"}])
    assert job.run().code == 0
    assert {row["answer"] for row in job.rows("ask")} == {"Two."}
    for request in fake_server.requests:
        first, picture = _parts(request)
        assert "The question is: How many cars?" in first["text"]
        assert picture["type"] == "image_url"
        assert not request.has("<question>")


def test_typed_fields_are_typed_columns(new_job: NewJob, fake_server: FakeServer) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fake_server.script = scripts.text(f"```json\n{TYPED}\n```")
    job = new_job(2, tasks=[dict(TYPED_TASK)])
    _write_schema(job, SCHEMA)
    ended = job.run()
    assert ended.code == 0, ended.stderr
    table = pq.read_table(job.out / "data" / "ask")
    types = {name: table.schema.field(name).type for name in SCHEMA["properties"]}  # type: ignore[attr-defined]
    assert types == {
        "name": pa.string(),
        "count": pa.int64(),
        "share": pa.float64(),
        "open": pa.bool_(),
        "tags": pa.list_(pa.string()),
        "places": pa.string(),
    }
    row = job.rows("ask")[0]
    assert (row["name"], row["count"], row["share"], row["open"]) == ("Ü", 3, None, True)
    assert (row["tags"], row["places"]) == (["a"], '[{"x":1}]')
    sent = fake_server.requests[0].field("response_format")["json_schema"]["schema"]
    assert sent["required"] == list(types)
    assert sent["properties"]["places"]["items"]["additionalProperties"] is False


def _write_schema(job: Job, schema: dict[str, Any]) -> Path:
    path = job.folder / "schema.json"
    path.write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8-sig")
    job.tasks[0]["schema"] = str(path)
    return path


def test_an_output_needs_its_schemas_file_no_more(new_job: NewJob, fake_server: FakeServer) -> None:
    fake_server.script = scripts.text('{"name": 5}')
    job = new_job(2, tasks=[dict(TYPED_TASK)], run_={"max_failure_share": 1.0}, retry={"repairs": 0})
    path = _write_schema(job, SCHEMA)
    assert job.run().code == 0
    assert set(job.kinds("ask").values()) == {"schema_mismatch"}
    path.unlink()
    fake_server.script = scripts.text(TYPED)
    again = job.command("rerun", "--kind", "schema_mismatch")
    assert again.code == 0, again.stderr
    assert {row["name"] for row in job.rows("ask")} == {"Ü"}
    copy = job.command("reparse", "--to", str(job.folder / "copy"))
    assert copy.code == 0, copy.stderr


def test_another_schema_needs_another_output_and_another_layout_of_it_does_not(
    new_job: NewJob, fake_server: FakeServer
) -> None:
    fake_server.script = scripts.text(TYPED)
    job = new_job(2, tasks=[dict(TYPED_TASK)])
    path = _write_schema(job, SCHEMA)
    assert job.run().code == 0
    path.write_text(json.dumps(SCHEMA))
    assert job.run().code == 0
    path.write_text(json.dumps({**SCHEMA, "required": []}))
    for options in ((), ("--accept-change",)):
        ended = job.run(*options)
        assert ended.code == 2
        assert "schema" in ended.errors[0]
        assert "new run.output" in ended.errors[0]


def _refused(ended: Ended) -> list[str]:
    assert ended.code == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.errors


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"kind": "ask"}, ["tasks.0: what is to be asked?"]),
        ({"kind": "ask", "question": "a", "question_from": "b"}, ["exclude each other"]),
        ({"kind": "caption", "question": "a"}, ["tasks.0.question: only ask has a question"]),
        ({"kind": "ocr", "question_from": "a"}, ["tasks.0.question_from: only ask"]),
        ({"kind": "moderate", "schema": "{}"}, ["tasks.0.schema: only ask has a schema"]),
        ({"kind": "ask", "question": " "}, ["tasks.0.question: "]),
        ({"kind": "ask", "question": "a", "schema": "nowhere.json"}, ["tasks.0.schema: cannot read nowhere.json"]),
        ({"kind": "ask", "question": "a", "shema": "x"}, ["did you mean 'schema'?"]),
        (
            {"kind": "ask", "question": "a", "schema": '{"properties": {"key": {}, "cost_usd": {}, "fine": {}}}'},
            ["'key'", "'cost_usd'"],
        ),
        (
            {"kind": "ask", "question": "a", "schema": '{"properties": {"a": {"$ref": "x"}}, "required": ["b"]}'},
            ["tasks.ask.schema: at the top", "tasks.ask.schema: at properties/a"],
        ),
        ({"kind": "ask", "question_from": "q"}, ["which has no columns"]),
    ],
)
def test_mistakes_are_told_before_anything_is_asked(
    new_job: NewJob, fake_server: FakeServer, task: dict[str, Any], said: list[str]
) -> None:
    job = new_job(1, tasks=[task])
    errors = _refused(job.run())
    assert len(errors) == len(said), errors
    for error, words in zip(errors, said, strict=True):
        assert words in error
    assert fake_server.total == 0
    assert not (job.out / "data").exists()


def test_a_column_of_questions_that_is_not_there_is_told(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(2, tasks=[{"kind": "ask", "question_from": "qestion"}], manifest_={"key": "id"})
    _listing(job, _thirty(job))
    ended = job.run()
    assert ended.code == 1, "as for every column that a manifest lacks"
    assert "has no column 'qestion'" in ended.errors[0]
    assert fake_server.total == 0


def test_the_embedded_models_answer_no_questions(tmp_path: Path) -> None:
    config = ROOT / "configs" / "sample.toml"
    options = ["--set", f"run.output={tmp_path / 'out'}", "--set", "tasks.0.kind=ask", "--set", "tasks.0.question=Why?"]
    with Running([*COMMAND, "run", str(config), *options]) as running:
        [error] = _refused(running.end())
    assert error == "tasks.ask: the embedded models answer no questions; choose another dialect"


@pytest.mark.parametrize("name", ["ask", "chart", "invoice", "multitask", "vllm"])
def test_the_configurations_that_come_with_it_run(fake_server: FakeServer, tmp_path: Path, name: str) -> None:
    fitting = {"total": 1, "lines": []} if name == "invoice" else {**VERDICT, "scores": dict.fromkeys(LABELS, 0)}
    fake_server.script = scripts.by_marker({b'"json_schema"': scripts.json_answer(fitting)}, scripts.text("Two."))
    options = [f"run.output={tmp_path / 'out'}", f"provider.base_url={fake_server.base_url}"]
    command = [*COMMAND, "run", f"configs/{name}.toml", "--limit", "6"]
    with Running([*command, *(x for o in options for x in ("--set", o))], env={"FIREWORKS_API_KEY": "k"}) as running:
        ended = running.end()
    assert ended.code == 0, ended.stderr
    assert fake_server.total > 0
