"""The command line: verbs and exit codes. Everything heavy is imported inside the verbs, so that --help is quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import __version__
from pipeline.extras import need_judging
from pipeline.terminal import (
    all_said,
    begin,
    console,
    print_json,
    reported,
    set_up,
    show,
    show_changes,
    show_regression,
)

if TYPE_CHECKING:
    from pipeline.app import Wish
    from pipeline.config import Config
    from pipeline.regression import Mode

Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=V", help="Override one setting; may be repeated.")
]
AcceptChange = Annotated[
    bool, typer.Option("--accept-change", help="Keep earlier answers although a setting that decides them changed.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

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
    overrides: Overrides = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Ask at most so many rows in this run.")] = None,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", metavar="USD", help="What the output may cost over its life.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log every retry and every failed row.")] = False,
    accept_change: AcceptChange = False,
) -> None:
    """Run a configuration, or resume it.

    Exit codes: 0 complete, 1 run error, 2 configuration, 3 too many failures, 4 the budget is spent, 75 stopped
    early or held by another process: run the same command again.
    """
    from pipeline import app as application
    from pipeline import checks

    wish = application.Wish(limit, accept_change, None, for_machine=set_up(verbose=verbose))
    if max_cost is not None:
        overrides = [*(overrides or []), f"run.max_cost_usd={max_cost}"]
    _carry_out(lambda: checks.read_config(config, overrides or []), wish)


@app.command()
def plan(
    config: Annotated[Path, typer.Argument(help="The TOML file that explains the run.")],
    overrides: Overrides = None,
    json: AsJson = False,
    accept_change: AcceptChange = False,
) -> None:
    """Tell what a run would do: rows, bytes, tokens, money, time. No call is made, nothing is written into OUT.

    Exit codes: 0 told, 1 the manifest or the output cannot be read, 2 configuration.
    """
    from pipeline import checks
    from pipeline.planning import forecast
    from pipeline.reporting.forecast import as_json, print_forecast

    set_up(verbose=False)
    settings = reported(lambda: checks.read_config(config, overrides or [], to_ask=False))
    found = reported(lambda: forecast(settings, accept_change=accept_change))
    if json:
        print_json(as_json(found))
    else:
        print_forecast(found, console())


@app.command()
def check(
    config: Annotated[Path, typer.Argument(help="The TOML file that explains the run.")],
    overrides: Overrides = None,
    json: AsJson = False,
) -> None:
    """Ask the server what a run needs of it: key, model, pictures, schema, cache. At most four small calls.

    Exit codes: 0 all fine (? is what the server did not tell), 2 configuration, 5 something a run needs is missing.
    """
    import anyio

    from pipeline import checks
    from pipeline.probe import probe
    from pipeline.reporting.probed import as_json, print_probe

    set_up(verbose=False)
    settings = reported(lambda: checks.read_config(config, overrides or []))
    found = reported(lambda: anyio.run(probe, settings))
    if json:
        print_json(as_json(found))
    else:
        print_probe(found, console())
    raise typer.Exit(0 if found.fine else 5)


@app.command()
def rerun(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="An output folder; its own configuration is used.")],
    kinds: Annotated[list[str] | None, typer.Option("--kind", help="Failures of this kind; may be repeated.")] = None,
    stages: Annotated[list[str] | None, typer.Option("--stage", help="Failures of this stage.")] = None,
    statuses: Annotated[list[int] | None, typer.Option("--status", help="Failures with this HTTP status.")] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="TIME", help="Failures at least so old: 90s, 15m, 1h, 2d.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log every retry and every failed row.")] = False,
) -> None:
    """Try chosen failures again, also those that are final, and nothing else.

    A flag given several times means any of its values, different flags must all hold. Exit codes as of `run`.
    """
    from pipeline import app as application
    from pipeline import compose
    from pipeline.ledger.output import Output

    choice = reported(lambda: compose.read_choice(kinds or [], stages or [], statuses or [], older_than))
    wish = application.Wish(None, False, choice, for_machine=set_up(verbose=verbose))
    _carry_out(lambda: compose.kept_config(Output(output), to_ask=True), wish)


@app.command()
def status(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="An output folder, being worked on or not.")],
    json: AsJson = False,
) -> None:
    """Tell from its files how far an output is, also while a run works on it. Writes nothing."""
    from pipeline.ledger.output import Output
    from pipeline.status import print_status, read_status

    set_up(verbose=False)
    print_status(reported(lambda: read_status(Output(output))), for_machine=json)


def _carry_out(configuration: Callable[[], Config], wish: Wish) -> None:
    import anyio

    from pipeline import app as application

    config = reported(configuration)
    gate = None
    if config.run.gate is not None:
        reported(need_judging)
        from pipeline.gate import gate_of

        gate = reported(lambda: gate_of(config, for_machine=wish.for_machine))
    report = reported(lambda: anyio.run(application.run, config, wish, gate))
    show(report)
    raise typer.Exit(report.exit_code)


@app.command()
def regress(
    config: Annotated[Path, typer.Argument(help="The TOML file of the regression, with a table [regress].")],
    record: Annotated[bool, typer.Option("--record", help="Ask, and keep every answer as a cassette.")] = False,
    replay: Annotated[bool, typer.Option("--replay", help="Take the answers from cassettes; ask nothing.")] = False,
    update: Annotated[
        bool, typer.Option("--update-baseline", help="Accept these answers: they become the baseline.")
    ] = False,
    overrides: Overrides = None,
) -> None:
    """Ask a sample set and hold the answers against their labels and the baseline.

    Exit codes: 0 no change beyond noise, or better; 1 run error, 2 configuration, 4 the budget is spent, 5 regressed,
    75 stopped early: run the same command again.
    """
    import anyio

    from pipeline import checks

    mode = _mode(record=record, replay=replay)
    for_machine = set_up(verbose=False)
    reported(need_judging)
    from pipeline import regression

    settings = reported(lambda: checks.read_config(config, overrides or [], to_ask=not replay))
    found = reported(lambda: anyio.run(regression.regress_until_signals, settings, mode, update, for_machine))
    show_regression(found)
    raise typer.Exit(found.exit_code)


def _mode(*, record: bool, replay: bool) -> Mode:
    if record and replay:
        print("error: --record and --replay exclude each other", file=sys.stderr)
        raise typer.Exit(2)
    return "record" if record else "replay" if replay else "live"


@app.command()
def verify(
    output: Annotated[Path, typer.Argument(help="The output to check, as run.output names it.")],
    as_json: AsJson = False,
) -> None:
    """Check that every answer in an output is there, once, and where it belongs. Nothing is changed or asked.

    Exit codes: 0 nothing found, 1 the output cannot be read, 2 there is no output, 5 something is broken (all of it is
    listed), 75 another process works on this output.
    """
    from pipeline.audit import audit
    from pipeline.reporting.verdict import verdict, verdict_lines

    found = reported(lambda: audit(output))
    if as_json:
        print_json(verdict(found.findings, found.checked))
    else:
        print("\n".join(verdict_lines(found.root, found.findings, found.checked)))
    raise typer.Exit(5 if found.findings.damage() else 0)


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

    logs.set_up(for_machine=not sys.stderr.isatty(), verbose=False)
    show_changes(reported(lambda: again.reparse(out, to)))


@app.command()
def serve(
    port: Annotated[int, typer.Option("--port", help="The port on 127.0.0.1; 0 takes a free one.")] = 0,
) -> None:
    """Serve the embedded models as an OpenAI-compatible server on this machine until Ctrl-C."""
    from pipeline.embedded.server import serve as serve_embedded

    serve_embedded(port, until_stdin_closes=False)


def main() -> None:
    """Entry point of the command. Ends with exit code 1 where stdout does not take what there is to say."""
    begin()
    try:
        app()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        code = code if all_said() else 1
    except OSError:
        if all_said("\n"):  # some buffers forget what was refused: whether stdout is well shows by one line end more
            raise
        code = 1
    if "obstore" not in sys.modules:
        sys.exit(code)
    # Its threads outlive Python's own end, and now and then bring the process down by a signal (0.12; 7 of 120 runs
    # that ended right behind a fetch): the exit code would be lost, though everything is written.
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
