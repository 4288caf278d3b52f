"""From a configuration to opened parts: tasks, columns, server. The rooms meet here and in app.py only."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from pydantic import ValidationError

from pipeline import __version__
from pipeline.checks import define, further_problems
from pipeline.config import Config
from pipeline.config import Task as TaskConfig
from pipeline.config_file import read_key
from pipeline.core.errors import KINDS, ConfigError, ServerError
from pipeline.core.pictures import ImageContract, LinkedImage, PreparedImage
from pipeline.core.types import Answer, Column, Completion, FixedPrompt, Prompt, Value
from pipeline.embedded.child import running_server
from pipeline.images.expectation import typical_tokens
from pipeline.images.model_names import family_of
from pipeline.ledger.choice import Choice
from pipeline.ledger.output import Output
from pipeline.ledger.schema import TaskSchema, task_schema
from pipeline.prompts.layout import lay_out
from pipeline.prompts.order import CHARACTERS_A_TOKEN, Asked, Order, Settled, orders
from pipeline.prompts.prefix import fixed_prompt
from pipeline.providers.dialect import wants_images_first
from pipeline.providers.dialects import DIALECTS
from pipeline.providers.server import Server
from pipeline.providers.usage import Prices, price_text
from pipeline.storage.http import AiohttpTransport
from pipeline.tasks import TASKS, TaskDefinition

LONGEST_ANSWER = 16_384
"""Tokens that an answer about many pages may have unless a person says otherwise: most windows hold so many and the
pages besides."""

REQUEST_SECONDS = 600.0
"""How long one request may take in all: a page of dense text on a busy server takes minutes."""


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A configured task, as the engine needs it."""

    name: str
    fixed: FixedPrompt
    contract: ImageContract
    definition: TaskDefinition
    context: tuple[str, ...]
    grows: bool
    image_first: bool = False
    question_from: str | None = None

    def prompt(self, columns: Mapping[str, Value], images: tuple[PreparedImage | LinkedImage, ...]) -> Prompt:
        """The question for one row. Raises ItemError bad_row when it was to bring one and does not."""
        fixed = self.fixed
        if self.grows and len(images) > 1:
            fixed = replace(fixed, max_tokens=min(fixed.max_tokens * len(images), LONGEST_ANSWER))
        prompt = lay_out(fixed, columns, self.context, images, self.question_from)
        return replace(prompt, image_first=self.image_first)

    def parse(self, completion: Completion, pages: int | None) -> Answer:
        """The answer columns, for a picture of so many pages. Raises ItemError."""
        answer = self.definition.parse(completion)
        return {**answer, "pages": pages} if self.definition.grows else answer


def open_tasks(config: Config) -> dict[str, OpenTask]:
    """The configured tasks by name."""
    opened: dict[str, OpenTask] = {}
    for task in config.tasks:
        definition = define(task, config.prompt_of(task))
        fixed = fixed_prompt(
            task.folder,
            model=config.model_of(task),
            system=definition.system,
            instructions=definition.instructions,
            schema=definition.schema,
            max_tokens=task.max_tokens or definition.max_tokens,
            temperature=config.provider.temperature,
            seed=config.provider.seed,
            has_context=bool(task.context),
            all_pages=config.images.pages == "all",
            has_question=task.question_from is not None,
        )
        grows = definition.grows and task.max_tokens is None
        contract = _contract(config, task, definition)
        opened[task.folder] = OpenTask(
            task.folder, fixed, contract, definition, task.context, grows, question_from=task.question_from
        )
    found = orders_of(config, opened)
    return {name: replace(task, image_first=found[name].image_first) for name, task in opened.items()}


def orders_of(config: Config, tasks: Mapping[str, OpenTask]) -> Mapping[str, Order]:
    """Whether text or pictures stand first, by task; from the configuration alone, so that a run and its plan agree."""
    asked = []
    for task in config.tasks:
        opened = tasks[task.folder]
        # A picture whose rows bring their own questions is meant to be asked several.
        questions = 2 if task.question_from else 1
        text, picture = text_tokens(opened.fixed), typical_tokens(opened.contract)
        model = opened.fixed.model
        asked.append(Asked(task.folder, model, opened.contract, text, picture, questions, _settled(config, model)))
    return orders(asked, config.provider.layout)


def _settled(config: Config, model: str) -> Settled | None:
    if config.embedded:
        return Settled(False, "the server keeps no cache")
    if (template := config.provider.template) is not None:
        return Settled(template.index("{images}") < template.index("{text}"), "provider.template says so")
    return Settled(True, "the model takes pictures first") if wants_images_first(model) else None


def text_tokens(fixed: FixedPrompt) -> float:
    """About so many tokens has the text that is the same for every row."""
    return (len(fixed.system) + len(fixed.instructions)) / CHARACTERS_A_TOKEN


def _contract(config: Config, task: TaskConfig, definition: TaskDefinition) -> ImageContract:
    images = config.images
    by_task = definition.max_side if images.max_tokens is None else None
    family = images.family or family_of(config.model_of(task))
    return ImageContract(images.max_side or by_task, images.max_tokens, family, images.pages)


def open_schemas(tasks: Mapping[str, OpenTask], kept: Sequence[Column]) -> dict[str, TaskSchema]:
    """Each task's output columns. Raises ConfigError when two columns claim one name."""
    schemas, problems = {}, []
    for name, task in tasks.items():
        try:
            schemas[name] = task_schema(task.definition.columns, kept)
        except ValueError as error:
            problems.append(f"tasks.{name}: {error}")
    if problems:
        raise ConfigError(problems)
    return schemas


def open_provider(config: Config, base_url: str, transport: AiohttpTransport) -> Server:
    """The server at `base_url`, spoken to as the configured dialect."""
    key, _ = read_key(config.provider, DIALECTS[config.provider.dialect].api_key_env)
    return _server(config, base_url, key, transport)


@asynccontextmanager
async def serving(config: Config, died: Callable[[ServerError], None]) -> AsyncIterator[str]:
    """The address of the configured server; the embedded one runs as long as this lasts, and `died` hears of its end.

    Raises ServerError when that cannot be started.
    """
    if not config.embedded:
        yield config.provider.base_url or DIALECTS[config.provider.dialect].base_url or ""
        return
    async with running_server(died) as base_url:
        yield base_url


def open_reader(config: Config) -> Server:
    """Reads answers that are there already, and prices them: it has no key and no way to a server."""
    return _server(config, "", None, httpx.AsyncBaseTransport())


def _server(config: Config, base_url: str, key: str | None, transport: httpx.AsyncBaseTransport) -> Server:
    provider = config.provider
    return Server(
        DIALECTS[provider.dialect],
        base_url=base_url,
        api_key=key,
        transport=transport,
        timeout_s=REQUEST_SECONDS,
        prices=Prices.load(provider.prices),
        api=provider.api,
        template=provider.template,
    )


def new_run_id() -> str:
    """A name for one run, in the order of time."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"


def record_of(config: Config) -> dict[str, Any]:
    """What an output keeps of its configuration: fingerprints to compare, the rest to run it again without the file.

    Prompts, schemas and prices stand in it with their text. No secret is in it, only the name of where one is. Its
    paths are relative to `started_in`.
    """
    tasks = [
        task.model_copy(
            update={"prompt": config.prompt_of(task), "prompt_file": None, "json_schema": task.schema_text()}
        )
        for task in config.tasks
    ]
    prices = config.provider.prices
    provider = config.provider.model_copy(update={"prices": prices and price_text(prices)})
    return {
        "version": __version__,
        "fingerprints": {task.folder: config.fingerprint(task) for task in config.tasks},
        "started_in": str(Path.cwd()),
        "config": config.model_copy(update={"tasks": tuple(tasks), "provider": provider}).model_dump(
            mode="json", by_alias=True
        ),
    }


def kept_config(output: Output, *, to_ask: bool) -> Config:
    """The configuration that an output was last run with, for this output wherever it lies now.

    `to_ask`: it is to be run, so its manifest and its key must be there, and its paths begin in the folder in which the
    last run was started: the process goes there. Raises ConfigError, LedgerError.
    """
    root = output.root.resolve()
    record = output.newest_config()
    if record is None:
        raise ConfigError([f"{output.root} is no output of vlm-batch: there is no configuration in {output.run}."])
    try:
        config = Config.model_validate(record["config"])
    except (KeyError, ValidationError) as error:
        what = error.errors()[0]["loc"] if isinstance(error, ValidationError) else error
        raise ConfigError([f"The configuration kept in {output.run} cannot be used by this version: {what}."]) from None
    unknown = sorted({task.kind for task in config.tasks} - TASKS.keys())
    if unknown or config.provider.dialect not in DIALECTS:
        name = ", ".join(unknown) or config.provider.dialect
        raise ConfigError([f"{output.root} was made by another version of vlm-batch: this one does not know {name}."])
    config = config.model_copy(update={"run": config.run.model_copy(update={"output": str(root)})})
    if not to_ask:
        return config
    if Path(started_in := record.get("started_in", "")).is_dir():
        os.chdir(started_in)
    sections = {name: getattr(config, name) for name in Config.model_fields}
    if problems := further_problems(sections, config.tasks):
        raise ConfigError(problems)
    return config


def read_choice(kinds: Sequence[str], stages: Sequence[str], statuses: Sequence[int], older_than: str | None) -> Choice:
    """Which failures are meant. Raises ConfigError with every mistake."""
    known: dict[str, Sequence[str]] = {"kind": list(KINDS), "stage": sorted({kind.stage for kind in KINDS.values()})}
    given = [*(("kind", kind) for kind in kinds), *(("stage", stage) for stage in stages)]
    problems = [
        f"--{flag} {value}: there is no such {flag}; known are {', '.join(known[flag])}"
        for flag, value in given
        if value not in known[flag]
    ]
    before = None
    if older_than is not None:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", older_than.strip())
        if match is None:
            problems.append(f"--older-than {older_than}: expected a time such as 90s, 15m, 1h or 2d")
        else:
            age = float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
            before = datetime.fromtimestamp(max(0.0, time.time() - age), UTC)
    if problems:
        raise ConfigError(problems)
    return Choice(frozenset(kinds), frozenset(stages), frozenset(statuses), before)
