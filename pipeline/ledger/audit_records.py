"""Checks what lies around the answers: configuration records, the index of parts, and files that are not ours."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import orjson

from pipeline.ledger import parts
from pipeline.ledger.findings import Findings
from pipeline.ledger.output import Output
from pipeline.storage.local import reason

"""Under _run: a cache that names, among other things, the parts that were committed."""
LARGEST = 2**31 - 1
"""The largest shard number that fits the column `shard`."""


@dataclass(frozen=True, slots=True)
class Configured:
    """The tasks of the newest configuration, and all that were ever configured; both empty when unknown."""

    today: tuple[str, ...] = ()
    ever: frozenset[str] = frozenset()


def audit_config(output: Output, findings: Findings) -> Configured:
    """Read every record; the newest one says which tasks there are."""
    names = [path.name for path in output.run.iterdir()] if output.run.is_dir() else []
    stems = [name.removeprefix("config-").removesuffix(".json") for name in names if name.startswith("config-")]
    numbers = sorted(int(stem) for stem in stems if stem.isdigit())
    if numbers != list(range(1, len(numbers) + 1)):
        findings.add("config_missing", f"_run has the records {', '.join(map(str, numbers))}")
    elif not numbers and output.holds_answers():
        findings.add("config_missing", "_run/config-1.json")
    newest = Configured()
    for number in numbers:
        path = output.run / f"config-{number}.json"
        try:
            record = orjson.loads(path.read_bytes())
            today = tuple(task["name"] or task["kind"] for task in record["config"]["tasks"])
            newest = Configured(today, frozenset((*today, *record["fingerprints"])))
        except OSError as error:
            findings.add("config_unreadable", f"_run/{path.name}: {reason(error)}")
        except (ValueError, TypeError, LookupError) as error:
            findings.add("config_unreadable", f"_run/{path.name}: {type(error).__name__}: {error}")
    return newest


@dataclass(slots=True)
class Files:
    """The committed files of one task by shard, each list by number."""

    data: dict[int, list[parts.Part]] = field(default_factory=dict)
    failures: dict[int, list[parts.Part]] = field(default_factory=dict)


def list_files(output: Output, findings: Findings) -> dict[str, Files]:
    """Our files by task; whatever else lies among them, or pretends to be data under _run, is a finding."""
    found: dict[str, Files] = {}
    for folder, listed in (("data", parts.list_data), ("failures", parts.list_snapshots)):
        ours: set[Path] = set()
        root = output.root / folder
        for task in sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []:
            by_shard: dict[int, list[parts.Part]] = {}
            for part in listed(root / task):
                if part.shard <= LARGEST:
                    by_shard.setdefault(part.shard, []).append(part)
                    ours.add(part.path)
            files = found.setdefault(task, Files())
            if folder == "data":
                files.data = by_shard
            else:
                files.failures = by_shard
        for path in _below(root):
            if path not in ours:
                code = "foreign_parquet" if _looks_like_data(path) else "foreign_file"
                findings.add(code, str(path.relative_to(output.root)))
    for path in _below(output.run):
        if _looks_like_data(path):
            findings.add("parquet_in_run", str(path.relative_to(output.root)))
    return found


def audit_index(output: Output, findings: Findings, scratch: Path) -> None:
    """Every part that the index names must be there. An index that cannot be read is no index: it is a cache."""
    path = output.index
    if not path.is_file():
        return
    options = "mode=ro&immutable=1"
    log = path.with_name(f"{path.name}-wal")
    if log.exists():
        # What a kill left in the write-ahead log counts, and reading it in its place would write a file beside it.
        copies = scratch / path.name, scratch / log.name
        for original, copy in zip((path, log), copies, strict=True):
            shutil.copyfile(original, copy)
        path, options = copies[0], "mode=rw"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?{options}", uri=True)) as index:
            for task, name in index.execute("SELECT task, name FROM parts"):
                if not (output.data(str(task)) / str(name)).exists():
                    findings.add("part_deleted", f"data/{task}/{name}")
    except sqlite3.Error:
        return


def _below(root: Path) -> Iterator[Path]:
    def stop(error: OSError) -> None:
        raise error

    for folder, _, names in os.walk(root, onerror=stop) if root.is_dir() else ():
        for name in names:
            yield Path(folder, name)


def _looks_like_data(path: Path) -> bool:
    return path.name.lower().endswith(".parquet")
