"""Reads a configuration file: every mistake is reported at once, each with the nearest known key.

Seen by app.py and cli.py only.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from pipeline.config import Config, Images, Limits, Manifest, Provider, Regress, Retry, Run, Section, Task
from pipeline.core.errors import ConfigError

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_SECTIONS: dict[str, type[Section]] = {
    "run": Run,
    "manifest": Manifest,
    "images": Images,
    "provider": Provider,
    "limits": Limits,
    "retry": Retry,
    "regress": Regress,
}
_REQUIRED = ("run", "manifest", "provider")


Further = Callable[[Mapping[str, Any], Sequence[Task]], list[str]]
"""What else is wrong, given the sections (by name) and tasks that could be read."""


def load_config(
    path: Path, overrides: Sequence[str] = (), *, kinds: Sequence[str], dialects: Sequence[str], further: Further
) -> Config:
    """Read, override and check a configuration. `kinds` and `dialects` are the ones that exist.

    Raises ConfigError with every mistake found, those of `further` included.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"Cannot read the configuration {path}: {_reason(error)}"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path} is no valid TOML: {error}"]) from None
    problems = [problem for text in overrides if (problem := _override(table, text))]
    tables = [*_SECTIONS, "tasks"]
    problems += [f"[{name}]: there is no such table{_nearest(name, tables)}" for name in table if name not in tables]
    sections: dict[str, Section] = {}
    for name, section in _SECTIONS.items():
        if name in table or name in _REQUIRED:
            if name not in table:
                problems.append(f"[{name}] is missing")
            elif (parsed := _section(section, table[name], name, problems)) is not None:
                sections[name] = parsed
    tasks = _tasks(table.get("tasks"), kinds, problems)
    if isinstance(provider := sections.get("provider"), Provider):
        problems += _provider_problems(provider, dialects)
    problems += further(sections, tasks)
    if problems:
        raise ConfigError(problems)
    return Config.model_validate({**sections, "tasks": tasks})


def read_key(provider: Provider, default_env: str | None) -> tuple[str | None, list[str]]:
    """The API key, and what is wrong with where it should be. `default_env` is the dialect's variable."""
    if provider.api_key_file:
        try:
            path = Path(provider.api_key_file).expanduser()
        except RuntimeError as error:  # ~name of nobody
            return None, [f"provider.api_key_file: {provider.api_key_file}: {error}"]
        try:
            mode = path.stat().st_mode
            if stat.S_IMODE(mode) & 0o077:
                return None, [f"provider.api_key_file: others can read {path}. Run: chmod 600 {path}"]
            key = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            return None, [f"provider.api_key_file: cannot read {path}: {_reason(error)}"]
        if not key:
            return None, [f"provider.api_key_file: {path} is empty"]
        return _sendable(key, f"provider.api_key_file: {path}")
    name = provider.api_key_env or default_env
    if name is None:
        return None, []
    if not (key := os.environ.get(name, "").strip()):
        if not _VARIABLE.fullmatch(name):  # perhaps the key itself, so it is not shown
            return None, ["provider.api_key_env: expected the name of an environment variable, such as MY_API_KEY"]
        return None, [f"provider.api_key_env: the environment variable {name} is not set. Run: export {name}=..."]
    return _sendable(key, f"provider.api_key_env: the environment variable {name}")


def _sendable(key: str, where: str) -> tuple[str | None, list[str]]:
    """The key, unless no header can hold it; never shown."""
    if re.fullmatch(r"[!-~]+", key):
        return key, []
    why = "a space, a line end or another character in it that no server takes. Set it anew, in one word."
    return None, [f"{where} has {why}"]


def _section(section: type[Section], values: object, place: str, problems: list[str]) -> Section | None:
    if not isinstance(values, dict):
        problems.append(f"{place}: expected a table")
        return None
    try:
        return section.model_validate(values)
    except ValidationError as error:
        problems += [_sentence(item, place, section) for item in error.errors(include_url=False, include_input=False)]
        return None


def _sentence(item: Mapping[str, Any], place: str, section: type[Section]) -> str:
    where = ".".join([place, *(str(part) for part in item["loc"])])
    if item["type"] == "extra_forbidden":
        return f"{where}: there is no such key{_nearest(str(item['loc'][-1]), _keys(section))}"
    if item["type"] == "missing":
        return f"{where} is missing"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{where}: {message[0].lower()}{message[1:]}"


def _keys(section: type[Section]) -> list[str]:
    """The keys of a table as they are written."""
    return [field.alias or name for name, field in section.model_fields.items()]


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


def _tasks(values: object, kinds: Sequence[str], problems: list[str]) -> list[Task]:
    if not isinstance(values, list) or not values:
        problems.append("[[tasks]]: at least one is needed, for example with kind = 'caption'")
        return []
    tasks: list[Task] = []
    for number, value in enumerate(values):
        place = f"tasks.{number}"
        task = _section(Task, value, place, problems)
        if not isinstance(task, Task):
            continue
        if task.kind not in kinds:
            problems.append(f"{place}.kind: there is no task {task.kind!r}{_nearest(task.kind, kinds)}")
        if not NAME.fullmatch(task.folder):
            problems.append(f"{place}.name: {task.folder!r} must match {NAME.pattern}")
        if task.folder in {earlier.folder for earlier in tasks}:
            problems.append(f"{place}.name: two tasks are named {task.folder!r}; give one of them another name")
        if task.labels is not None and task.kind != "moderate":
            problems.append(f"{place}.labels: only moderate has labels")
        problems += _prompt_problems(task, place) + _ask_problems(task, place)
        tasks.append(task)
    return tasks


def _prompt_problems(task: Task, place: str) -> list[str]:
    if task.prompt and task.prompt_file:
        return [f"{place}: prompt and prompt_file exclude each other"]
    if task.prompt_file:
        try:
            if not Path(task.prompt_file).read_text(encoding="utf-8").strip():
                return [f"{place}.prompt_file: {task.prompt_file} is empty"]
        except (OSError, UnicodeDecodeError) as error:
            return [f"{place}.prompt_file: cannot read {task.prompt_file}: {_reason(error)}"]
    return []


def _ask_problems(task: Task, place: str) -> list[str]:
    given = {"question": task.question, "question_from": task.question_from, "schema": task.json_schema}
    if task.kind != "ask":
        return [f"{place}.{name}: only ask has a {name}" for name, value in given.items() if value is not None]
    problems = []
    if task.question and task.question_from:
        problems.append(f"{place}: question and question_from exclude each other")
    if not (task.question or task.question_from):
        problems.append(
            f"{place}: what is to be asked? Set question = '...', or question_from to a column of the manifest"
        )
    try:
        task.schema_text()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{place}.schema: cannot read {task.json_schema}: {_reason(error)}")
    return problems


def _provider_problems(provider: Provider, dialects: Sequence[str]) -> list[str]:
    problems = []
    if provider.dialect not in dialects:
        nearest = _nearest(provider.dialect, dialects)
        problems.append(f"provider.dialect: there is no dialect {provider.dialect!r}{nearest}")
    if provider.base_url is not None:
        problems += _address_problems(provider.base_url)
    if provider.api_key_env and provider.api_key_file:
        problems.append("provider: api_key_env and api_key_file exclude each other")
    return problems


def _address_problems(address: str) -> list[str]:
    try:
        parts = urlsplit(address)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number or too large, a bracket that is not closed
        usable = None
    if not usable or re.search(r"\s", address):
        return ["provider.base_url: expected an address such as http://localhost:8000/v1"]
    if parts.username or parts.password or parts.query or parts.fragment:
        return ["provider.base_url: must hold no password, query or fragment; use provider.api_key_env for a key"]
    return []


def _override(table: dict[str, Any], text: str) -> str | None:
    """Apply one `a.b=v` in place; what is wrong with it, or None."""
    path, separator, raw = text.partition("=")
    if not separator or not path.strip():
        return f"--set {text}: expected a.b=value"
    try:
        value: Any = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw  # plain text needs no quotes
    *parents, last = path.strip().split(".")
    target: Any = table
    above = ""
    for part in parents:
        if isinstance(target, list):
            if not part.isdecimal() or int(part) >= len(target):
                return f"--set {text}: there is no entry {part}"
            target = target[int(part)]
        elif isinstance(target, dict):
            target = target.setdefault(part, {})
        else:
            return f"--set {text}: {above!r} has no parts"
        above = part
    if not isinstance(target, dict):
        return f"--set {text}: name a key, for example tasks.0.model"
    target[last] = value
    return None


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "it is not UTF-8 text"
