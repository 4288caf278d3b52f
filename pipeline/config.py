"""What one TOML file may say about a run, as frozen models; `config_file.py` reads it.

Seen by app.py and cli.py only. Secrets never stand in a configuration, only the name of an environment variable or of
a file that nobody but its owner can read.
"""

from __future__ import annotations

import hashlib
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator

_UNITS = {"b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def _bytes(value: object) -> object:
    """`"256 MiB"` as a number of bytes; anything else is left for pydantic to judge."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", value.lower()) if isinstance(value, str) else None
    if match is None:
        return value
    if match[2] not in _UNITS:
        raise ValueError(f"unknown unit {match[2]!r}; write for example '256 MiB'")
    return int(Decimal(match[1]) * _UNITS[match[2]])


def _listed(value: object) -> object:
    """One path is a list of one."""
    return (value,) if isinstance(value, str) else value


class Section(BaseModel):
    """A table of the file: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _no_nul(cls, value: object) -> object:
        texts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(text, str) and "\0" in text for text in texts):
            raise ValueError("a NUL character can stand in no name, path or prompt")
        return value


class Run(Section):
    """Where the output goes, which share of failures is accepted (0 to 1), what it may cost (USD, over its life).

    `gate` is the configuration of a regression that must pass before the first row is bought.
    """

    output: str = Field(min_length=1)
    max_failure_share: float = Field(0.02, ge=0, le=1)
    max_input_failure_share: float = Field(1.0, ge=0, le=1)
    max_cost_usd: float | None = Field(None, gt=0)
    gate: str | None = Field(None, min_length=1)


class Manifest(Section):
    """Which pictures: folders, globs, listings, Parquet files, tars, here or in an object store, and their columns.

    `kind` says what the paths are where their names do not tell. `on_duplicate_key`: later rows of a key end the run,
    are left out, or get keys of their own; `on_bad_file` is the same for files whose content is broken. `allow_private`
    lets addresses in it lead into the network that this machine stands in.
    """

    path: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_listed), Field(min_length=1)]
    kind: Literal["directory", "listing", "parquet", "webdataset"] | None = None
    image: str | None = None
    key: str | None = None
    keep: tuple[str, ...] = ()
    on_duplicate_key: Literal["error", "first", "number"] = "error"
    on_bad_file: Literal["error", "skip"] = "error"
    allow_private: bool = False


class Images(Section):
    """How a picture is sent. `max_side` in pixels, `max_tokens` by the formula of the model's `family`.

    With neither, the task's longest side counts; a family of None is told by the model's name. `send` is about pictures
    from the web: as bytes, by their address where the server may fetch it, or by it where they need nothing done.
    """

    max_side: int | None = Field(None, ge=16, le=16384)
    max_tokens: int | None = Field(None, ge=1, le=2**20)
    family: str | None = None
    pages: Literal["first", "all"] = "first"
    send: Literal["inline", "url", "auto"] = "inline"


class Provider(Section):
    """Which server, by which API, and how it samples.

    `template` is the model's own chat template, for completions. `layout` says whether the text or the pictures stand
    first; with auto it follows from what is asked. `prices` names a file whose prices go before those that we know, or
    is its text.
    """

    dialect: str
    base_url: str | None = None
    api_key_env: str | None = None
    api_key_file: str | None = None
    model: str | None = None
    temperature: float = Field(0.0, ge=0, le=2)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    api: Literal["chat", "completions"] = "chat"
    # Blanks and line ends around it are part of it.
    template: Annotated[str, StringConstraints(strip_whitespace=False)] | None = None
    layout: Literal["auto", "text_first", "image_first"] = "auto"
    prices: str | None = Field(None, min_length=1)


class Task(Section):
    """One question asked of every picture."""

    kind: str
    name: str = ""
    context: tuple[str, ...] = ()
    model: str | None = None
    prompt: str | None = Field(None, min_length=1)
    prompt_file: str | None = None
    max_tokens: int | None = Field(None, ge=1, le=2**31)
    labels: tuple[str, ...] | None = Field(None, min_length=1)
    question: str | None = Field(None, min_length=1)
    question_from: str | None = Field(None, min_length=1)
    json_schema: str | None = Field(None, min_length=1, alias="schema")  # `schema` is taken: a method of pydantic's
    """A JSON schema file, or the schema itself."""

    @property
    def folder(self) -> str:
        """The task's name under data/ and failures/."""
        return self.name or self.kind

    def schema_text(self) -> str | None:
        """The JSON schema of its answers. Raises OSError, UnicodeDecodeError: its file cannot be read."""
        if self.json_schema is None or self.json_schema.startswith("{"):
            return self.json_schema
        return Path(self.json_schema).read_text(encoding="utf-8-sig").strip()


def columns_of(task: Task) -> tuple[str, ...]:
    """The manifest's columns that a task asks with."""
    return (*task.context, task.question_from) if task.question_from else task.context


class Limits(Section):
    """Ceilings. `bytes_in_flight` in bytes, or as text with a unit."""

    concurrency: int = Field(16, ge=1, le=4096)
    requests_per_minute: float | None = Field(None, gt=0)
    bytes_in_flight: Annotated[int, BeforeValidator(_bytes)] = Field(256 * 2**20, ge=2**20, le=2**50)
    downloads_per_host: int = Field(8, ge=1, le=1024)


class Retry(Section):
    """When to try again: `attempts` and `total_seconds` bound one row in one run, `repairs` unusable answers.

    A row that has spent `lifetime_attempts` over all runs is left alone.
    """

    attempts: int = Field(6, ge=1, le=100)
    lifetime_attempts: int = Field(60, ge=1, le=10_000)
    total_seconds: float = Field(900.0, gt=0)
    repairs: Literal[0, 1] = 1


class Regress(Section):
    """What a regression holds its answers against: what is known of the pictures, and how they were answered before.

    `cassettes` is the folder of recorded answers, for --record and --replay.
    """

    labels: str = Field(min_length=1)
    baseline: str = Field(min_length=1)
    cassettes: str | None = Field(None, min_length=1)


class Config(Section):
    """A whole run, as far as one file can say."""

    run: Run
    manifest: Manifest
    images: Images = Images()
    provider: Provider
    tasks: tuple[Task, ...]
    limits: Limits = Limits()
    retry: Retry = Retry()
    regress: Regress | None = None

    def model_of(self, task: Task) -> str:
        """The model asked for a task; the embedded server has one for each kind."""
        return task.model or self.provider.model or (f"embedded/{task.kind}" if self.embedded else "")

    @property
    def embedded(self) -> bool:
        """Whether the run brings its own server."""
        return self.provider.dialect == "embedded"

    def prompt_of(self, task: Task) -> str | None:
        """The person's own instructions, None for the task's; an editor's last line end is none of them."""
        return Path(task.prompt_file).read_text(encoding="utf-8").strip() if task.prompt_file else task.prompt

    def fingerprint(self, task: Task) -> dict[str, Any]:
        """What the person set that decides the answers of a task; never limits, paths or versions.

        Kept whole, not hashed, so that a refusal can name what changed; only prompt and schema are, for their length.
        """
        prompt, schema = self.prompt_of(task), task.schema_text()
        return {
            "kind": task.kind,
            "model": self.model_of(task),
            "prompt": hashlib.sha256(prompt.encode()).hexdigest() if prompt else None,
            "context": list(task.context),
            "labels": list(task.labels) if task.labels else None,
            "question": task.question,
            "question_from": task.question_from,
            # How it is indented is no part of it.
            "schema": hashlib.sha256(json.dumps(json.loads(schema)).encode()).hexdigest() if schema else None,
            "max_tokens": task.max_tokens,
            "temperature": self.provider.temperature,
            "seed": self.provider.seed,
            "max_side": self.images.max_side,
            "image_max_tokens": self.images.max_tokens,
            "family": self.images.family,
            # None for what was the only way before there was a choice.
            "pages": None if self.images.pages == "first" else self.images.pages,
            # The server makes of the original what it likes; with auto it gets the bytes that it would get anyway.
            "send": "url" if self.images.send == "url" else None,
            # As with the pages. The order of text and pictures is a matter of price.
            "api": None if self.provider.api == "chat" else self.provider.api,
            "template": hashlib.sha256(self.provider.template.encode()).hexdigest() if self.provider.template else None,
        }
