"""The command as a person or a scheduler meets it: help, options, what goes where, and what never does."""

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import __version__
from tests.integration.command import COMMAND, Ended, Job, Running
from tests.support import scripts
from tests.support.exchange import Reply, Request
from tests.support.fake_server import FakeServer
from tests.support.pictures import picture

NewJob = Callable[..., Job]
HEAVY = {"aiohttp", "anyio", "httpx", "numpy", "obstore", "orjson", "PIL", "pyarrow", "pydantic", "rich", "structlog"}


def command(*arguments: str, python: tuple[str, ...] = ()) -> Ended:
    with Running([sys.executable, *python, *COMMAND[1:], *arguments], env={"COLUMNS": "200"}) as running:
        return running.end()


def test_help_lists_the_verbs_and_is_quick() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = command("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.code == 0
    assert {"run", "serve", "verify"} <= {
        line.split()[0] for line in ended.stdout.splitlines() if line.startswith("  ")
    }
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"--help took {spent:.2f} s of CPU")

    timed = command("--help", python=("-X", "importtime"))
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in timed.stderr.splitlines() if "|" in line}
    assert "typer" in imported
    assert imported & HEAVY == set()


def test_version_and_exit_codes_are_told() -> None:
    assert command("--version").stdout == f"vlm-batch {__version__}\n"
    told = " ".join(command("run", "--help").stdout.split())
    for words in (
        "0 complete",
        "1 run error",
        "2 configuration",
        "3 too many failures",
        "75 stopped early or held by another process",
    ):
        assert words in told
    for option in ("--set", "--limit", "--verbose"):
        assert option in told


def test_a_limit_asks_so_many_rows_and_the_next_run_the_rest(new_job: NewJob, fake_server: FakeServer) -> None:
    job = new_job(10)
    first = job.run("--limit", "3")
    assert (first.code, fake_server.total) == (0, 3)
    assert [row["key"] for row in job.rows()] == ["00000.jpg", "00001.jpg", "00002.jpg"]
    assert (
        first.stdout.splitlines()[-1] == "The limit of this run is reached; 7 questions are left. Run again to go on."
    )
    assert not (job.out / "_SUCCESS").exists()
    second = job.run()
    assert (second.code, fake_server.total, len(job.rows())) == (0, 10, 10)
    assert (job.out / "_SUCCESS").exists()


def test_set_overrides_the_file(new_job: NewJob, fake_server: FakeServer, tmp_path: Path) -> None:
    job = new_job(2)
    ended = job.run(
        "--set",
        "tasks.0.model=other/vlm",
        "--set",
        f"run.output={tmp_path / 'elsewhere'}",
        "--set",
        "images.max_side=16",
    )
    assert ended.code == 0, ended.stderr
    assert {request.model for request in fake_server.requests} == {"other/vlm"}
    assert not job.out.exists()
    assert f"data: {tmp_path / 'elsewhere' / 'data' / 'caption'}" in ended.stdout
    assert fake_server.requests[0].image != picture(0)


def test_answers_go_to_stdout_and_the_log_to_stderr(new_job: NewJob) -> None:
    job = new_job(3, tasks=[{"kind": "caption"}, {"kind": "ocr"}])
    ended = job.run("--verbose")
    assert ended.code == 0
    assert len(ended.events) == len(ended.stderr.splitlines()) > 0
    assert {"event", "level", "timestamp"} <= set(ended.events[0])
    started = ended.event("run.started")
    assert (started["to_do"], started["output"]) == (6, str(job.out))
    lines = ended.stdout.splitlines()
    table = {
        line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")[2:4]] for line in lines if "│" in line
    }
    assert table == {"caption": ["3", "0"], "ocr": ["3", "0"]}
    assert [line for line in lines if line.startswith("data: ")] == [
        f"data: {job.out / 'data' / task}" for task in ("caption", "ocr")
    ]
    assert any(line.startswith("6 requests in ") for line in lines)
    assert lines[-1] == "Complete."


SECRET = "sk-secret-123"  # noqa: S105 - no key of anybody


def echo(status: int) -> Callable[[Request], Reply]:
    """A server that repeats the key in its error."""
    return lambda request: scripts.error(status, f"cannot serve {request.headers['authorization']}")(request)


@pytest.mark.parametrize("status", [200, 400, 500, 401])
def test_the_key_is_sent_and_never_written(new_job: NewJob, fake_server: FakeServer, status: int) -> None:
    job = new_job(
        6,
        provider={"api_key_env": "TEST_KEY"},
        retry={"attempts": 1},
        run_={"max_failure_share": 1},
        env={"TEST_KEY": SECRET},
    )
    fake_server.script = scripts.sequence(scripts.caption(), scripts.caption(), echo(status), scripts.caption())
    ended = job.run("--verbose")
    assert ended.code == (1 if status == 401 else 0)
    assert {request.headers["authorization"] for request in fake_server.requests} == {f"Bearer {SECRET}"}
    assert "cannot serve Bearer [key]" in (ended.stderr if status == 401 else job.failures()[0]["message"])
    assert SECRET not in ended.stdout + ended.stderr
    assert [path for path in job.out.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()] == []
    # Parquet compresses: look at what a reader gets, too.
    assert SECRET not in repr([*job.rows(), *job.failures()])


@pytest.mark.parametrize(
    ("arguments", "code", "said"), [(["--version"], 0, "vlm-batch"), (["run", "gone.toml"], 2, "")]
)
def test_a_process_with_a_store_client_leaves_at_once_with_its_code(
    arguments: list[str], code: int, said: str, tmp_path: Path
) -> None:
    """obstore's threads can bring down a process that takes itself apart; the code must be what was decided."""
    script = (
        "import atexit, sys; sys.modules['obstore'] = sys; atexit.register(print, 'taken apart')\n"
        f"from pipeline.cli import main; sys.argv[1:] = {arguments!r}; main()"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert (ended.returncode, "taken apart" in ended.stdout) == (code, False), ended.stderr
    assert said in ended.stdout
    assert code == 0 or "gone.toml" in ended.stderr
