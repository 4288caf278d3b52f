"""The regression of this repository, replayed, with one thing made worse at a time."""

import json
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.checks import read_config
from pipeline.config import Config
from pipeline.core.types import Completion
from pipeline.engine.shutdown import Stop
from pipeline.evaluation.results import Change, Moved
from pipeline.images import encode, prepare
from pipeline.regression import Regressed, regress
from tests.integration.command import COMMAND, ROOT, Running

CONFIG = ROOT / "configs" / "regress-replay.toml"
CASSETTES = ROOT / "data" / "cassettes" / "samples"


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def settings(folder: Path, *overrides: str) -> Config:
    return read_config(CONFIG, [f"run.output={folder / 'out'}", *overrides], to_ask=False)


def replayed(config: Config, *, update: bool = False) -> Regressed:
    async def act() -> Regressed:
        return await regress(config, "replay", Stop(), update=update)

    return anyio.run(act)


def worse(found: Regressed) -> list[Change]:
    assert found.comparison is not None
    return [change for change in found.comparison.changes if change.verdict == "worse"]


def alarming(found: Regressed) -> dict[tuple[str, str], Moved]:
    assert found.comparison is not None
    return {(one.now.task, one.now.key): one for one in found.comparison.moved if one.alarming}


def with_answers(folder: Path, change: Callable[[dict[str, str]], dict[str, str]], task: str = "ocr") -> str:
    """Copied cassettes in which `change` gave a task's pictures other answers; the setting that names them.

    `change` gets the recorded answer by the picture's key and gives those to be replaced.
    """
    baseline = json.loads((ROOT / "data" / "baselines" / "replay.json").read_text())
    hashes = {key: sample["request_sha256"] for key, sample in baseline["samples"][task].items()}
    copied = shutil.copytree(CASSETTES, folder / "cassettes")
    files = {key: copied / f"{sha256[:16]}.json" for key, sha256 in hashes.items()}
    read = {key: json.loads(path.read_text()) for key, path in files.items()}
    said = {key: content(cassette) for key, cassette in read.items()}
    for key, answer in change(said).items():
        read[key]["reply"]["body"]["choices"][0]["message"]["content"] = answer
        files[key].write_text(json.dumps(read[key]))
    return f"regress.cassettes={copied}"


def content(cassette: dict[str, Any]) -> str:
    text: str = cassette["reply"]["body"]["choices"][0]["message"]["content"]
    return text


def test_the_whole_sample_set_is_replayed_without_a_change() -> None:
    with Running([*COMMAND, "regress", str(CONFIG), "--replay"]) as running:
        ended = running.end()
    assert ended.code == 0, ended.stderr
    assert ended.stdout.endswith("No change beyond noise.\n")
    for name in ("report.html", "report.md", "junit.xml"):
        assert f"report: out/regress-replay/{name}" in ended.stdout
        assert (ROOT / "out" / "regress-replay" / name).stat().st_size > 1000


def test_other_jpegs_miss_their_cassettes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "_QUALITIES", (5,))
    found = replayed(settings(tmp_path))
    assert found.exit_code == 5
    assert "image preparation changed" in found.message
    assert "(ocr)" in found.message
    assert worse(found)


def test_a_picture_that_is_not_turned_misses_its_cassettes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "orientation_of", lambda picture: 1)
    found = replayed(settings(tmp_path))
    assert found.exit_code == 5
    assert "image preparation changed" in found.message
    assert {key for _, key in alarming(found)} == {"syn-letter-exif6.jpg"}
    assert "syn-letter-exif6.jpg (ocr)" in found.message


def test_another_prompt_misses_its_cassettes(tmp_path: Path) -> None:
    found = replayed(settings(tmp_path, 'tasks.1.prompt="Read it."'))
    assert found.exit_code == 5
    assert "No cassette answers 33 requests: since the recording prompt changed" in found.message
    assert "doc-cozy-lion-page.gif (ocr)" in found.message
    assert {task for task, _ in alarming(found)} == {"ocr"}


def test_another_model_misses_its_cassettes(tmp_path: Path) -> None:
    found = replayed(settings(tmp_path, "tasks.2.model=scripted/larger"))
    assert found.exit_code == 5
    assert "No cassette answers 33 requests: since the recording model changed" in found.message


def test_half_the_resolution_misses_its_cassettes(tmp_path: Path) -> None:
    found = replayed(settings(tmp_path, "images.max_side=512"))
    assert found.exit_code == 5
    assert "image preparation changed" in found.message


@pytest.mark.parametrize("task", ["caption", "ocr"])
def test_two_answers_that_are_swapped_are_named(tmp_path: Path, task: str) -> None:
    one, other = "syn-receipt.jpg", "syn-table.png"
    swapped = with_answers(tmp_path, lambda said: {one: said[other], other: said[one]}, task)
    found = replayed(settings(tmp_path, swapped))
    assert found.exit_code == 5
    assert set(alarming(found)) == {(task, one), (task, other)}
    assert f"{one} ({task} " in found.message
    assert f"{other} ({task} " in found.message


def test_a_broken_parser_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ocr = import_module("pipeline.tasks.ocr")
    parse = ocr._parse

    def first_line(completion: Completion) -> Any:
        answer = dict(parse(completion))
        return {**answer, "text": str(answer["text"]).split("\n")[0]}

    monkeypatch.setattr(ocr, "_parse", first_line)
    found = replayed(settings(tmp_path))
    assert found.exit_code == 5
    assert ("ocr", "cer", "all") in {(one.task, one.metric, one.group) for one in worse(found)}
    assert ("ocr", "syn-novel-page.png") in alarming(found)
    assert {one.task for one in worse(found)} == {"ocr"}


def test_a_language_that_is_dropped_is_noticed(tmp_path: Path) -> None:
    key = "syn-hebrew-arabic.tif"
    dropped = with_answers(tmp_path, lambda said: {key: "language: none"})
    found = replayed(settings(tmp_path, dropped))
    assert found.exit_code == 5
    assert set(alarming(found)) == {("ocr", key)}
    assert f"{key} (ocr " in found.message
