"""What can be wrong with a configuration beyond each single setting, told before anything is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config import Config, Images, Manifest, Provider, Run
from pipeline.config import Task as TaskConfig
from pipeline.config_file import load_config, read_key
from pipeline.core.errors import ConfigError
from pipeline.core.types import Usage
from pipeline.images.model_names import family_of
from pipeline.images.tokens import FAMILIES, smallest
from pipeline.ledger.schema import task_schema
from pipeline.manifests.files import exists, stands_for_several
from pipeline.providers.completions import template_problems
from pipeline.providers.dialect import Dialect
from pipeline.providers.dialects import DIALECTS
from pipeline.providers.usage import Prices
from pipeline.tasks import TASKS, SchemaError, TaskDefinition, TaskOptions


def read_config(path: Path, overrides: Sequence[str], *, to_ask: bool = True) -> Config:
    """The configuration, with everything checked that can be without starting. Raises ConfigError.

    `to_ask`: its server is to be asked, so its key must be there.
    """
    further = partial(further_problems, to_ask=to_ask)
    return load_config(path, overrides, kinds=list(TASKS), dialects=list(DIALECTS), further=further)


def define(task: TaskConfig, prompt: str | None) -> TaskDefinition:
    """The definition of a configured task. Raises ValueError for options that it cannot use, OSError for no file."""
    options = TaskOptions(prompt=prompt, labels=task.labels, question=task.question, schema=task.schema_text())
    return TASKS[task.kind](options)


def further_problems(sections: Mapping[str, Any], tasks: Sequence[TaskConfig], *, to_ask: bool = True) -> list[str]:
    """What is wrong with the sections (by name, those that could be read) and tasks taken together."""
    problems: list[str] = []
    manifest, provider, images = (sections.get(name) for name in ("manifest", "provider", "images"))
    run = sections.get("run")
    if isinstance(run, Run) and "://" in run.output:
        problems.append("run.output: expected a folder; this version does not write to object stores")
    for path in manifest.path if isinstance(manifest, Manifest) else ():
        # What stands for several names, or lies elsewhere, is looked for when it is opened.
        if stands_for_several(path) or "://" in path or exists(path):
            continue
        problems.append(f"manifest.path: there is no file or folder {path} (here: {Path.cwd()})")
    for task in tasks:
        if task.kind in TASKS:
            problems += [f"tasks.{task.folder}{problem}" for problem in _definition_problems(task)]
    known = isinstance(provider, Provider) and provider.dialect in DIALECTS
    if isinstance(images, Images):
        models = {task.model or (provider.model if isinstance(provider, Provider) else None) or "" for task in tasks}
        problems += _image_problems(images, sorted(models) if known else [])
        if isinstance(provider, Provider) and known and images.send != "inline":
            problems += _link_problems(DIALECTS[provider.dialect], provider)
    if known and isinstance(provider, Provider):
        if to_ask:
            problems += read_key(provider, DIALECTS[provider.dialect].api_key_env)[1]
        problems += _provider_problems(provider, tasks)
        if isinstance(run, Run) and run.max_cost_usd is not None and not _own_price_problems(provider):
            problems += _price_problems(provider, tasks)
    return problems


def _price_problems(provider: Provider, tasks: Sequence[TaskConfig]) -> list[str]:
    """Models whose answers have no known price: what they may cost could not be bounded."""
    if DIALECTS[provider.dialect].prices_itself:
        return []
    prices = Prices.load(provider.prices)
    models = {task.model or provider.model or f"embedded/{task.kind}" for task in tasks}
    return [
        f"run.max_cost_usd: the price of {model} is not known"
        for model in sorted(models)
        if prices.cost(model, Usage(prompt_tokens=0, completion_tokens=0)) is None
    ]


def _definition_problems(task: TaskConfig) -> list[str]:
    """What is wrong with what is asked; each text goes on after the task's name."""
    try:
        definition = define(task, None)
    except (OSError, UnicodeDecodeError):
        return []  # told where the file was to be read
    except SchemaError as error:
        return [f".schema: {problem}" for problem in error.problems]
    except ValueError as error:
        return [f": {error}"]
    problems = []
    for column in definition.columns:
        try:
            task_schema([column], [])
        except ValueError as error:
            problems.append(f": {error}; give it another name")
    return problems


def _provider_problems(provider: Provider, tasks: Sequence[TaskConfig]) -> list[str]:
    dialect = DIALECTS[provider.dialect]
    problems = []
    if dialect.base_url is None and provider.base_url is None and dialect.name != "embedded":
        problems.append(f"provider.base_url is missing: {dialect.name} has no address of its own")
    problems += [
        f"tasks.{task.folder}: the embedded models answer no questions; choose another dialect"
        for task in tasks
        if task.kind == "ask" and dialect.name == "embedded"
    ]
    problems += [
        f"tasks.{task.folder}: no model; set provider.model or the task's own"
        for task in tasks
        if not (task.model or provider.model or dialect.name == "embedded")
    ]
    return problems + _own_price_problems(provider) + _api_problems(provider, dialect)


def _own_price_problems(provider: Provider) -> list[str]:
    if provider.prices is None:
        return []
    try:
        Prices.load(provider.prices)
    except ConfigError as error:
        return list(error.problems)
    return []


def _api_problems(provider: Provider, dialect: Dialect) -> list[str]:
    """Whether the server takes pictures in a plain prompt, and whether the template for it can be used."""
    if provider.api == "chat":
        return ["provider.template: only api = 'completions' has one"] if provider.template is not None else []
    if dialect.completions is None:
        able = ", ".join(name for name, known in DIALECTS.items() if known.completions)
        return [f"provider.api: {dialect.name} takes pictures with chat only; leave api out, or use one of {able}"]
    if provider.template is None:
        return []
    problems = [f"provider.template: {problem}" for problem in template_problems(provider.template)]
    if provider.layout != "auto":
        problems.append("provider.layout: provider.template says where the pictures stand; leave one of them out")
    return problems


def _link_problems(dialect: Dialect, provider: Provider) -> list[str]:
    if provider.api == "completions" and dialect.completions == "media_marker":
        return [f"images.send: with api = 'completions' {dialect.name} takes pictures inline only; use 'inline'"]
    if dialect.fetches is not None:
        return []
    return [f"images.send: it is not known that {dialect.name} fetches pictures by their address; use 'inline'"]


def _image_problems(images: Images, models: Sequence[str]) -> list[str]:
    """Whether pictures can be held to `max_tokens`, by the formula of the family or of each model."""
    known = ", ".join(sorted(FAMILIES))
    if images.family is not None and images.family not in FAMILIES:
        return [f"images.family: there is no family {images.family!r}; known are {known}"]
    if images.max_tokens is None:
        return []
    problems = []
    for family, model in [(images.family, "")] if images.family else [(family_of(model), model) for model in models]:
        if family is None:
            problems.append(
                f"images.max_tokens: how {model or 'this server'} counts the tokens of a picture is not known; set "
                f"images.family (known are {known}) or use images.max_side"
            )
        elif (least := smallest(family)) > images.max_tokens:
            problems.append(f"images.max_tokens: to {family} every picture has {least:,} tokens at least")
    return problems
