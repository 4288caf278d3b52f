"""What can be wrong with a configuration beyond each single setting, told before anything is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.config import Config, Images, Manifest, Provider, Run
from pipeline.config import Task as TaskConfig
from pipeline.config_file import load_config, read_key
from pipeline.images.model_names import family_of
from pipeline.images.tokens import FAMILIES, smallest
from pipeline.manifests.files import exists, stands_for_several
from pipeline.providers.dialects import DIALECTS, Dialect
from pipeline.tasks import TASKS, TaskDefinition, TaskOptions


def read_config(path: Path, overrides: Sequence[str]) -> Config:
    """The configuration, with everything checked that can be without starting. Raises ConfigError."""
    return load_config(path, overrides, kinds=list(TASKS), dialects=list(DIALECTS), further=further_problems)


def define(task: TaskConfig, prompt: str | None) -> TaskDefinition:
    """The definition of a configured task. Raises ValueError for options that it cannot use."""
    return TASKS[task.kind](TaskOptions(prompt=prompt, labels=task.labels))


def further_problems(sections: Mapping[str, Any], tasks: Sequence[TaskConfig]) -> list[str]:
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
        try:
            if task.kind in TASKS:
                define(task, None)
        except ValueError as error:
            problems.append(f"tasks.{task.folder}: {error}")
    known = isinstance(provider, Provider) and provider.dialect in DIALECTS
    if isinstance(images, Images):
        models = {task.model or (provider.model if isinstance(provider, Provider) else None) or "" for task in tasks}
        problems += _image_problems(images, sorted(models) if known else [])
        if isinstance(provider, Provider) and known and images.send != "inline":
            problems += _link_problems(DIALECTS[provider.dialect])
    return problems + _provider_problems(provider, tasks) if known and isinstance(provider, Provider) else problems


def _provider_problems(provider: Provider, tasks: Sequence[TaskConfig]) -> list[str]:
    dialect = DIALECTS[provider.dialect]
    problems = list(read_key(provider, dialect.api_key_env)[1])
    if dialect.base_url is None and provider.base_url is None and dialect.name != "embedded":
        problems.append(f"provider.base_url is missing: {dialect.name} has no address of its own")
    for task in tasks:
        if not (task.model or provider.model or dialect.name == "embedded"):
            problems.append(f"tasks.{task.folder}: no model; set provider.model or the task's own")
        if task.max_tokens and dialect.max_tokens_cap and task.max_tokens > dialect.max_tokens_cap:
            problems.append(
                f"tasks.{task.folder}.max_tokens: {dialect.name} answers at most {dialect.max_tokens_cap} tokens"
            )
    return problems


def _link_problems(dialect: Dialect) -> list[str]:
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
