"""The two ends of the command line: what is said on stdout and stderr. Heavy imports wait until they are needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.app import Report
    from pipeline.regression import Regressed
    from pipeline.reparse import Reparsed

Result = TypeVar("Result")


def set_up(*, verbose: bool) -> bool:
    """Set up the log; whether it is read by a machine."""
    from pipeline import logs

    for_machine = not sys.stderr.isatty()
    logs.set_up(for_machine=for_machine, verbose=verbose)
    return for_machine


def reported(act: Callable[[], Result]) -> Result:
    """What `act` gives; what is wrong is explained, and the process ends."""
    from pipeline.core.errors import VlmBatchError
    from pipeline.explain import explained

    try:
        return act()
    except (VlmBatchError, BaseExceptionGroup) as error:
        code, problems = explained(error)
        for problem in problems:
            print(f"error: {problem}", file=sys.stderr)
        raise typer.Exit(code) from None


def console() -> Console:
    """Where tables go: as wide as the terminal, else 120 columns."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120)


def print_json(value: object) -> None:
    """One JSON object for a program."""
    import orjson

    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def show(report: Report) -> None:
    """How a run ended."""
    from pipeline.reporting.progress import duration
    from pipeline.reporting.totals import image_token_lines, print_totals

    print_totals(report.totals, console())
    shared = f", {report.shared:,} answers shared with equal questions" if report.shared else ""
    print(f"{report.requests:,} requests in {duration(report.seconds)}{shared}")
    for line in image_token_lines(report.image_tokens):
        print(line)
    for folder in report.folders:
        if folder.is_dir():
            print(f"data: {folder}")
    print(report.message)


def show_regression(found: Regressed) -> None:
    """How a regression ended: what it cost, what moved, where the reports lie."""
    from pipeline.reporting.regress_words import print_comparison
    from pipeline.reporting.totals import print_totals
    from pipeline.reporting.visible import visible

    print_totals(found.report.totals, console())
    if found.evaluation is not None:
        print_comparison(found.evaluation, found.comparison, console())
    for path in found.files:
        print(f"report: {path}")
    print(visible(found.message))


def show_changes(made: Reparsed) -> None:
    """What reading kept answers again has made of them."""
    from pipeline.reporting.changes import print_changes

    print_changes(made.changes, console())
    for folder in made.folders:
        if folder.is_dir():
            print(f"data: {folder}")
    print(made.message)


def begin() -> None:
    """End the process where stdout is closed: before anything is bought whose outcome nobody would hear of."""
    if sys.stdout is None:  # closed by who started us; the next file that is opened would take its number
        print("error: stdout is closed. Send it to a file, or to /dev/null.", file=sys.stderr)
        sys.exit(1)


def all_said(end: str = "") -> bool:
    """Whether stdout took everything that was printed, and this `end`. Says why not, unless a pipe's reader is gone."""
    try:
        print(end=end, flush=True)
    except BrokenPipeError:
        pass
    except OSError as error:
        why = f"{error.strerror}. What the command did is done, what it had to say is lost."
        print(f"error: Cannot write to stdout: {why}", file=sys.stderr)
    else:
        return True
    # Python would try once more to write the rest, and complain by itself.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return False
