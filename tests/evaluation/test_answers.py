from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.errors import RunError
from pipeline.evaluation.answers import may_pass, read_answers
from pipeline.ledger.schema import task_schema
from pipeline.tasks import TASKS, TaskOptions


def write(root: Path, kind: str, where: str, name: str, *rows: dict[str, object], task: str = "") -> None:
    options = TaskOptions(question="What?") if kind == "ask" else TaskOptions()
    schema = task_schema(TASKS[kind](options).columns, [])
    folder = root / where / (task or kind)
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(
        [{"uri": f"{row['key']}.png", "request_sha256": "r" * 64, "model": "m", **row} for row in rows],
        schema=schema.data if where == "data" else schema.failures,
    )
    pq.write_table(table, folder / name)


def test_answers_of_every_kind_are_read_as_the_ledger_writes_them(tmp_path: Path) -> None:
    write(tmp_path, "caption", "data", "part-000000-000000.parquet", {"key": "a", "caption": "A cat."})
    write(tmp_path, "ocr", "data", "part-000000-000000.parquet", {"key": "a", "text": None, "has_text": False})
    write(
        tmp_path, "moderate", "data", "part-000000-000000.parquet",
        {"key": "a", "verdict": "unsafe", "labels": ["sexual", "violence"]},
        {"key": "b", "verdict": "safe", "labels": []},
    )  # fmt: skip
    write(tmp_path, "ask", "data", "part-000000-000000.parquet", {"key": "a", "answer": "42"}, task="q")
    answers = read_answers(tmp_path, {"caption": "caption", "ocr": "ocr", "moderate": "moderate", "q": "ask"})
    assert [(one.task, one.kind, one.key, one.text) for one in answers] == [
        ("caption", "caption", "a", "A cat."),
        ("ocr", "ocr", "a", ""),
        ("moderate", "moderate", "a", "unsafe (sexual, violence)"),
        ("moderate", "moderate", "b", "safe"),
        ("q", "ask", "a", "42"),
    ]
    assert {(one.uri, one.request_sha256) for one in answers if one.key == "a"} == {("a.png", "r" * 64)}


def test_failed_rows_count_and_the_newest_snapshot_holds(tmp_path: Path) -> None:
    write(tmp_path, "ocr", "data", "part-000000-000000.parquet", {"key": "b", "text": "read"})
    old = [{"key": key, "kind": "timeout", "message": "slow"} for key in ("a", "b", "c")]
    write(tmp_path, "ocr", "failures", "shard-000000-000001.parquet", *old)
    new = [{"key": key, "kind": "cut", "message": "too long"} for key in ("a", "b")]
    write(tmp_path, "ocr", "failures", "shard-000000-000010.parquet", *new)
    write(tmp_path, "ocr", "failures", "shard-000001-000000.parquet", {"key": "d", "kind": "empty", "message": ""})
    answers = {one.key: (one.text, one.failure) for one in read_answers(tmp_path, {"ocr": "ocr"})}
    assert answers == {"a": (None, "cut: too long"), "b": ("read", None), "d": (None, "empty: ")}


def test_a_broken_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data" / "ocr").mkdir(parents=True)
    (tmp_path / "data" / "ocr" / "part-000000-000000.parquet").write_bytes(b"no parquet")
    with pytest.raises(RunError, match="vlm-batch verify"):
        read_answers(tmp_path, {"ocr": "ocr"})
    assert read_answers(tmp_path, {"caption": "caption"}) == ()


def test_what_the_next_run_asks_again_may_pass() -> None:
    assert may_pass("timeout: slow")
    assert may_pass("fetch_failed: no route")
    assert not may_pass("cut: too long")
    assert not may_pass("a kind of another version: x")
    assert not may_pass(None)
