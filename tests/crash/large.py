"""How soon and how lean a run resumes over an output with millions of done rows. Prints one line of figures.

    python -m tests.crash.large --rows 10000000

The output is built by the product's own plan and writers, only without asking: parts of 10,000 answers each, the last
five rows left to do. Then the real command runs over it against the fake server. Building 10 million takes about ten
minutes and 5 GB of disk; the measured run a few seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from pipeline.checks import read_config
from pipeline.compose import open_schemas, open_tasks
from pipeline.core.outcomes import Envelope, Row
from pipeline.core.types import Facts, RowId, Usage
from pipeline.ledger import parts
from pipeline.ledger.output import Output
from pipeline.ledger.schema import data_table
from pipeline.opening import open_output
from pipeline.storage.http import AiohttpTransport
from tests.integration.command import COMMAND, ROOT, Job, Tail
from tests.support.fake_process import FakeProcess
from tests.support.pictures import picture

LEFT = 5
PART_ROWS = 10_000


def key_of(number: int) -> str:
    return f"k{number:08}"


def build(job: Job, rows: int) -> None:
    """Plan so many rows and answer all but the last five."""
    with job.manifest.open("wb") as manifest:
        for number in range(rows):
            manifest.write(b'{"image":"p.jpg","id":"%s"}\n' % key_of(number).encode())
    config = read_config(job.write(), [])
    output = Output(job.out)
    opened = open_output(config, output, "build", AiohttpTransport())
    schema = open_schemas(open_tasks(config), [])["caption"]
    opened.ledger.close()
    done = 0
    for shard in opened.source.shards:
        for sequence, start in enumerate(range(0, shard.rows, PART_ROWS), start=1):
            ordinals = range(start, min(start + PART_ROWS, shard.rows, shard.rows - (done + shard.rows - rows + LEFT)))
            if not ordinals:
                continue
            table = answers(schema, shard.number, done, ordinals)
            path = parts.data_path(output.data("caption"), shard.number, sequence)
            parts.write(table, path, output.scratch, "build")
        done += shard.rows
    # Opened once more, as the run that had bought the answers would have: the index of questions covers them.
    open_output(config, output, "index", AiohttpTransport()).ledger.close()


_TEMPLATES: dict[int, pa.Table] = {}


def answers(schema: object, shard: int, before: int, ordinals: Sequence[int]) -> pa.Table:
    """A part's table; what differs from row to row is put into a template."""
    if len(ordinals) not in _TEMPLATES:
        usage = Usage(prompt_tokens=800, cached_tokens=700, completion_tokens=40)
        envelope = Envelope("build", 1.7e9, 1, usage, "A caption of a row.", "stop", "fake/vlm", 0.0001, 900, "id")
        facts = Facts("k", "p.jpg", "fake/vlm", {}, "0" * 64, "1" * 64, "2" * 64, 1024, 768, 1024, 768)
        row = Row(RowId("caption", 1, 0), facts, {"caption": "A caption of a row."}, envelope)
        _TEMPLATES[len(ordinals)] = data_table(schema, [row] * len(ordinals))  # type: ignore[arg-type]
    table = _TEMPLATES[len(ordinals)]
    numbers = [before + ordinal for ordinal in ordinals]
    fresh = {
        "key": pa.array([key_of(number) for number in numbers], pa.string()),
        "request_sha256": pa.array([hashlib.sha256(b"%d" % number).hexdigest() for number in numbers], pa.string()),
        "request_id": pa.array([f"request-{number}" for number in numbers], pa.string()),
        "shard": pa.array([shard] * len(numbers), pa.int32()),
        "ordinal": pa.array(ordinals, pa.int32()),
    }
    for name, column in fresh.items():
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), column)
    return table


def measured_run(job: Job, log: Path) -> tuple[int, float, float, float]:
    """Exit code, seconds to the first request at the server, seconds in all, peak memory in MB."""
    tail = Tail(log)
    arguments = [*COMMAND, "run", str(job.write())]
    started, started_at = time.monotonic(), time.time()
    running = subprocess.Popen(arguments, env={**os.environ, "PYTHONPATH": str(ROOT)})
    peak_kb = 0
    while running.poll() is None:
        peak_kb = max(peak_kb, memory_kb(running.pid))
        time.sleep(0.005)  # between two looks
    first = min(line["time"] for line in tail.read() if line["event"] == "received")
    seconds = time.monotonic() - started
    return running.returncode, first - started_at, seconds, peak_kb / 1024


def memory_kb(pid: int) -> int:
    """A process's peak so far. Its resource usage would not do: that remembers the memory of whoever started it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="build it here, and keep it (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root = Path(folder)
        (root / "p.jpg").write_bytes(picture(1))
        with FakeProcess(log=root / "server.jsonl", max_seconds=3600.0) as server:
            manifest = {"key": "id", "image": "image"}
            job = Job(root, root / "rows.jsonl", server.base_url, manifest_=manifest)
            began = time.monotonic()
            build(job, options.rows)
            built = time.monotonic() - began
            code, first, seconds, megabytes = measured_run(job, root / "server.jsonl")
        # Five rows over one picture are one question.
        assert code == 0, code
        print(
            f"{options.rows:,} rows done, built in {built:.0f} s: first request after {first:.1f} s, "
            f"all after {seconds:.1f} s, {megabytes:.0f} MB"
        )


if __name__ == "__main__":
    main()
