"""Reading a configuration: every mistake at once, each with a way out, and no secret in any message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline import config as models
from pipeline.config import Config
from pipeline.config_file import load_config
from pipeline.core.errors import ConfigError

KINDS = ("caption", "ocr", "moderate", "ask")
DIALECTS = ("openai", "vllm", "embedded")

MINIMAL = """
[run]
output = "out"
[manifest]
path = "pictures"
[provider]
dialect = "vllm"
[[tasks]]
kind = "caption"
"""


def load(tmp_path: Path, text: str | bytes = MINIMAL, *overrides: str) -> Config:
    path = tmp_path / "job.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(path, overrides, kinds=KINDS, dialects=DIALECTS, further=lambda sections, tasks: [])


def problems(tmp_path: Path, text: str | bytes = MINIMAL, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, *overrides)
    return list(caught.value.problems)


def test_a_short_file_is_enough(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert (config.run.output, config.manifest.path, config.provider.dialect) == ("out", ("pictures",), "vllm")
    assert [(task.kind, task.folder) for task in config.tasks] == [("caption", "caption")]
    assert (config.limits.concurrency, config.limits.bytes_in_flight, config.retry.attempts) == (16, 256 * 2**20, 6)


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    text = """
    [run]
    outptu = "out"
    [manifset]
    [manifest]
    path = "pictures"
    [provider]
    dialect = "vlm"
    temperature = 3
    [[tasks]]
    kind = "captoin"
    [[tasks]]
    kind = "ocr"
    name = "Read It"
    max_tokens = 0
    [limits]
    concurrency = "many"
    bytes_in_flight = "3 apples"
    [retry]
    repairs = 2
    """
    assert problems(tmp_path, text) == [
        "[manifset]: there is no such table; did you mean 'manifest'?",
        "run.output is missing",
        "run.outptu: there is no such key; did you mean 'output'?",
        "provider.temperature: input should be less than or equal to 2",
        "limits.concurrency: input should be a valid integer, unable to parse string as an integer",
        "limits.bytes_in_flight: unknown unit 'apples'; write for example '256 MiB'",
        "retry.repairs: input should be 0 or 1",
        "tasks.0.kind: there is no task 'captoin'; did you mean 'caption'?",
        "tasks.1.max_tokens: input should be greater than or equal to 1",
    ]


def test_mistakes_found_elsewhere_are_listed_too(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text(MINIMAL.replace('"out"', '""').replace("vllm", "vlm"))
    seen: list[object] = []

    def further(sections: Mapping[str, Any], tasks: Sequence[models.Task]) -> list[str]:
        seen.extend((sorted(sections), [task.kind for task in tasks]))
        return ["manifest.path: nothing is there"]

    with pytest.raises(ConfigError) as caught:
        load_config(path, (), kinds=KINDS, dialects=DIALECTS, further=further)
    assert caught.value.problems == (
        "run.output: string should have at least 1 character",
        "provider.dialect: there is no dialect 'vlm'; did you mean 'vllm'?",
        "manifest.path: nothing is there",
    )
    assert seen == [["manifest", "provider"], ["caption"]], "what could be read, and nothing else"


def test_a_far_off_name_shows_what_there_is(tmp_path: Path) -> None:
    assert problems(tmp_path, MINIMAL.replace('"caption"', '"xyz"')) == [
        "tasks.0.kind: there is no task 'xyz'; known are caption, ocr, moderate, ask"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "",
            ["[run] is missing", "[manifest] is missing", "[provider] is missing", "[[tasks]]: at least one is needed"],
        ),
        (MINIMAL.replace("[[tasks]]", "[tasks]"), ["[[tasks]]: at least one is needed"]),
        (
            'run = 1\nmanifest = []\nprovider = "x"\ntasks = [1]',
            ["run: expected a table", "manifest: expected a table"],
        ),
    ],
)
def test_a_file_of_another_shape(tmp_path: Path, text: str, expected: list[str]) -> None:
    found = problems(tmp_path, text)
    for sentence in expected:
        assert any(problem.startswith(sentence) for problem in found), found


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert problems(tmp_path, "[run\noutput = 1")[0].startswith(f"{tmp_path}/job.toml is no valid TOML: ")
    assert problems(tmp_path, b"[run]\noutput = '\xff'") == [
        f"Cannot read the configuration {tmp_path}/job.toml: it is not UTF-8 text"
    ]
    with pytest.raises(ConfigError, match=r"Cannot read the configuration .*gone\.toml: No such file"):
        load_config(tmp_path / "gone.toml", (), kinds=KINDS, dialects=DIALECTS, further=lambda *_: [])


# Tasks


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ('kind = "ocr"\n[[tasks]]\nkind = "ocr"', "tasks.1.name: two tasks are named 'ocr'; give one of them another"),
        ('kind = "ocr"\nname = "a/b"', "tasks.0.name: 'a/b' must match"),
        ('kind = "ocr"\nname = "../x"', "tasks.0.name: '../x' must match"),
        ('kind = "ocr"\nlabels = ["a"]', "tasks.0.labels: only moderate has labels"),
        ('kind = "moderate"\nlabels = []', "tasks.0.labels: tuple should have at least 1 item"),
        ('kind = "ocr"\nprompt = "x"\nprompt_file = "y"', "tasks.0: prompt and prompt_file exclude each other"),
        ('kind = "ocr"\nprompt_file = "gone.txt"', "tasks.0.prompt_file: cannot read gone.txt: No such file"),
        ('kind = "ocr"\nprompt = "  "', "tasks.0.prompt: string should have at least 1 character"),
        ('kind = "ocr"\ncontext = ["a", 1]', "tasks.0.context.1: input should be a valid string"),
    ],
)
def test_a_task_that_cannot_be_run(tmp_path: Path, tasks: str, expected: str) -> None:
    [problem] = problems(tmp_path, MINIMAL.replace('kind = "caption"', tasks))
    assert problem.startswith(expected)


def test_two_tasks_of_one_kind_need_two_names(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL + '[[tasks]]\nkind = "caption"\nname = "short-caption_2"')
    assert [task.folder for task in config.tasks] == ["caption", "short-caption_2"]


def test_an_empty_prompt_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("\n")
    [problem] = problems(tmp_path, MINIMAL + f'prompt_file = "{tmp_path}/prompt.txt"')
    assert problem == f"tasks.0.prompt_file: {tmp_path}/prompt.txt is empty"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('base_url = "localhost:8000"', "provider.base_url: expected an address such as"),
        ('base_url = "https://me:secret@host/v1"', "provider.base_url: must hold no password"),
        ('api_key_env = "A"\napi_key_file = "b"', "provider: api_key_env and api_key_file exclude each other"),
    ],
)
def test_a_server_that_cannot_be_meant(tmp_path: Path, written: str, expected: str) -> None:
    [problem] = problems(tmp_path, MINIMAL.replace('dialect = "vllm"', f'dialect = "vllm"\n{written}'))
    assert problem.startswith(expected)
    assert "secret" not in problem


# Overrides


def test_overrides_change_what_the_file_says(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        MINIMAL,
        "tasks.0.model=my/model:v1",
        "run.output=out/a b # c",
        "limits.concurrency = 3",
        'tasks.0.context=["title", "alt"]',
        "limits.bytes_in_flight=64 MiB",
        "provider.temperature=0.5",
        "provider.seed=1",
        "provider.seed=2",
    )
    assert (config.tasks[0].model, config.run.output, config.limits.concurrency) == ("my/model:v1", "out/a b # c", 3)
    assert config.tasks[0].context == ("title", "alt")
    assert (config.limits.bytes_in_flight, config.provider.temperature, config.provider.seed) == (2**26, 0.5, 2)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("run.output", "--set run.output: expected a.b=value"),
        ("=x", "--set =x: expected a.b=value"),
        ("tasks.7.model=m", "--set tasks.7.model=m: there is no entry 7"),
        ("tasks.x.model=m", "--set tasks.x.model=m: there is no entry x"),
        ("tasks.².model=m", "--set tasks.².model=m: there is no entry ²"),
        ("tasks.0=m", "--set tasks.0=m: name a key, for example tasks.0.model"),
        ("run.output.x=1", "--set run.output.x=1: name a key, for example tasks.0.model"),
        ("run.output.x.y=1", "--set run.output.x.y=1: 'output' has no parts"),
        ("runs.output=x", "[runs]: there is no such table; did you mean 'run'?"),
        ("run.outputs=x", "run.outputs: there is no such key; did you mean 'output'?"),
        ("limits.concurrency=three", "limits.concurrency: input should be a valid integer"),
        ("limits=3", "limits: expected a table"),
    ],
)
def test_an_override_that_cannot_be_meant(tmp_path: Path, override: str, expected: str) -> None:
    [problem] = problems(tmp_path, MINIMAL, override)
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    "address",
    [
        "http://[::1",
        "http://localhost:abc/v1",
        "http://localhost:99999/v1",
        "http://local host/v1",
        "http://h/v1?key=x",
    ],
)
def test_an_address_that_is_none_is_told_at_once(tmp_path: Path, address: str) -> None:
    (told,) = problems(tmp_path, MINIMAL, f'provider.base_url="{address}"')
    assert told.startswith("provider.base_url: ")
    assert "key=x" not in told


@pytest.mark.parametrize(
    "setting",
    [
        "tasks.0.max_tokens=99999999999999999999",
        "limits.bytes_in_flight=9999999999999999999999999",
        f"limits.bytes_in_flight={'9' * 400} MiB",
        f"tasks.0.name={'a' * 230}",
        'run.output="a\\u0000b"',
        'manifest.keep=["a\\u0000b"]',
    ],
)
def test_odd_values_are_told_at_once(tmp_path: Path, setting: str) -> None:
    (told,) = problems(tmp_path, MINIMAL, setting)
    assert told.startswith(setting.split("=", maxsplit=1)[0])
