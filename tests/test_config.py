"""What a configuration may say: every key, its range, and what of it decides an answer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pipeline import config as models
from pipeline.compose import record_of
from pipeline.config import Config
from tests.test_config_file import MINIMAL, load, problems


@pytest.mark.parametrize(
    ("written", "size"),
    [('"256 MiB"', 2**28), ('"1gib"', 2**30), ('"1.5 GB"', 1_500_000_000), ('"2048 KiB"', 2**21), ("1048576", 2**20)],
)
def test_sizes_have_units(tmp_path: Path, written: str, size: int) -> None:
    assert load(tmp_path, MINIMAL + f"[limits]\nbytes_in_flight = {written}").limits.bytes_in_flight == size


@pytest.mark.parametrize(
    "written",
    [
        '[limits]\nbytes_in_flight = "1 KiB"',
        "[limits]\nconcurrency = 0",
        "[limits]\nrequests_per_minute = 0",
        "[limits]\nrequests_per_minute = inf",
        "[retry]\ntotal_seconds = nan",
        "[retry]\nattempts = 0",
        "[images]\nmax_side = 3",
        "[images]\nmax_side = 99999999999999999999",
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path: Path, written: str) -> None:
    section, key = re.findall(r"\w+", written)[:2]
    [problem] = problems(tmp_path, MINIMAL + written)
    assert problem.startswith(f"{section}.{key}: ")


def test_a_seed_that_no_request_can_carry_is_refused(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, MINIMAL, f"provider.seed={2**64}")
    assert problem.startswith("provider.seed: input should be less than")
    assert load(tmp_path, MINIMAL, "provider.seed=7").provider.seed == 7


EXAMPLES: dict[tuple[str, str], object] = {
    ("run", "output"): "out",
    ("run", "max_failure_share"): 0.1,
    ("run", "max_input_failure_share"): 0.1,
    ("run", "max_cost_usd"): 2.5,
    ("run", "gate"): "regress.toml",
    ("manifest", "path"): ("x.jsonl", "s3://bucket/*.parquet"),
    ("manifest", "kind"): "listing",
    ("manifest", "image"): "url",
    ("manifest", "key"): "id",
    ("manifest", "keep"): ("licence",),
    ("manifest", "on_duplicate_key"): "number",
    ("manifest", "on_bad_file"): "skip",
    ("manifest", "allow_private"): True,
    ("images", "max_side"): 512,
    ("images", "max_tokens"): 800,
    ("images", "family"): "qwen3-vl",
    ("images", "pages"): "all",
    ("images", "send"): "url",
    ("provider", "dialect"): "openai",
    ("provider", "base_url"): "http://localhost:1/v1",
    ("provider", "api_key_env"): "KEY",
    ("provider", "api_key_file"): "key.txt",
    ("provider", "model"): "m",
    ("provider", "temperature"): 0.5,
    ("provider", "seed"): 3,
    ("provider", "api"): "completions",
    ("provider", "template"): "<|user|>{images}{text}<|end|>",
    ("provider", "layout"): "image_first",
    ("provider", "prices"): "my-prices.toml",
    ("tasks", "kind"): "moderate",
    ("tasks", "name"): "mine",
    ("tasks", "context"): ("title",),
    ("tasks", "model"): "m",
    ("tasks", "prompt"): "Look.",
    ("tasks", "prompt_file"): __file__,
    ("tasks", "max_tokens"): 10,
    ("tasks", "labels"): ("a",),
    ("tasks", "question"): "How many?",
    ("tasks", "question_from"): "question",
    ("tasks", "schema"): '{"type": "object"}',
    ("limits", "concurrency"): 3,
    ("limits", "requests_per_minute"): 60.0,
    ("limits", "bytes_in_flight"): 2**21,
    ("limits", "downloads_per_host"): 3,
    ("retry", "attempts"): 2,
    ("retry", "lifetime_attempts"): 20,
    ("retry", "total_seconds"): 10.0,
    ("retry", "repairs"): 0,
    ("regress", "labels"): "labels.jsonl",
    ("regress", "baseline"): "baseline.json",
    ("regress", "cassettes"): "cassettes",
}
WHOLE = {"regress": ["regress.labels=l.jsonl", "regress.baseline=b.json"]}
"""What a table that may be left out cannot be without."""
ASK = ["tasks.0.kind=ask", "tasks.0.question=What is it?"]
SECTIONS = {
    "run": models.Run,
    "manifest": models.Manifest,
    "images": models.Images,
    "provider": models.Provider,
    "tasks": models.Task,
    "limits": models.Limits,
    "retry": models.Retry,
    "regress": models.Regress,
}


def test_the_examples_are_all_there_is() -> None:
    fields = {(name, key): field for name, part in SECTIONS.items() for key, field in part.model_fields.items()}
    assert set(EXAMPLES) == {(name, field.alias or key) for (name, key), field in fields.items()}
    assert set(SECTIONS) == set(Config.model_fields)


@pytest.mark.parametrize(("section", "key"), EXAMPLES, ids=str)
def test_every_key_can_be_written(tmp_path: Path, section: str, key: str) -> None:
    value = EXAMPLES[section, key]
    written = str(list(value)) if isinstance(value, tuple) else repr(value)
    place = f"{section}.0.{key}" if section == "tasks" else f"{section}.{key}"
    kind = {
        "labels": ["tasks.0.kind=moderate"] if section == "tasks" else [],
        "question": ASK[:1],
        "question_from": ASK[:1],
        "schema": ASK,
    }.get(key, [])
    config = load(tmp_path, MINIMAL, *WHOLE.get(section, ()), f"{place}={written}", *kind)
    found = config.tasks[0] if section == "tasks" else getattr(config, section)
    assert getattr(found, {"schema": "json_schema"}.get(key, key)) == value


def test_no_key_is_kept_in_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "the-secret-itself")
    record = record_of(load(tmp_path, MINIMAL, "provider.api_key_env=MY_KEY"))
    assert "the-secret-itself" not in str(record)


# Fingerprints


def fingerprint(config: Config) -> dict[str, Any]:
    return config.fingerprint(config.tasks[0])


def test_what_does_not_decide_an_answer_is_not_in_the_fingerprint(tmp_path: Path) -> None:
    deciding = {"provider.model", "provider.temperature", "provider.seed", "images.max_side"}
    deciding |= {"provider.api", "provider.template"}
    deciding |= {"images.max_tokens", "images.family", "images.pages", "images.send"}
    for (section, key), value in EXAMPLES.items():
        if section == "tasks" or f"{section}.{key}" in deciding:
            continue
        written = str(list(value)) if isinstance(value, tuple) else repr(value)
        changed = load(tmp_path, MINIMAL, *WHOLE.get(section, ()), f"{section}.{key}={written}")
        assert fingerprint(changed) == fingerprint(load(tmp_path)), f"{section}.{key}"
    assert fingerprint(load(tmp_path, MINIMAL, "tasks.0.name=mine")) == fingerprint(load(tmp_path))


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("tasks.0.kind=moderate", "kind"),
        ("tasks.0.model=m", "model"),
        ("provider.model=m", "model"),
        ("tasks.0.prompt=Look.", "prompt"),
        (f"tasks.0.prompt_file={__file__}", "prompt"),
        ("tasks.0.context=['title']", "context"),
        ("tasks.0.max_tokens=10", "max_tokens"),
        ("provider.temperature=0.5", "temperature"),
        ("provider.seed=3", "seed"),
        ("provider.api=completions", "api"),
        ("images.max_side=512", "max_side"),
        ("images.family=qwen3-vl", "family"),
        ("images.pages=all", "pages"),
        ("images.send=url", "send"),
    ],
)
def test_what_decides_an_answer_is_in_the_fingerprint(tmp_path: Path, override: str, changed: str) -> None:
    before, after = fingerprint(load(tmp_path)), fingerprint(load(tmp_path, MINIMAL, override))
    assert {name for name in before if before[name] != after[name]} == {changed}


def test_labels_and_their_order_decide(tmp_path: Path) -> None:
    prints = [
        fingerprint(load(tmp_path, MINIMAL, "tasks.0.kind=moderate", f"tasks.0.labels={labels}"))["labels"]
        for labels in ("['a', 'b']", "['b', 'a']", "['a']")
    ]
    assert prints == [["a", "b"], ["b", "a"], ["a"]]


def test_a_prompt_is_the_same_wherever_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("Look at this.\n\n")
    written = load(tmp_path, MINIMAL, "tasks.0.prompt=Look at this.")
    filed = load(tmp_path, MINIMAL, f"tasks.0.prompt_file={tmp_path}/prompt.txt")
    assert fingerprint(written) == fingerprint(filed)
    (tmp_path / "prompt.txt").write_text("Look at that.")
    assert fingerprint(written) != fingerprint(filed)


def test_a_template_keeps_its_line_ends_and_decides(tmp_path: Path) -> None:
    one, other = ("provider.template='{images}{text}'", 'provider.template="{images}{text}\\n"')
    written = [load(tmp_path, MINIMAL, template) for template in (one, other)]
    assert [config.provider.template for config in written] == ["{images}{text}", "{images}{text}\n"]
    assert len({fingerprint(config)["template"] for config in written}) == 2


def test_the_embedded_models_are_named_by_their_task(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL, "provider.dialect=embedded")
    assert config.embedded
    assert config.model_of(config.tasks[0]) == "embedded/caption"


def test_what_is_asked_decides_and_how_a_schema_is_indented_does_not(tmp_path: Path) -> None:
    def asked(**values: str) -> dict[str, Any]:
        given = {"kind": "ask", "question": "What?", **values}
        return fingerprint(load(tmp_path, MINIMAL, *(f"tasks.0.{key}={value!r}" for key, value in given.items())))

    (tmp_path / "a.json").write_text('{"type": "object",\n "properties": {"a": {}}}\n')
    text = '{"type":"object","properties":{"a":{}}}'
    plain, typed = asked(), asked(schema=text)
    assert asked(schema=f"{tmp_path}/a.json") == typed
    other = asked(schema=text.replace('"a"', '"b"'))
    for changed, names in [(asked(question="Why?"), {"question"}), (typed, {"schema"}), (other, {"schema"})]:
        assert {name for name in plain if plain[name] != changed[name]} == names
    assert other != typed
    config = load(tmp_path, MINIMAL, "tasks.0.kind=ask", "tasks.0.question_from=q")
    assert fingerprint(config)["question_from"] == "q"


def test_an_output_keeps_the_schemas_text(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"properties": {"a": {}}}\n')
    config = load(tmp_path, MINIMAL, "tasks.0.kind=ask", "tasks.0.question=What?", f"tasks.0.schema={path}")
    record = record_of(config)
    path.unlink()
    kept = Config.model_validate(record["config"])
    assert kept.tasks[0].schema_text() == '{"properties": {"a": {}}}'
    assert kept.fingerprint(kept.tasks[0]) == record["fingerprints"]["ask"]
