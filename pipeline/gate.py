"""The gate in front of a run: a regression with the run's own server, before the first row is bought."""

from __future__ import annotations

from pathlib import Path

import structlog

from pipeline.app import Gate
from pipeline.checks import further_problems, read_config
from pipeline.config import Config
from pipeline.core.errors import ConfigError
from pipeline.engine.shutdown import Stop
from pipeline.regression import regress
from pipeline.reporting.visible import visible

log = structlog.get_logger()


def gate_of(config: Config, *, for_machine: bool) -> Gate | None:
    """What `run.gate` asks for, None without one. Raises ConfigError: it cannot be run with this server."""
    if config.run.gate is None:
        return None
    path = config.run.gate
    try:
        samples = _with_provider(read_config(Path(path), [], to_ask=False), config)
        problems = further_problems({name: getattr(samples, name) for name in Config.model_fields}, samples.tasks)
    except ConfigError as error:
        raise ConfigError([f"run.gate: {problem}" for problem in error.problems]) from None
    if samples.regress is None:
        problems.append("[regress] is missing")
    if Path(samples.run.output).resolve() == Path(config.run.output).resolve():
        problems.append("run.output is that of this run; give the regression a folder of its own")
    if problems:
        raise ConfigError([f"run.gate: {path}: {problem}" for problem in problems])

    async def gate(stop: Stop) -> str | None:
        with stop.part() as ours:
            found = await regress(samples, "live", ours, fresh=True, for_machine=for_machine)
        if stop.draining:
            return None
        if found.exit_code == 0:
            log.info("gate.passed", gate=path, requests=found.report.requests, said=found.message)
            return None
        where = f" See {found.files[0]}." if found.files else ""
        return visible(f"The gate {path} refused, and no row was asked. {found.message}{where}")

    return gate


def _with_provider(samples: Config, config: Config) -> Config:
    """The regression, asked of the run's server: where the run's task of a kind has a model of its own, of that one."""
    models = {task.kind: task.model for task in config.tasks}
    tasks = tuple(task.model_copy(update={"model": models.get(task.kind, task.model)}) for task in samples.tasks)
    return samples.model_copy(update={"provider": config.provider, "tasks": tasks})
