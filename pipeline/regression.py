"""The regression: asks a sample set, judges the answers by their labels, and tells what changed since the baseline."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import structlog
from anyio.to_thread import run_sync

from pipeline import __version__
from pipeline.app import Report, Wish, ask_server, run_until, stopping_on_signals
from pipeline.compose import new_run_id, record_of
from pipeline.config import Config, Regress
from pipeline.core.errors import ConfigError
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
    config: Config, mode: Mode, stop: Stop, *, update: bool = False, for_machine: bool = True
) -> Regressed:
    """Ask, judge and report. `update`: these answers become the baseline.

    Every live regression asks anew, in a folder of its own below `run.output`; one that was stopped goes on. Raises
    ConfigError (labels, baseline or cassettes are missing or wrong), HeldError, RunError.
    """
    settings = _settings(config, mode)
    labels = read_labels(Path(settings.labels))
    before = _before(settings, update=update)
    with _folder(config, mode) as root:
        asked = _asked(config, root, mode)
        wish = Wish(for_machine=for_machine)
        recorder, player = Recorder(Path(settings.cassettes or "")), Player(Path(settings.cassettes or ""))
        opening = {"live": ask_server, "record": recorder.opening, "replay": player.opening}[mode]
        begun = Output(root).holds_answers()
        report = await run_until(asked, wish, stop, asking=opening)
        if report.exit_code:
            return Regressed(report.exit_code, report.message, report)
        recorder.close(whole=not begun)
        judged = await run_sync(_judge, asked, labels, before, root)
        missed = misses(player.missed, judged.answers)
        if missed and judged.comparison is not None:
            comparison = replace(judged.comparison, problems=(*judged.comparison.problems, *missed))
            judged = replace(judged, comparison=comparison)
        files = await run_sync(_write_reports, asked, Path(config.run.output), judged)
    if judged.comparison is not None and not update:
        code, message = 5 if judged.comparison.regressed else 0, verdict(judged.comparison)
    elif unfit := [*missed, *_passing(judged.answers)]:
        code, message = 5, f"The baseline {settings.baseline} was not written: {' '.join(unfit)}"
    else:
        await run_sync(write_baseline, Path(settings.baseline), baseline_of(judged.evaluation, _made_with(asked)))
        code, message = 0, f"The baseline {settings.baseline} was written: {len(judged.answers):,} answers."
    return Regressed(code, message, report, judged.evaluation, judged.comparison, files)


def _settings(config: Config, mode: Mode) -> Regress:
    if config.regress is None:
        raise ConfigError(["[regress] is missing: it names the labels of the pictures and the baseline"])
    if mode != "live" and config.regress.cassettes is None:
        raise ConfigError([f"regress.cassettes is missing: --{mode} needs a folder of recorded answers"])
    return config.regress


def _before(settings: Regress, *, update: bool) -> Baseline | None:
    """The baseline, which is to be there unless this is to become one."""
    path = Path(settings.baseline)
    return None if update and not path.exists() else read_baseline(path)


@contextmanager
def _folder(config: Config, mode: Mode) -> Iterator[Path]:
    """Where the answers go. What a replay gets costs nothing and is not kept."""
    if mode == "replay":
        with tempfile.TemporaryDirectory(prefix="vlm-batch-replay-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
        return
    runs = Path(config.run.output) / ("recordings" if mode == "record" else "runs")
    newest = max(runs.iterdir(), default=None) if runs.is_dir() else None
    yield newest if newest is not None and _goes_on(config, Output(newest)) else runs / new_run_id()


def _goes_on(config: Config, output: Output) -> bool:
    """Whether a run was stopped in the middle that asked the same of the same server: its answers are paid for."""
    kept, now = output.newest_config(), record_of(config)
    if kept is None or output.success.exists():
        return False
    same = [kept[name] == now[name] for name in ("fingerprints", "version")]
    return all(same) and bool(kept["config"]["provider"] == now["config"]["provider"])


def _asked(config: Config, root: Path, mode: Mode) -> Config:
    """The run that gets the answers. Whether too many failed is for the regression to judge; replays do not wait."""
    run = config.run.model_copy(
        update={"output": str(root), "max_failure_share": 1.0, "max_input_failure_share": 1.0, "gate": None}
    )
    limits = config.limits.model_copy(update={"requests_per_minute": None}) if mode == "replay" else config.limits
    # A cassette is found by the picture's bytes, so these are sent.
    images = config.images.model_copy(update={"send": config.images.send if mode == "live" else "inline"})
    return config.model_copy(update={"run": run, "limits": limits, "images": images})


def _judge(config: Config, labels: Sequence[Label], before: Baseline | None, root: Path) -> Judged:
    answers = read_answers(root, {task.folder: task.kind for task in config.tasks})
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
    pictures = thumbnails(config, Output(Path(config.run.output)))
    contents = {"report.html": regress_page(title, judged.evaluation, judged.comparison, pictures)}
    if judged.comparison is not None:
        contents["report.md"] = markdown(judged.evaluation, judged.comparison)
        contents["junit.xml"] = junit(judged.evaluation, judged.comparison)
    for name, content in contents.items():
        local.replace(folder / name, content.encode("utf-8", "replace"), folder / "_run")
    return [folder / name for name in contents]
