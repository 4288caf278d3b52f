"""The regression: asks a sample set, judges the answers by their labels, and tells what changed since the baseline."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import structlog
from anyio.to_thread import run_sync

from pipeline import __version__
from pipeline.app import Report, Wish, ask_server, run_until, stopping_on_signals
from pipeline.config import Config, Regress
from pipeline.core.errors import KINDS, ConfigError, RunError
from pipeline.engine.shutdown import Stop
from pipeline.evaluation.answers import Answer, may_pass, read_answers
from pipeline.evaluation.baseline import Baseline, baseline_of, read_baseline, write_baseline
from pipeline.evaluation.compare import compare
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.junit import junit
from pipeline.evaluation.labels import Label, labels_by_key, read_labels
from pipeline.evaluation.markdown import markdown
from pipeline.evaluation.results import Comparison, Evaluation
from pipeline.ledger.output import Output
from pipeline.reporting.regress_page import regress_page
from pipeline.reporting.regress_words import misses, verdict
from pipeline.sample_pictures import thumbnails
from pipeline.sitting import Sitting, begin
from pipeline.storage import local
from pipeline.tape import Player, Recorder

log = structlog.get_logger()
Mode = Literal["live", "record", "replay"]


@dataclass(frozen=True, slots=True)
class Regressed:
    """How a regression ended. Without an `evaluation` its answers did not all come; `files` are the reports."""

    exit_code: int
    message: str
    report: Report
    evaluation: Evaluation | None = None
    comparison: Comparison | None = None
    files: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """The answers of one run, held against labels and baseline."""

    answers: Sequence[Answer]
    evaluation: Evaluation
    comparison: Comparison | None


async def regress_until_signals(config: Config, mode: Mode, update: bool, for_machine: bool) -> Regressed:
    """`regress`, stopped by the first SIGTERM or SIGINT."""
    stop = Stop()
    async with stopping_on_signals(stop):
        return await regress(config, mode, stop, update=update, for_machine=for_machine)


async def regress(
    config: Config, mode: Mode, stop: Stop, *, update: bool = False, fresh: bool = False, for_machine: bool = True
) -> Regressed:
    """Ask, judge and report. `update`: these answers become the baseline.

    Every live regression asks anew, in a folder of its own below `run.output`; one that was stopped goes on, unless it
    has to be `fresh` (`sitting.py`). Raises ConfigError (labels, baseline or cassettes are missing or wrong),
    HeldError, RunError.
    """
    settings = _settings(config, mode)
    labels = read_labels(Path(settings.labels))
    before = _before(settings, update=update)
    recorder, player = Recorder(Path(settings.cassettes or "")), Player(Path(settings.cassettes or ""))
    opening = {"live": ask_server, "record": recorder.opening, "replay": player.opening}[mode]
    with _sitting(_asked(config, mode), mode, fresh=fresh) as sitting:
        asked = _into(_asked(config, mode), sitting.root)
        report = await run_until(asked, Wish(for_machine=for_machine), stop, asking=opening)
        recorder.check()
        if report.exit_code:
            return Regressed(report.exit_code, report.message, report)
        judged = await run_sync(_judge, asked, labels, before)
        missed = misses(player.missed, judged.answers)
        if missed and judged.comparison is not None:
            comparison = replace(judged.comparison, problems=(*judged.comparison.problems, *missed))
            judged = replace(judged, comparison=comparison)
        files = await run_sync(_write_reports, asked, Path(config.run.output), judged)
        if judged.comparison is not None and not update:
            code, message = 5 if judged.comparison.regressed else 0, verdict(judged.comparison)
        else:
            code, message = await run_sync(_update, settings, asked, judged, missed)
        if mode == "record":
            recorder.close(whole=not (sitting.goes_on or _passing(judged.answers)))
            message += _unrecorded(judged.answers)
        sitting.judged()
    return Regressed(code, message, report, judged.evaluation, judged.comparison, files)


def _settings(config: Config, mode: Mode) -> Regress:
    if config.regress is None:
        raise ConfigError(["[regress] is missing: it names the labels of the pictures and the baseline"])
    if mode != "live" and config.regress.cassettes is None:
        raise ConfigError([f"regress.cassettes is missing: --{mode} needs a folder of recorded answers"])
    return config.regress


def _before(settings: Regress, *, update: bool) -> Baseline | None:
    """The baseline, which is to be there and sound unless this is to become one."""
    try:
        return read_baseline(Path(settings.baseline))
    except ConfigError as error:
        if not update:
            raise
        log.info("regress.no_baseline_before", because=str(error))
        return None


@contextmanager
def _sitting(config: Config, mode: Mode, *, fresh: bool) -> Iterator[Sitting]:
    """Where the answers go. What a replay gets costs nothing and is not kept."""
    if mode == "replay":
        with tempfile.TemporaryDirectory(prefix="vlm-batch-replay-", ignore_cleanup_errors=True) as folder:
            yield begin(config, Path(folder), fresh=True)
    else:
        runs = Path(config.run.output) / ("recordings" if mode == "record" else "runs")
        yield begin(config, runs, fresh=fresh)


def _asked(config: Config, mode: Mode) -> Config:
    """The run that gets the answers. Whether too many failed is for the regression to judge; replays cost nothing."""
    run = {"max_failure_share": 1.0, "max_input_failure_share": 1.0, "gate": None}
    limits, images = {}, {}
    if mode == "replay":
        run["max_cost_usd"] = None
        limits = {"requests_per_minute": None}
    if mode != "live":
        images = {"send": "inline"}  # a cassette is found by the picture's bytes
    return config.model_copy(
        update={
            "run": config.run.model_copy(update=run),
            "limits": config.limits.model_copy(update=limits),
            "images": config.images.model_copy(update=images),
        }
    )


def _into(config: Config, root: Path) -> Config:
    return config.model_copy(update={"run": config.run.model_copy(update={"output": str(root)})})


def _update(settings: Regress, config: Config, judged: Judged, missed: Sequence[str]) -> tuple[int, str]:
    """Make the answers the baseline, if they say how the model answers. Raises LedgerError."""
    if unfit := [*missed, *_passing(judged.answers)]:
        return 5, f"The baseline {settings.baseline} was not written: {' '.join(unfit)}"
    samples = judged.evaluation.samples
    failed = sum(sample.answer is None for sample in samples)
    if failed == len(samples):
        return 5, f"The baseline {settings.baseline} was not written: no sample has an answer ({samples[0].failure})."
    write_baseline(Path(settings.baseline), baseline_of(judged.evaluation, _made_with(config)))
    without = f", {failed:,} of them without an answer" if failed else ""
    return 0, f"The baseline {settings.baseline} was written: {len(samples):,} samples{without}."


def _unrecorded(answers: Sequence[Answer]) -> str:
    """A sentence about rows that a replay will miss."""
    refused = [
        answer.key for answer in answers if answer.failure and KINDS[answer.failure.split(":")[0]].stage == "call"
    ]
    if not refused:
        return ""
    return f" {len(refused):,} rows were refused and have no cassette (such as {refused[0]}): leave them out to replay."


def _judge(config: Config, labels: Sequence[Label], before: Baseline | None) -> Judged:
    answers = read_answers(Path(config.run.output), {task.folder: task.kind for task in config.tasks})
    found = labels_by_key(labels, [answer.key for answer in answers])
    if unlabelled := sorted({answer.key for answer in answers} - found.keys()):
        log.warning("regress.unlabelled", rows=len(unlabelled), such_as=unlabelled[0], effect="these are not judged")
    if unused := sorted({label.id for label in labels} - {label.id for label in found.values()}):
        log.warning("regress.label_without_row", labels=len(unused), such_as=unused[0])
    evaluation = evaluate(labels, answers)
    return Judged(answers, evaluation, compare(evaluation, before) if before is not None else None)


def _made_with(config: Config) -> dict[str, str]:
    return {"vlm-batch": __version__} | {f"model of {task.folder}": config.model_of(task) for task in config.tasks}


def _passing(answers: Sequence[Answer]) -> list[str]:
    """A sentence about answers that failed in a way that may pass: they tell nothing of the model."""
    failed = [answer for answer in answers if may_pass(answer.failure)]
    if not failed:
        return []
    return [f"{len(failed)} answers failed in a way that may pass ({failed[0].failure}); run the same command again."]


def _write_reports(config: Config, folder: Path, judged: Judged) -> list[Path]:
    """Into `folder`: a page; beside a baseline also what pull requests and CI systems show. Raises LedgerError."""
    title = ", ".join(sorted({config.model_of(task) for task in config.tasks}))
    pictures = _pictures(config)
    contents = {"report.html": regress_page(title, judged.evaluation, judged.comparison, pictures)}
    if judged.comparison is not None:
        contents["report.md"] = markdown(judged.evaluation, judged.comparison)
        contents["junit.xml"] = junit(judged.evaluation, judged.comparison)
    for name, content in contents.items():
        local.replace(folder / name, content.encode("utf-8", "replace"), folder / "_run")
    return [folder / name for name in contents]


def _pictures(config: Config) -> Mapping[str, bytes]:
    """For the page; a manifest that has changed since costs the pictures, not the verdict."""
    try:
        return thumbnails(config, Output(Path(config.run.output)))
    except (ConfigError, RunError) as error:
        log.warning("regress.no_pictures", because=str(error))
        return {}
