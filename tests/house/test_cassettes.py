"""What the repository keeps of servers' answers holds no picture and no key, and is small, whole and rightly named."""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import ConfigError
from pipeline.providers.cassette import read_folder
from tests.house.test_house import ROOT
from tests.providers.cassettes import answer, record, rendered, response
from tests.providers.examples import image, prompt

CASSETTES = ROOT / "data" / "cassettes"
LARGEST = 64 * 1024
# Words of their own here, not the product's: what it takes for harmless must still not get into this repository.
ENCODED = re.compile(r"(?:[A-Za-z0-9+/_-]{60,}(?:\\r)?\\n){2}|[A-Za-z0-9+/_-]{80,}|;base64,")
KEY = re.compile(
    r"\b(?:bearer|api[_-]?key|authorization)\b|\b(?:sk|fw|hf|gh[pousr])[-_][A-Za-z0-9_-]{8,}|\bAKIA[A-Z0-9]{12,}",
    re.IGNORECASE,
)


def problems(root: Path) -> list[str]:
    """What is wrong with the files below a folder of folders of cassettes, one sentence each."""
    found = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        name, content = path.relative_to(root), path.read_bytes()
        text = content.decode("utf-8", "replace")
        # Also what JSON escapes.
        plain = text.encode().decode("unicode_escape", "replace") if "\\u" in text else text
        if len(content) > LARGEST:
            found.append(f"{name}: {len(content):,} bytes are more than {LARGEST:,}")
        if any(ENCODED.search(form) for form in (text, plain)):
            found.append(f"{name}: holds what may be base64")
        if KEY.search(text) or KEY.search(plain):
            found.append(f"{name}: holds what may be a key")
        try:
            value = json.loads(content)
            right = f"{value['request']['sha256'][:16]}.json"
        except (ValueError, KeyError, TypeError):
            found.append(f"{name}: is no cassette")
            continue
        if path.name != right:
            found.append(f"{name}: must be {right} by its content")
    for folder in sorted({path.parent for path in root.rglob("*.json")}):
        try:
            read_folder(folder)
        except ConfigError as error:
            found += error.problems
    return found


def test_the_repository_s_cassettes_are_fit_for_it() -> None:
    assert problems(CASSETTES) == []


def planted(root: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A folder with a good cassette, changed."""
    record(root / "set", rendered(prompt(None, image(b"picture"))), response(answer("Eine Tasse, 茶碗\nauf dem Tisch")))
    (path,) = (root / "set").glob("*.json")
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2))
    return path


def said(words: str) -> Callable[[dict[str, Any]], object]:
    return lambda value: value["reply"]["body"]["choices"][0]["message"].update(content=words)


ENCODED_PICTURE = base64.b64encode(random.Random(3).randbytes(600)).decode()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (said(ENCODED_PICTURE[:80]), "may be base64"),
        (said("a" * 80), "may be base64"),
        (said("data:image/png;base64,iVBORw0KGgo="), "may be base64"),
        (said("\n".join(ENCODED_PICTURE[at : at + 76] for at in range(0, 600, 76))), "may be base64"),
        (lambda value: value["request"]["texts"][0].update(begins=ENCODED_PICTURE), "may be base64"),
        (said("Authorization: none"), "may be a key"),
        (said("bearer of news"), "may be a key"),
        (said("set api_key = 1"), "may be a key"),
        (said("sk-proj-0123456789abcdef0123"), "may be a key"),
        (lambda value: value["reply"]["headers"].update({"x-api-key": "1"}), "may be a key"),
        (said("cup " * 20_000), "bytes are more than 65,536"),
        (lambda value: value["request"].update(sha256="1" * 64), "must be 1111111111111111.json"),
        (lambda value: value.pop("request"), "is no cassette"),
        (lambda value: value["reply"].update(status=500), "no cassette of this version"),
    ],
)
def test_the_check_finds_what_is_planted(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], problem: str
) -> None:
    planted(tmp_path, change)
    assert any(problem in one for one in problems(tmp_path)), problems(tmp_path)


def test_the_check_finds_escaped_keys_files_that_are_none_and_nothing_else(tmp_path: Path) -> None:
    path = planted(tmp_path, lambda value: None)
    assert problems(tmp_path) == []
    whole = path.read_text()
    path.write_text(whole.replace("Tasse", "\\u0042earer"))
    assert problems(tmp_path) == [f"set/{path.name}: holds what may be a key"]
    path.write_text(whole)
    (tmp_path / "set" / "notes.txt").write_text("Recorded in May.")
    assert problems(tmp_path) == ["set/notes.txt: is no cassette"]
