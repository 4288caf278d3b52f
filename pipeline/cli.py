"""The command line: verbs and exit codes. Everything heavy is imported inside the verbs, so that --help is quick."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import __version__

if TYPE_CHECKING:
    from pipeline.app import Report
    from pipeline.reparse import Reparsed

# Rich help and tracebacks would cost a third of the time that --help may take.
app = typer.Typer(
    name="vlm-batch",
    help="Run vision-language models over image data sets. A received answer is never lost, doubled or bought again.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"vlm-batch {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="The TOML file that explains the run.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=V", help="Override one setting; may be repeated.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Ask at most so many rows in this run.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log every retry and every failed row.")] = False,
) -> None:
    """Run a configuration, or resume it.

    Exit codes: 0 complete, 1 run error, 2 configuration, 3 too many failures, 75 stopped early or held by another
    process: run the same command again.
    """
    import anyio

    from pipeline import app as application
    from pipeline import compose, logs
    from pipeline.core.errors import VlmBatchError

    for_machine = not sys.stderr.isatty()
    logs.set_up(for_machine=for_machine, verbose=verbose)
    try:
        parsed = compose.read_config(config, overrides or [])
        report = anyio.run(lambda: application.run(parsed, limit=limit, for_machine=for_machine))
    except (VlmBatchError, BaseExceptionGroup) as error:
        raise typer.Exit(_explain(error)) from None
    _show(report)
    raise typer.Exit(report.exit_code)


@app.command()
def reparse(
    out: Annotated[Path, typer.Argument(help="An output of vlm-batch; it is left as it is.")],
    to: Annotated[str, typer.Option("--to", metavar="OUT2", help="A new or empty folder for the new output.")],
) -> None:
    """Make a new output from the kept raw answers with today's parser. No call is made.

    Exit codes: 0 made, 1 the old output cannot be read or the new one not written, 2 a wrong folder, 75 OUT is held by
    another process.
    """
    from pipeline import logs
    from pipeline import reparse as again
    from pipeline.core.errors import VlmBatchError

    logs.set_up(for_machine=not sys.stderr.isatty(), verbose=False)
    try:
        made = again.reparse(out, to)
    except VlmBatchError as error:
        raise typer.Exit(_explain(error)) from None
    _show_changes(made)


@app.command()
def serve(
    port: Annotated[int, typer.Option("--port", help="The port on 127.0.0.1; 0 takes a free one.")] = 0,
) -> None:
    """Serve the embedded models as an OpenAI-compatible server on this machine until Ctrl-C."""
    from pipeline.embedded.server import serve as serve_embedded

    serve_embedded(port, until_stdin_closes=False)


def _explain(error: BaseException) -> int:
    """Print what went wrong, each thing once, and return the exit code. Anything but ours is a bug and is raised."""
    from pipeline.core.errors import ConfigError, HeldError, VlmBatchError

    leaves = list(_leaves(error))
    if not all(isinstance(leaf, VlmBatchError) for leaf in leaves):
        raise error
    problems = [problem for leaf in leaves for problem in (leaf.problems if isinstance(leaf, ConfigError) else [leaf])]
    for problem in dict.fromkeys(map(str, problems)):
        print(f"error: {problem}", file=sys.stderr)
    if isinstance(leaves[0], ConfigError):
        return 2
    return 75 if isinstance(leaves[0], HeldError) else 1


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors inside a group, however deep: several tasks may meet the same full disk."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _show(report: Report) -> None:
    from rich.console import Console

    from pipeline.reporting.progress import duration
    from pipeline.reporting.totals import print_totals

    console = Console(width=None if sys.stdout.isatty() else 120)
    print_totals(report.totals, console)
    print(f"{report.requests:,} requests in {duration(report.seconds)}")
    for folder in report.folders:
        if folder.is_dir():
            print(f"data: {folder}")
    print(report.message)


def _show_changes(made: Reparsed) -> None:
    from rich.console import Console

    from pipeline.reporting.changes import print_changes

    print_changes(made.changes, Console(width=None if sys.stdout.isatty() else 120))
    for folder in made.folders:
        if folder.is_dir():
            print(f"data: {folder}")
    print(made.message)


def main() -> None:
    """Entry point of the command."""
    app()


if __name__ == "__main__":
    main()
